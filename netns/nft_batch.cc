#include "netns/nft_batch.h"

#include <arpa/inet.h>

#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vps::netns::nft {
namespace {

// Apart from what Socket counts up itself.
constexpr std::uint32_t kSequence = 0x40000000;
// An attribute says its length in 16 bits, and the list of a message's elements is one.
constexpr std::size_t kElementBytes = 48u << 10;
constexpr std::size_t kSendBuffer = 160u << 10;
constexpr std::uint32_t kNameFlags = NLM_F_CREATE;

std::uint16_t type_of(std::uint16_t message) { return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message); }

template <class T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// What an errno of nftables means to whoever has called.
Error refused(int err, const std::string& what, const std::string& words) {
  std::string text = words.empty() ? what : what + ": " + words;
  Code code = code_from_errno(err);
  if (err == ENOENT) code = Code::kNotFound;
  if (err == EEXIST || err == EBUSY || err == ENOTEMPTY) code = Code::kExists;
  if (err == EOPNOTSUPP || err == EPROTO || err == EAFNOSUPPORT) code = Code::kUnavailable;
  return Error(code, err, text);
}

Result<> enlarge(int fd, std::size_t size) {
  if (size < kSendBuffer) return {};
  int wanted = static_cast<int>(std::min<std::size_t>(size + 4096, 1u << 30));
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted) == 0) return {};
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted) == 0) return {};
  return fail_errno(errno, "make room for {} bytes in a netlink socket", size);
}

}  // namespace

Batch::Batch() {
  frame(NFNL_MSG_BATCH_BEGIN);
}

void Batch::frame(std::uint16_t type) {
  nlmsghdr head{};
  head.nlmsg_len = sizeof head + sizeof(nfgenmsg);
  head.nlmsg_type = type;
  head.nlmsg_flags = NLM_F_REQUEST;
  head.nlmsg_seq = kSequence;
  append(bytes_, head);
  append(bytes_, nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)});
}

void Batch::message(std::uint16_t type, std::uint16_t flags, const TableName& table, const Bytes& attributes, std::string what) {
  nlmsghdr head{};
  head.nlmsg_len = static_cast<std::uint32_t>(sizeof head + sizeof(nfgenmsg) + attributes.str().size());
  head.nlmsg_type = type_of(type);
  head.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  whats_.push_back(std::move(what));
  head.nlmsg_seq = kSequence + static_cast<std::uint32_t>(whats_.size());
  append(bytes_, head);
  append(bytes_, nfgenmsg{table.family, NFNETLINK_V0, 0});
  bytes_ += attributes.str();
}

void Batch::add_table(const TableName& table) {
  message(NFT_MSG_NEWTABLE, kNameFlags, table, Bytes().text(NFTA_TABLE_NAME, table.name), fmt::format("add table {}", table.name));
}
void Batch::delete_table(const TableName& table) {
  message(NFT_MSG_DELTABLE, 0, table, Bytes().text(NFTA_TABLE_NAME, table.name), fmt::format("delete table {}", table.name));
}

void Batch::add_chain(const TableName& table, const Chain& chain) {
  Bytes bytes;
  bytes.text(NFTA_CHAIN_TABLE, table.name).text(NFTA_CHAIN_NAME, chain.name);
  if (!chain.type.empty()) {
    Bytes hook;
    hook.u32(NFTA_HOOK_HOOKNUM, chain.hook).u32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(chain.priority));
    bytes.nest(NFTA_CHAIN_HOOK, hook).u32(NFTA_CHAIN_POLICY, NF_ACCEPT).text(NFTA_CHAIN_TYPE, chain.type);
  }
  message(NFT_MSG_NEWCHAIN, kNameFlags, table, bytes, fmt::format("add chain {}", chain.name));
}
void Batch::flush_chain(const TableName& table, const std::string& chain) {
  message(NFT_MSG_DELRULE, 0, table, Bytes().text(NFTA_RULE_TABLE, table.name).text(NFTA_RULE_CHAIN, chain), fmt::format("flush chain {}", chain));
}
void Batch::delete_chain(const TableName& table, const std::string& chain) {
  message(NFT_MSG_DELCHAIN, 0, table, Bytes().text(NFTA_CHAIN_TABLE, table.name).text(NFTA_CHAIN_NAME, chain),
          fmt::format("delete chain {}", chain));
}

void Batch::add_set(const TableName& table, const Set& set) {
  std::uint32_t flags = 0;
  if (set.anonymous) flags |= NFT_SET_ANONYMOUS | NFT_SET_CONSTANT;
  if (set.interval) flags |= NFT_SET_INTERVAL;
  if (set.data_length != 0) flags |= NFT_SET_MAP;
  if (set.dynamic) flags |= NFT_SET_EVAL;
  Bytes bytes;
  bytes.text(NFTA_SET_TABLE, table.name).text(NFTA_SET_NAME, set.name).u32(NFTA_SET_FLAGS, flags);
  bytes.u32(NFTA_SET_KEY_TYPE, set.key_type).u32(NFTA_SET_KEY_LEN, set.key_length);
  if (set.data_length != 0)
    bytes.u32(NFTA_SET_DATA_TYPE, set.data_type).u32(NFTA_SET_DATA_LEN, set.data_length);
  bytes.u32(NFTA_SET_ID, set.id);
  if (set.room != 0) bytes.nest(NFTA_SET_DESC, Bytes().u32(NFTA_SET_DESC_SIZE, set.room));
  if (set.counted) bytes.nest(NFTA_SET_EXPR, encode(counter()));
  message(NFT_MSG_NEWSET, kNameFlags, table, bytes, fmt::format("add set {}", set.name));
}
void Batch::flush_set(const TableName& table, const std::string& set) {
  Bytes bytes;
  bytes.text(NFTA_SET_ELEM_LIST_TABLE, table.name).text(NFTA_SET_ELEM_LIST_SET, set);
  message(NFT_MSG_DELSETELEM, 0, table, bytes, fmt::format("flush set {}", set));
}

void Batch::add_rule(const TableName& table, const Rule& rule) {
  Bytes list;
  for (const auto& expr : rule.exprs) list.nest(NFTA_LIST_ELEM, encode(expr));
  Bytes bytes;
  bytes.text(NFTA_RULE_TABLE, table.name).text(NFTA_RULE_CHAIN, rule.chain).nest(NFTA_RULE_EXPRESSIONS, list);
  bytes.put(NFTA_RULE_USERDATA, rule.user_data());
  message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, table, bytes, fmt::format("add rule {}", rule.text()));
}

void Batch::elements(std::uint16_t type, std::uint16_t flags, const TableName& table, const Set& set, std::span<const Element> elements,
                     const char* verb) {
  Bytes list;
  auto send = [&] {
    if (list.str().empty()) return;
    Bytes bytes;
    bytes.text(NFTA_SET_ELEM_LIST_TABLE, table.name).text(NFTA_SET_ELEM_LIST_SET, set.name);
    if (set.id != 0) bytes.u32(NFTA_SET_ELEM_LIST_SET_ID, set.id);
    bytes.nest(NFTA_SET_ELEM_LIST_ELEMENTS, list);
    message(type, flags, table, bytes, fmt::format("{} elements of {}", verb, set.name));
    list = {};
  };
  for (const auto& element : elements) {
    list.nest(NFTA_LIST_ELEM, encode(element));
    if (list.str().size() > kElementBytes) send();
  }
  send();
}
void Batch::add_elements(const TableName& table, const Set& set, std::span<const Element> list) {
  elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, table, set, list, "add");
}
void Batch::delete_elements(const TableName& table, const Set& set, std::span<const Element> list) {
  elements(NFT_MSG_DELSETELEM, 0, table, set, list, "delete");
}

Result<> Batch::commit(Socket& socket) {
  if (empty()) return {};
  // The last message is acknowledged when all have been applied. Where one fails, its error comes first.
  std::string_view rest = bytes_;
  std::size_t last = 0;
  while (auto each = next_message(rest)) last = static_cast<std::size_t>(each->payload.data() - bytes_.data()) - sizeof(nlmsghdr);
  nlmsghdr head;
  std::memcpy(&head, bytes_.data() + last, sizeof head);
  head.nlmsg_flags |= NLM_F_ACK;
  std::memcpy(bytes_.data() + last, &head, sizeof head);
  frame(NFNL_MSG_BATCH_END);
  VPS_TRY(enlarge(socket.fd(), bytes_.size()));
  std::vector<char> buffer(64u << 10);
  // What a transaction that failed earlier has left unread: the kernel has answered all of it by now.
  while (::recv(socket.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT) >= 0) continue;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent = ::sendto(socket.fd(), bytes_.data(), bytes_.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
  if (sent < 0) return fail_errno(errno, "send {} bytes to nftables", bytes_.size());
  for (;;) {
    ssize_t size = ::recv(socket.fd(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno(errno, "{}: receive from nftables", whats_.front());
    std::string_view data(buffer.data(), static_cast<std::size_t>(size));
    while (auto message = next_message(data)) {
      if (message->sequence < kSequence || message->sequence > kSequence + whats_.size()) continue;
      auto answer = parse_acknowledgement(*message);
      if (!answer) continue;
      std::size_t index = message->sequence - kSequence;
      if (answer->error != 0)
        return std::unexpected(refused(answer->error, index == 0 ? "change nftables" : whats_[index - 1], answer->text));
      if (message->sequence == head.nlmsg_seq) return {};
    }
  }
}

}  // namespace vps::netns::nft
