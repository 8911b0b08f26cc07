#include "netns/message.h"

#include <algorithm>

namespace vps::netns {

Message::Message(std::uint16_t type, std::uint16_t flags, std::string what) : what_(std::move(what)), flags_(flags) {
  bytes_.reserve(256);
  nlmsghdr head{};
  head.nlmsg_type = type;
  append(&head, sizeof head);
}

void Message::append(const void* data, std::size_t size) {
  bytes_.append(static_cast<const char*>(data), size);
  bytes_.append(aligned(bytes_.size()) - bytes_.size(), '\0');
}

Message& Message::put(std::uint16_t type, const void* data, std::size_t size) {
  nlattr head{};
  head.nla_type = type;
  head.nla_len = static_cast<std::uint16_t>(sizeof head + size);
  bytes_.append(reinterpret_cast<const char*>(&head), sizeof head);
  append(data, size);
  return *this;
}

Message& Message::text(std::uint16_t type, std::string_view value) {
  std::string terminated(value);
  return put(type, terminated.c_str(), terminated.size() + 1);
}

std::size_t Message::open(std::uint16_t type) {
  std::size_t at = bytes_.size();
  put(static_cast<std::uint16_t>(type | NLA_F_NESTED), nullptr, 0);
  return at;
}

void Message::close(std::size_t at) {
  auto size = static_cast<std::uint16_t>(bytes_.size() - at);
  std::memcpy(bytes_.data() + at, &size, sizeof size);  // nla_len stands first
}

const std::string& Message::finish(std::uint32_t sequence, std::uint16_t more_flags) {
  nlmsghdr head;
  std::memcpy(&head, bytes_.data(), sizeof head);
  head.nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
  head.nlmsg_flags = static_cast<std::uint16_t>(flags_ | more_flags | NLM_F_REQUEST);
  head.nlmsg_seq = sequence;
  std::memcpy(bytes_.data(), &head, sizeof head);
  return bytes_;
}

std::optional<MessageView> next_message(std::string_view& data) {
  nlmsghdr head;
  if (data.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, data.data(), sizeof head);
  if (head.nlmsg_len < sizeof head || head.nlmsg_len > data.size()) return std::nullopt;
  MessageView message{head.nlmsg_type, head.nlmsg_flags, head.nlmsg_seq, data.substr(sizeof head, head.nlmsg_len - sizeof head)};
  data.remove_prefix(std::min(data.size(), aligned(head.nlmsg_len)));
  return message;
}

std::optional<Attributes::Item> Attributes::next() {
  nlattr head;
  if (bytes_.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, bytes_.data(), sizeof head);
  if (head.nla_len < sizeof head || head.nla_len > bytes_.size()) {
    bytes_ = {};
    return std::nullopt;
  }
  Item item{static_cast<std::uint16_t>(head.nla_type & NLA_TYPE_MASK), bytes_.substr(sizeof head, head.nla_len - sizeof head)};
  bytes_.remove_prefix(std::min(bytes_.size(), aligned(head.nla_len)));
  return item;
}

std::optional<std::string_view> Attributes::find(std::uint16_t type) const {
  Attributes rest = *this;
  std::optional<std::string_view> found;
  while (auto item = rest.next())
    if (item->type == type) found = item->data;
  return found;
}

Attributes Attributes::nested(std::uint16_t type) const {
  auto data = find(type);
  return data ? Attributes(*data) : Attributes();
}

std::string Attributes::text(std::uint16_t type) const {
  auto data = find(type);
  return data ? std::string(data->substr(0, data->find('\0'))) : std::string();
}

std::optional<IpAddress> Attributes::address(std::uint16_t type) const {
  auto data = find(type);
  if (!data || (data->size() != 4 && data->size() != 16)) return std::nullopt;
  IpAddress address;
  address.family = data->size() == 4 ? Family::kV4 : Family::kV6;
  std::memcpy(address.bytes.data(), data->data(), data->size());
  return address;
}

std::optional<MacAddress> Attributes::mac(std::uint16_t type) const {
  auto data = find(type);
  MacAddress mac;
  if (!data || data->size() != mac.bytes.size()) return std::nullopt;
  std::memcpy(mac.bytes.data(), data->data(), data->size());
  return mac;
}

std::optional<Acknowledgement> parse_acknowledgement(const MessageView& message) {
  if (message.type != NLMSG_ERROR && message.type != NLMSG_DONE) return std::nullopt;
  auto code = message.header<int>();  // both begin with it
  Acknowledgement acknowledgement;
  if (!code) {
    if (message.type == NLMSG_DONE) return acknowledgement;
    return std::nullopt;
  }
  acknowledgement.error = *code < 0 && *code != INT32_MIN ? -*code : 0;
  if ((message.flags & NLM_F_ACK_TLVS) == 0) return acknowledgement;
  std::size_t skip = sizeof(int);
  if (message.type == NLMSG_ERROR) {
    auto head = message.header<nlmsgerr>();
    if (!head) return acknowledgement;
    skip = sizeof(nlmsgerr);
    // Without NETLINK_CAP_ACK the whole request stands in between.
    if ((message.flags & NLM_F_CAPPED) == 0 && head->msg.nlmsg_len > sizeof(nlmsghdr))
      skip += aligned(head->msg.nlmsg_len - sizeof(nlmsghdr));
  }
  acknowledgement.text = Attributes(message, skip).text(NLMSGERR_ATTR_MSG);
  return acknowledgement;
}

}  // namespace vps::netns
