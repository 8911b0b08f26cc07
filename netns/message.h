// Netlink messages as bytes (netlink(7), RFC 3549): building them with nested attributes, and reading them without trusting a
// length. No kernel is involved; values, not shared between threads.
//
// libmnl would do this as well, but Debian ships no static libmnl, and the program that makes ports (vps-supervise) is static.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/ip.h"

namespace vps::netns {

constexpr std::size_t aligned(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

// One request. `what` says in an error what could not be done: "add address 10.0.0.2/24 to eth0".
class Message {
 public:
  Message(std::uint16_t type, std::uint16_t flags, std::string what);

  // The family's fixed structure (ifinfomsg, rtmsg ...): once, before the first attribute.
  template <class T>
  Message& header(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    append(&value, sizeof value);
    return *this;
  }
  Message& put(std::uint16_t type, const void* data, std::size_t size);
  Message& put(std::uint16_t type, std::span<const std::uint8_t> data) { return put(type, data.data(), data.size()); }
  Message& u8(std::uint16_t type, std::uint8_t value) { return put(type, &value, sizeof value); }
  Message& u16(std::uint16_t type, std::uint16_t value) { return put(type, &value, sizeof value); }
  Message& u32(std::uint16_t type, std::uint32_t value) { return put(type, &value, sizeof value); }
  Message& u64(std::uint16_t type, std::uint64_t value) { return put(type, &value, sizeof value); }
  Message& text(std::uint16_t type, std::string_view value);                     // with the NUL that the kernel expects
  Message& address(std::uint16_t type, const IpAddress& value) { return put(type, value.data()); }
  Message& mac(std::uint16_t type, const MacAddress& value) { return put(type, value.bytes); }
  // An attribute that holds what `fill(*this)` puts.
  template <class Fill>
  Message& nest(std::uint16_t type, Fill&& fill) {
    std::size_t at = open(type);
    fill(*this);
    close(at);
    return *this;
  }
  template <class T>
  Message& raw(const T& value) {  // a structure within a nest (the ifinfomsg of a veth's peer)
    return header(value);
  }

  // The message with its length and `sequence` entered.
  [[nodiscard]] const std::string& finish(std::uint32_t sequence, std::uint16_t more_flags = 0);
  [[nodiscard]] const std::string& what() const { return what_; }
  [[nodiscard]] std::uint16_t flags() const { return flags_; }

 private:
  void append(const void* data, std::size_t size);
  std::size_t open(std::uint16_t type);
  void close(std::size_t at);

  std::string bytes_;
  std::string what_;
  std::uint16_t flags_;
};

// A message as it came, within the buffer it came in.
struct MessageView {
  std::uint16_t type = 0, flags = 0;
  std::uint32_t sequence = 0;
  std::string_view payload;

  // The fixed structure in front; nullopt when the payload is shorter.
  template <class T>
  [[nodiscard]] std::optional<T> header() const {
    static_assert(std::is_trivially_copyable_v<T>);
    if (payload.size() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, payload.data(), sizeof value);
    return value;
  }
};

// Takes the next message off `data`; nullopt at the end and where a length is impossible.
std::optional<MessageView> next_message(std::string_view& data);

// The attributes in a piece of a message. A malformed one ends the list.
class Attributes {
 public:
  Attributes() = default;
  explicit Attributes(std::string_view bytes) : bytes_(bytes) {}
  // Those behind the fixed structure of `header_size` bytes.
  Attributes(const MessageView& message, std::size_t header_size)
      : bytes_(message.payload.size() > aligned(header_size) ? message.payload.substr(aligned(header_size)) : std::string_view{}) {}

  struct Item {
    std::uint16_t type;  // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
    std::string_view data;
  };
  // Takes the next one off.
  std::optional<Item> next();
  [[nodiscard]] std::optional<std::string_view> find(std::uint16_t type) const;  // the last of that type
  [[nodiscard]] Attributes nested(std::uint16_t type) const;                     // none of that type: empty
  [[nodiscard]] std::optional<std::uint8_t> u8(std::uint16_t type) const { return number<std::uint8_t>(type); }
  [[nodiscard]] std::optional<std::uint16_t> u16(std::uint16_t type) const { return number<std::uint16_t>(type); }
  [[nodiscard]] std::optional<std::uint32_t> u32(std::uint16_t type) const { return number<std::uint32_t>(type); }
  [[nodiscard]] std::optional<std::uint64_t> u64(std::uint16_t type) const { return number<std::uint64_t>(type); }
  [[nodiscard]] std::string text(std::uint16_t type) const;                      // up to its NUL; none: ""
  [[nodiscard]] std::optional<IpAddress> address(std::uint16_t type) const;      // 4 or 16 bytes
  [[nodiscard]] std::optional<MacAddress> mac(std::uint16_t type) const;         // 6 bytes
  [[nodiscard]] bool empty() const { return bytes_.empty(); }

 private:
  template <class T>
  [[nodiscard]] std::optional<T> number(std::uint16_t type) const {
    auto data = find(type);
    if (!data || data->size() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, data->data(), sizeof value);
    return value;
  }
  std::string_view bytes_;
};

// What the kernel says of a request: 0 or a positive errno, with its own words (NLMSGERR_ATTR_MSG) where it has some.
struct Acknowledgement {
  int error = 0;
  std::string text;
};
std::optional<Acknowledgement> parse_acknowledgement(const MessageView& message);

}  // namespace vps::netns
