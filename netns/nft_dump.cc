// Reading back what the kernel holds. Every length is checked: the parsers are fuzzed.
#include <arpa/inet.h>

#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>
#include <cstring>

#include "netns/nft_batch.h"

namespace vps::netns::nft {
namespace {

std::optional<std::uint32_t> big32_of(const Attributes& attributes, std::uint16_t type) {
  auto value = attributes.u32(type);
  if (value) value = ntohl(*value);
  return value;
}
std::uint64_t big64_of(const Attributes& attributes, std::uint16_t type) {
  auto value = attributes.u64(type);
  return value ? be64toh(*value) : 0;
}

// The nfgenmsg in front, of a message of this kind.
std::optional<std::uint8_t> family_of(const MessageView& message, std::uint16_t type) {
  if (message.type != (NFNL_SUBSYS_NFTABLES << 8 | type)) return std::nullopt;
  auto head = message.header<nfgenmsg>();
  if (!head) return std::nullopt;
  return head->nfgen_family;
}

std::string value_of(const Attributes& attributes, std::uint16_t type) {
  auto data = attributes.nested(type).find(NFTA_DATA_VALUE);
  return data ? std::string(*data) : std::string();
}

void read_expr(const Attributes& expr, DumpedElement& element) {
  std::string name = expr.text(NFTA_EXPR_NAME);
  Attributes data = expr.nested(NFTA_EXPR_DATA);
  if (name == "counter") {
    element.counted = true;
    element.bytes = big64_of(data, NFTA_COUNTER_BYTES);
    element.packets = big64_of(data, NFTA_COUNTER_PACKETS);
  } else if (name == "limit") {
    element.limit = limit(big64_of(data, NFTA_LIMIT_RATE), big64_of(data, NFTA_LIMIT_UNIT), big32_of(data, NFTA_LIMIT_BURST).value_or(0),
                          (big32_of(data, NFTA_LIMIT_FLAGS).value_or(0) & NFT_LIMIT_F_INV) != 0)
                        .text;
  } else if (name == "connlimit") {
    element.limit = connection_limit(big32_of(data, NFTA_CONNLIMIT_COUNT).value_or(0)).text;
  }
}

DumpedElement read_element(const Attributes& attributes) {
  DumpedElement element;
  element.key = value_of(attributes, NFTA_SET_ELEM_KEY);
  element.data = value_of(attributes, NFTA_SET_ELEM_DATA);
  element.chain = attributes.nested(NFTA_SET_ELEM_DATA).nested(NFTA_DATA_VERDICT).text(NFTA_VERDICT_CHAIN);
  element.end = (big32_of(attributes, NFTA_SET_ELEM_FLAGS).value_or(0) & NFT_SET_ELEM_INTERVAL_END) != 0;
  if (auto expr = attributes.find(NFTA_SET_ELEM_EXPR)) read_expr(Attributes(*expr), element);
  if (auto data = attributes.find(NFTA_SET_ELEM_USERDATA)) element.user_data = *data;
  return element;
}

Message request(std::uint16_t type, std::uint16_t flags, std::uint8_t family, std::string what) {
  Message message(static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), flags, std::move(what));
  message.header(nfgenmsg{family, NFNETLINK_V0, 0});
  return message;
}

template <class T>
T not_found(T result) {
  if (!result && result.error().err() == ENOENT) return std::unexpected(std::move(result).error().with_code(Code::kNotFound));
  return result;
}

// What `parse` makes of each message.
template <class T, class Parse>
std::vector<T> collect(const std::vector<std::string>& replies, Parse&& parse) {
  std::vector<T> all;
  for_each_message(replies, [&](const MessageView& message) {
    if (auto one = parse(message)) all.push_back(std::move(*one));
  });
  return all;
}

}  // namespace

std::optional<DumpedElements> parse_elements(const MessageView& message) {
  auto family = family_of(message, NFT_MSG_NEWSETELEM);
  if (!family) return std::nullopt;
  Attributes attributes(message, sizeof(nfgenmsg));
  DumpedElements all{attributes.text(NFTA_SET_ELEM_LIST_TABLE), attributes.text(NFTA_SET_ELEM_LIST_SET), *family, {}};
  Attributes list = attributes.nested(NFTA_SET_ELEM_LIST_ELEMENTS);
  while (auto item = list.next())
    if (item->type == NFTA_LIST_ELEM) all.elements.push_back(read_element(Attributes(item->data)));
  return all;
}

std::optional<DumpedRule> parse_rule(const MessageView& message) {
  auto family = family_of(message, NFT_MSG_NEWRULE);
  if (!family) return std::nullopt;
  Attributes attributes(message, sizeof(nfgenmsg));
  DumpedRule rule;
  rule.family = *family;
  rule.table = attributes.text(NFTA_RULE_TABLE);
  rule.chain = attributes.text(NFTA_RULE_CHAIN);
  rule.handle = big64_of(attributes, NFTA_RULE_HANDLE);
  if (auto data = attributes.find(NFTA_RULE_USERDATA)) rule.user_data = *data;
  Attributes list = attributes.nested(NFTA_RULE_EXPRESSIONS);
  while (auto item = list.next()) {
    if (item->type != NFTA_LIST_ELEM) continue;
    Attributes expr(item->data);
    auto data = expr.find(NFTA_EXPR_DATA);
    rule.exprs.push_back({expr.text(NFTA_EXPR_NAME), data ? std::string(*data) : std::string()});
  }
  return rule;
}

std::optional<DumpedChain> parse_chain(const MessageView& message) {
  auto family = family_of(message, NFT_MSG_NEWCHAIN);
  if (!family) return std::nullopt;
  Attributes attributes(message, sizeof(nfgenmsg));
  DumpedChain chain;
  chain.family = *family;
  chain.table = attributes.text(NFTA_CHAIN_TABLE);
  chain.chain.name = attributes.text(NFTA_CHAIN_NAME);
  chain.policy = big32_of(attributes, NFTA_CHAIN_POLICY).value_or(NF_ACCEPT);
  if (!attributes.find(NFTA_CHAIN_HOOK)) return chain;
  Attributes hook = attributes.nested(NFTA_CHAIN_HOOK);
  chain.chain.type = attributes.text(NFTA_CHAIN_TYPE);
  chain.chain.hook = big32_of(hook, NFTA_HOOK_HOOKNUM).value_or(0);
  chain.chain.priority = static_cast<std::int32_t>(big32_of(hook, NFTA_HOOK_PRIORITY).value_or(0));
  return chain;
}

std::optional<Set> parse_set(const MessageView& message, std::string& table, std::uint8_t& family) {
  auto head = family_of(message, NFT_MSG_NEWSET);
  if (!head) return std::nullopt;
  Attributes attributes(message, sizeof(nfgenmsg));
  family = *head;
  table = attributes.text(NFTA_SET_TABLE);
  Set set;
  set.name = attributes.text(NFTA_SET_NAME);
  set.key_type = big32_of(attributes, NFTA_SET_KEY_TYPE).value_or(0);
  set.key_length = big32_of(attributes, NFTA_SET_KEY_LEN).value_or(0);
  set.data_type = big32_of(attributes, NFTA_SET_DATA_TYPE).value_or(0);
  set.data_length = big32_of(attributes, NFTA_SET_DATA_LEN).value_or(0);
  std::uint32_t flags = big32_of(attributes, NFTA_SET_FLAGS).value_or(0);
  if ((flags & NFT_SET_MAP) == 0) set.data_type = set.data_length = 0;
  set.interval = (flags & NFT_SET_INTERVAL) != 0;
  set.dynamic = (flags & NFT_SET_EVAL) != 0;
  set.anonymous = (flags & NFT_SET_ANONYMOUS) != 0;
  set.room = big32_of(attributes.nested(NFTA_SET_DESC), NFTA_SET_DESC_SIZE).value_or(0);
  set.counted = attributes.nested(NFTA_SET_EXPR).text(NFTA_EXPR_NAME) == "counter";
  return set;
}

std::optional<Counts> counter_of(const DumpedRule& rule) {
  for (const auto& expr : rule.exprs)
    if (expr.name == "counter") {
      Attributes data(expr.data);
      return Counts{big64_of(data, NFTA_COUNTER_BYTES), big64_of(data, NFTA_COUNTER_PACKETS)};
    }
  return std::nullopt;
}

Result<std::vector<DumpedElement>> dump_elements(Socket& socket, const TableName& table, const std::string& set) {
  auto message = request(NFT_MSG_GETSETELEM, NLM_F_DUMP, table.family, "read elements of " + set);
  message.text(NFTA_SET_ELEM_LIST_TABLE, table.name).text(NFTA_SET_ELEM_LIST_SET, set);
  auto replies = VPS_TRY(not_found(socket.dump(message)));
  std::vector<DumpedElement> all;
  for (auto& part : collect<DumpedElements>(replies, parse_elements))
    for (auto& each : part.elements) all.push_back(std::move(each));
  return all;
}

Result<std::vector<DumpedElement>> get_elements(Socket& socket, const TableName& table, const std::string& set,
                                                std::span<const std::string> keys) {
  auto message = request(NFT_MSG_GETSETELEM, 0, table.family, "read elements of " + set);
  message.text(NFTA_SET_ELEM_LIST_TABLE, table.name).text(NFTA_SET_ELEM_LIST_SET, set);
  Bytes list;
  for (const auto& key : keys) list.nest(NFTA_LIST_ELEM, encode(Element{.key = key}));
  message.put(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, list.str().data(), list.str().size());
  auto replies = VPS_TRY(not_found(socket.ask(std::move(message))));
  std::vector<DumpedElement> all;
  for (auto& part : collect<DumpedElements>(replies, parse_elements))
    for (auto& each : part.elements) all.push_back(std::move(each));
  return all;
}

Result<std::vector<DumpedRule>> dump_rules(Socket& socket, const TableName& table, std::string_view chain) {
  auto message = request(NFT_MSG_GETRULE, NLM_F_DUMP, table.family, "read rules of " + (table.name.empty() ? "all tables" : table.name));
  if (!table.name.empty()) message.text(NFTA_RULE_TABLE, table.name);
  if (!chain.empty()) message.text(NFTA_RULE_CHAIN, chain);
  auto replies = VPS_TRY(not_found(socket.dump(message)));
  return collect<DumpedRule>(replies, parse_rule);
}

Result<std::vector<DumpedChain>> dump_chains(Socket& socket, std::uint8_t family) {
  auto replies = VPS_TRY(socket.dump(request(NFT_MSG_GETCHAIN, NLM_F_DUMP, family, "read chains")));
  return collect<DumpedChain>(replies, parse_chain);
}

Result<std::vector<Set>> dump_sets(Socket& socket, const TableName& table) {
  auto message = request(NFT_MSG_GETSET, NLM_F_DUMP, table.family, "read sets of " + table.name);
  message.text(NFTA_SET_TABLE, table.name);
  auto replies = VPS_TRY(not_found(socket.dump(message)));
  std::string name;
  std::uint8_t family = 0;
  auto all = collect<Set>(replies, [&](const MessageView& each) {
    auto set = parse_set(each, name, family);
    return set && name == table.name && family == table.family ? set : std::nullopt;
  });
  return all;
}

}  // namespace vps::netns::nft
