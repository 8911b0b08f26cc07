// As much of D-Bus as it takes to ask systemd for something: method calls over a unix socket, their answers, and signals. Source:
// the D-Bus specification, "Message Protocol" and "Authentication Protocol" (EXTERNAL). Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace vps::cgroups {

// What a property may be: b u i t x s as ay au.
using DbusValue = std::variant<bool, std::uint32_t, std::int32_t, std::uint64_t, std::int64_t, std::string, std::vector<std::string>,
                               std::vector<std::uint8_t>, std::vector<std::uint32_t>>;
using DbusProperty = std::pair<std::string, DbusValue>;

// The body of a message, in the order of its signature. Little-endian, as we announce it.
class DbusWriter {
 public:
  DbusWriter& string(std::string_view text);  // s, o
  DbusWriter& boolean(bool value);
  DbusWriter& properties(const std::vector<DbusProperty>& properties);  // a(sv)
  DbusWriter& no_units();                                               // a(sa(sv)), empty
  [[nodiscard]] const std::string& data() const { return data_; }

 private:
  friend std::string dbus_call(std::uint32_t, std::string_view, std::string_view, std::string_view, std::string_view, const std::string&);
  void align(std::size_t to);
  void number(std::uint64_t value, std::size_t bytes);
  void signature(std::string_view text);
  void value(const DbusValue& value);
  template <class Work>
  void array(std::size_t element_alignment, Work work);
  std::string data_;
};

// Of a message, bounds checked; after a failure everything is empty.
class DbusReader {
 public:
  explicit DbusReader(std::string_view data) : data_(data) {}
  std::uint8_t byte();
  std::uint32_t u32();
  std::string string();
  std::string signature();
  void align(std::size_t to);
  void skip(std::size_t bytes);
  [[nodiscard]] std::size_t position() const { return at_; }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  std::string_view data_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

struct DbusMessage {
  enum class Type : std::uint8_t { kCall = 1, kReturn = 2, kError = 3, kSignal = 4 };
  Type type = Type::kCall;
  std::uint32_t reply_to = 0;
  std::string member, error, signature;
  std::string body;
};
// One whole message with its fixed header. kUsage for anything damaged, or with more than 1 MiB.
Result<DbusMessage> parse_dbus_message(std::string_view bytes);
// How many bytes the message has that begins with these 16; kUsage when they are no such beginning.
Result<std::size_t> dbus_message_size(std::string_view first16);
std::string dbus_call(std::uint32_t serial, std::string_view path, std::string_view interface, std::string_view member,
                      std::string_view signature, const std::string& body);

class DbusConnection {
 public:
  // A peer that speaks without a bus between (systemd's private socket).
  static Result<DbusConnection> connect(const std::string& socket_path);
  // The answer's body. The peer's error is kFailed with its text, its name in front.
  Result<DbusMessage> call(std::string_view path, std::string_view interface, std::string_view member, std::string_view signature,
                           const std::string& body);
  // The next signal of that name, those that came while an answer was awaited first. kTimedOut after 30 s of silence.
  Result<DbusMessage> wait_signal(std::string_view member);

 private:
  DbusConnection() = default;
  Result<> authenticate();
  Result<DbusMessage> receive();
  Result<std::string> read_exactly(std::size_t bytes);

  UniqueFd fd_;
  std::uint32_t serial_ = 0;
  std::vector<DbusMessage> signals_;
};

}  // namespace vps::cgroups
