#include "cgroups/dbus.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>


namespace vps::cgroups {
namespace {

constexpr std::size_t kMostBytes = 1u << 20;
constexpr std::size_t kFixedHeader = 16;
constexpr int kPatience = 30'000;

enum HeaderField : std::uint8_t { kPath = 1, kInterface = 2, kMember = 3, kErrorName = 4, kReplySerial = 5, kDestination = 6, kSender = 7, kSignature = 8 };

Result<> send_all(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t n = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "send");
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

std::size_t aligned(std::size_t value, std::size_t to) { return (value + to - 1) / to * to; }

}  // namespace

void DbusWriter::align(std::size_t to) { data_.resize(aligned(data_.size(), to)); }

void DbusWriter::number(std::uint64_t value, std::size_t bytes) {
  align(bytes);
  for (std::size_t i = 0; i < bytes; ++i) data_.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
}

void DbusWriter::signature(std::string_view text) {
  data_.push_back(static_cast<char>(text.size()));
  data_.append(text);
  data_.push_back('\0');
}

DbusWriter& DbusWriter::string(std::string_view text) {
  number(text.size(), 4);
  data_.append(text);
  data_.push_back('\0');
  return *this;
}

DbusWriter& DbusWriter::boolean(bool value) {
  number(value ? 1 : 0, 4);
  return *this;
}

// The length stands before the padding to the first element and does not count it.
template <class Work>
void DbusWriter::array(std::size_t element_alignment, Work work) {
  number(0, 4);
  auto length_at = data_.size() - 4;
  align(element_alignment);
  auto begin = data_.size();
  work();
  auto length = data_.size() - begin;
  for (std::size_t i = 0; i < 4; ++i) data_[length_at + i] = static_cast<char>((length >> (8 * i)) & 0xff);
}

void DbusWriter::value(const DbusValue& any) {
  struct Visitor {
    DbusWriter& w;
    void operator()(bool v) { w.signature("b"), w.number(v ? 1 : 0, 4); }
    void operator()(std::uint32_t v) { w.signature("u"), w.number(v, 4); }
    void operator()(std::int32_t v) { w.signature("i"), w.number(static_cast<std::uint32_t>(v), 4); }
    void operator()(std::uint64_t v) { w.signature("t"), w.number(v, 8); }
    void operator()(std::int64_t v) { w.signature("x"), w.number(static_cast<std::uint64_t>(v), 8); }
    void operator()(const std::string& v) { w.signature("s"), w.string(v); }
    void operator()(const std::vector<std::string>& v) {
      w.signature("as");
      w.array(4, [&] { for (const auto& item : v) w.string(item); });
    }
    void operator()(const std::vector<std::uint8_t>& v) {
      w.signature("ay");
      w.array(1, [&] { for (auto item : v) w.number(item, 1); });
    }
    void operator()(const std::vector<std::uint32_t>& v) {
      w.signature("au");
      w.array(4, [&] { for (auto item : v) w.number(item, 4); });
    }
  };
  std::visit(Visitor{*this}, any);
}

DbusWriter& DbusWriter::properties(const std::vector<DbusProperty>& list) {
  array(8, [&] {
    for (const auto& [name, property] : list) {
      align(8);
      string(name);
      value(property);
    }
  });
  return *this;
}

DbusWriter& DbusWriter::no_units() {
  array(8, [] {});
  return *this;
}

std::uint8_t DbusReader::byte() {
  if (!ok_ || at_ >= data_.size()) {
    ok_ = false;
    return 0;
  }
  return static_cast<std::uint8_t>(data_[at_++]);
}

std::uint32_t DbusReader::u32() {
  align(4);
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 4; ++i) value |= std::uint32_t{byte()} << (8 * i);
  return ok_ ? value : 0;
}

void DbusReader::align(std::size_t to) { skip(aligned(at_, to) - at_); }

void DbusReader::skip(std::size_t bytes) {
  if (bytes > data_.size() - at_) ok_ = false;
  if (ok_) at_ += bytes;
}

std::string DbusReader::string() {
  std::size_t size = u32();
  if (!ok_ || size >= data_.size() - at_ || data_[at_ + size] != '\0') {
    ok_ = false;
    return {};
  }
  std::string text(data_.substr(at_, size));
  at_ += size + 1;
  return text;
}

std::string DbusReader::signature() {
  std::size_t size = byte();
  if (!ok_ || size >= data_.size() - at_ || data_[at_ + size] != '\0') {
    ok_ = false;
    return {};
  }
  std::string text(data_.substr(at_, size));
  at_ += size + 1;
  return text;
}

Result<std::size_t> dbus_message_size(std::string_view first16) {
  DbusReader r(first16);
  auto order = r.byte();
  auto type = r.byte();
  r.skip(1);
  auto version = r.byte();
  std::size_t body = r.u32();
  r.skip(4);
  std::size_t fields = r.u32();
  if (!r.ok() || order != 'l' || version != 1 || type < 1 || type > 4 || body > kMostBytes || fields > kMostBytes)
    return fail(Code::kUsage, "no D-Bus message");
  return aligned(kFixedHeader + fields, 8) + body;
}

Result<DbusMessage> parse_dbus_message(std::string_view bytes) {
  if (bytes.size() < kFixedHeader) return fail(Code::kUsage, "no D-Bus message");
  if (VPS_TRY(dbus_message_size(bytes.substr(0, kFixedHeader))) != bytes.size()) return fail(Code::kUsage, "D-Bus message: wrong length");
  DbusReader r(bytes);
  DbusMessage message;
  r.skip(1);
  message.type = static_cast<DbusMessage::Type>(r.byte());
  r.skip(10);
  std::size_t fields = r.u32();
  auto end = r.position() + fields;
  while (r.ok() && r.position() < end) {
    r.align(8);
    auto field = r.byte();
    auto type = r.signature();
    std::string text;
    std::uint32_t number = 0;
    if (type == "s" || type == "o")
      text = r.string();
    else if (type == "g")
      text = r.signature();
    else if (type == "u")
      number = r.u32();
    else
      return fail(Code::kUsage, "D-Bus message: header of type '{}'", type);
    if (field == kMember) message.member = std::move(text);
    if (field == kErrorName) message.error = std::move(text);
    if (field == kSignature) message.signature = std::move(text);
    if (field == kReplySerial) message.reply_to = number;
  }
  r.align(8);
  if (!r.ok()) return fail(Code::kUsage, "D-Bus message: damaged header");
  message.body = bytes.substr(r.position());
  return message;
}

std::string dbus_call(std::uint32_t serial, std::string_view path, std::string_view interface, std::string_view member,
                      std::string_view signature, const std::string& body) {
  DbusWriter w;
  w.data_ = {'l', static_cast<char>(DbusMessage::Type::kCall), '\0', '\1'};
  w.number(body.size(), 4);
  w.number(serial, 4);
  struct Field {
    HeaderField code;
    std::string_view type, text;
  };
  const std::array<Field, 5> fields{{{kPath, "o", path},
                                     {kInterface, "s", interface},
                                     {kMember, "s", member},
                                     {kDestination, "s", "org.freedesktop.systemd1"},
                                     {kSignature, "g", signature}}};
  w.array(8, [&] {
    for (const auto& field : fields) {
      w.align(8);
      w.number(field.code, 1);
      w.signature(field.type);
      if (field.code == kSignature)
        w.signature(field.text);
      else
        w.string(field.text);
    }
  });
  w.align(8);
  return w.data_ + body;
}

Result<DbusConnection> DbusConnection::connect(const std::string& socket_path) {
  DbusConnection connection;
  connection.fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!connection.fd_) return fail_errno(errno, "socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) return fail(Code::kUsage, "{} is too long for a socket", socket_path);
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  if (::connect(connection.fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno(errno, "connect to {}", socket_path);
  VPS_TRY_CTX(socket_path, connection.authenticate());
  return connection;
}

Result<> DbusConnection::authenticate() {
  std::string id;
  for (char digit : std::to_string(::geteuid())) id += fmt::format("{:02x}", digit);
  std::string hello("\0", 1);
  // BEGIN does not wait for the OK: a first call that systemd reads together with it is left lying in its buffer.
  VPS_TRY(send_all(fd_.get(), hello + "AUTH EXTERNAL " + id + "\r\nBEGIN\r\n"));
  std::string answer;
  constexpr std::size_t kLongest = 512;
  while (!answer.ends_with("\r\n") && answer.size() < kLongest) answer += VPS_TRY(read_exactly(1));
  if (!answer.starts_with("OK ")) return fail(Code::kNotAllowed, "authentication refused");
  return {};
}

Result<std::string> DbusConnection::read_exactly(std::size_t bytes) {
  std::string data(bytes, '\0');
  std::size_t got = 0;
  while (got < bytes) {
    pollfd item{fd_.get(), POLLIN, 0};
    int ready = ::poll(&item, 1, kPatience);
    if (ready == 0) return fail(Code::kTimedOut, "no answer");
    ssize_t n = ready < 0 ? -1 : ::read(fd_.get(), data.data() + got, bytes - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "read");
    if (n == 0) return fail_errno(ECONNRESET, "read");
    got += static_cast<std::size_t>(n);
  }
  return data;
}

Result<DbusMessage> DbusConnection::receive() {
  auto head = VPS_TRY(read_exactly(kFixedHeader));
  auto size = VPS_TRY(dbus_message_size(head));
  return parse_dbus_message(head + VPS_TRY(read_exactly(size - kFixedHeader)));
}

Result<DbusMessage> DbusConnection::call(std::string_view path, std::string_view interface, std::string_view member,
                                         std::string_view signature, const std::string& body) {
  auto serial = ++serial_;
  VPS_TRY(send_all(fd_.get(), dbus_call(serial, path, interface, member, signature, body)));
  while (true) {
    auto message = VPS_TRY(receive());
    if (message.type == DbusMessage::Type::kSignal) signals_.push_back(std::move(message));
    else if (message.reply_to != serial) continue;
    else if (message.type == DbusMessage::Type::kReturn) return message;
    else if (message.type == DbusMessage::Type::kError)
      return fail(Code::kFailed, "{}: {}", message.error, message.signature.starts_with('s') ? DbusReader(message.body).string() : "");
  }
}

Result<DbusMessage> DbusConnection::wait_signal(std::string_view member) {
  while (true) {
    if (!signals_.empty()) {
      auto first = std::move(signals_.front());
      signals_.erase(signals_.begin());
      if (first.member == member) return first;
      continue;
    }
    auto message = VPS_TRY(receive());
    if (message.type == DbusMessage::Type::kSignal) signals_.push_back(std::move(message));
  }
}

}  // namespace vps::cgroups
