#include "netns/nft_expr.h"

#include <arpa/inet.h>

#include <endian.h>
#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstring>

namespace vps::netns::nft {
namespace {

constexpr std::uint8_t kOriginal = 0;  // IP_CT_DIR_ORIGINAL

constexpr std::uint32_t reg(unsigned number) { return NFT_REG32_00 + number; }

std::string hex(std::string_view bytes) {
  std::string text = "0x";
  for (char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return text;
}

Bytes value(std::string_view bytes) { return Bytes().put(NFTA_DATA_VALUE, bytes); }

Expr compare(std::uint32_t op, unsigned from, std::string_view bytes) {
  Bytes data;
  data.u32(NFTA_CMP_SREG, reg(from)).u32(NFTA_CMP_OP, op).nest(NFTA_CMP_DATA, value(bytes));
  return {"cmp", data.str(), fmt::format("r{} {} {}", from, op == NFT_CMP_EQ ? "==" : "!=", hex(bytes))};
}

Bytes verdict_data(std::uint32_t code, std::string_view chain) {
  Bytes verdict;
  verdict.u32(NFTA_VERDICT_CODE, code);
  if (!chain.empty()) verdict.text(NFTA_VERDICT_CHAIN, chain);
  return Bytes().nest(NFTA_DATA_VERDICT, verdict);
}

Expr verdict(std::int32_t code, std::string_view chain, std::string text) {
  Bytes data;
  data.u32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT).nest(NFTA_IMMEDIATE_DATA, verdict_data(static_cast<std::uint32_t>(code), chain));
  if (!chain.empty()) text += fmt::format(" {}", chain);
  return {"immediate", data.str(), std::move(text)};
}

Expr lookup(std::string_view set, unsigned from, std::optional<std::uint32_t> to, bool invert, std::uint32_t id) {
  Bytes data;
  data.text(NFTA_LOOKUP_SET, set).u32(NFTA_LOOKUP_SREG, reg(from));
  if (to) data.u32(NFTA_LOOKUP_DREG, *to);
  if (invert) data.u32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
  if (id != 0) data.u32(NFTA_LOOKUP_SET_ID, id);
  return {"lookup", data.str(), fmt::format("{}lookup r{} @{}", invert ? "not " : "", from, set)};
}

std::uint64_t fingerprint(std::string_view text) {  // FNV-1a: against accidents and edits, not against attackers
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (char byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  return hash;
}

}  // namespace

Bytes& Bytes::put(std::uint16_t type, std::string_view data) {
  nlattr head{static_cast<std::uint16_t>(sizeof(nlattr) + data.size()), type};
  bytes_.append(reinterpret_cast<const char*>(&head), sizeof head).append(data);
  bytes_.append((4 - bytes_.size() % 4) % 4, '\0');
  return *this;
}
Bytes& Bytes::text(std::uint16_t type, std::string_view data) { return put(type, std::string(data) + '\0'); }
Bytes& Bytes::u8(std::uint16_t type, std::uint8_t value) { return put(type, {reinterpret_cast<const char*>(&value), 1}); }
Bytes& Bytes::u16(std::uint16_t type, std::uint16_t value) { return put(type, big16(value)); }
Bytes& Bytes::u32(std::uint16_t type, std::uint32_t value) { return put(type, big32(value)); }
Bytes& Bytes::u64(std::uint16_t type, std::uint64_t value) {
  value = htobe64(value);
  return put(type, {reinterpret_cast<const char*>(&value), sizeof value});
}
Bytes& Bytes::nest(std::uint16_t type, std::string_view inner) {
  return put(static_cast<std::uint16_t>(type | NLA_F_NESTED), inner);
}

std::string native32(std::uint32_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }
std::string big16(std::uint16_t value) {
  value = htons(value);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string big32(std::uint32_t value) { return native32(htonl(value)); }
std::string link_key(std::string_view name) {
  std::string key(name.substr(0, 15));
  key.resize(16, '\0');
  return key;
}

Expr meta(std::uint32_t key, unsigned to) {
  Bytes data;
  data.u32(NFTA_META_KEY, key).u32(NFTA_META_DREG, reg(to));
  std::string_view name = key == NFT_META_IIFNAME ? "iifname" : key == NFT_META_OIFNAME ? "oifname"
                          : key == NFT_META_L4PROTO ? "l4proto" : key == NFT_META_NFPROTO ? "nfproto" : "";
  return {"meta", data.str(), name.empty() ? fmt::format("meta {} -> r{}", key, to) : fmt::format("meta {} -> r{}", name, to)};
}
Expr set_meta(std::uint32_t key, unsigned from) {
  return {"meta", Bytes().u32(NFTA_META_KEY, key).u32(NFTA_META_SREG, reg(from)).str(), fmt::format("r{} -> meta {}", from, key)};
}
Expr payload(Base base, unsigned offset, unsigned length, unsigned to) {
  Bytes data;
  data.u32(NFTA_PAYLOAD_DREG, reg(to)).u32(NFTA_PAYLOAD_BASE, static_cast<std::uint32_t>(base));
  data.u32(NFTA_PAYLOAD_OFFSET, offset).u32(NFTA_PAYLOAD_LEN, length);
  constexpr std::string_view kNames[] = {"link", "network", "transport"};
  return {"payload", data.str(), fmt::format("{}+{}:{} -> r{}", kNames[static_cast<unsigned>(base)], offset, length, to)};
}
Expr fragment_offset(unsigned to) {
  constexpr std::uint8_t kFragmentHeader = 44;
  constexpr std::uint32_t kOffset = 2, kLength = 2;
  Bytes data;
  data.u32(NFTA_EXTHDR_DREG, reg(to)).u8(NFTA_EXTHDR_TYPE, kFragmentHeader).u32(NFTA_EXTHDR_OFFSET, kOffset).u32(NFTA_EXTHDR_LEN, kLength);
  data.u32(NFTA_EXTHDR_OP, NFT_EXTHDR_OP_IPV6);
  return {"exthdr", data.str(), fmt::format("fragment+{}:{} -> r{}", kOffset, kLength, to)};
}
Expr equal(unsigned from, std::string_view bytes) { return compare(NFT_CMP_EQ, from, bytes); }
Expr unequal(unsigned from, std::string_view bytes) { return compare(NFT_CMP_NEQ, from, bytes); }
Expr masked(unsigned at, std::string_view mask, std::string_view set) {
  Bytes data;
  auto length = static_cast<std::uint32_t>(mask.size());
  data.u32(NFTA_BITWISE_SREG, reg(at)).u32(NFTA_BITWISE_DREG, reg(at)).u32(NFTA_BITWISE_LEN, length);
  data.nest(NFTA_BITWISE_MASK, value(mask)).nest(NFTA_BITWISE_XOR, value(set.empty() ? std::string(mask.size(), '\0') : std::string(set)));
  return {"bitwise", data.str(), fmt::format("r{} & {}{}", at, hex(mask), set.empty() ? "" : " ^ " + hex(set))};
}
Expr in_set(std::string_view set, unsigned from, std::uint32_t id) { return lookup(set, from, std::nullopt, false, id); }
Expr not_in_set(std::string_view set, unsigned from) { return lookup(set, from, std::nullopt, true, 0); }
Expr map(std::string_view set, unsigned from, unsigned to) {
  Expr expr = lookup(set, from, reg(to), false, 0);
  expr.text += fmt::format(" -> r{}", to);
  return expr;
}
Expr verdict_map(std::string_view set, unsigned from) {
  Expr expr = lookup(set, from, NFT_REG_VERDICT, false, 0);
  expr.text += " -> verdict";
  return expr;
}
Expr load(unsigned to, std::string_view bytes) {
  Bytes data;
  data.u32(NFTA_IMMEDIATE_DREG, reg(to)).nest(NFTA_IMMEDIATE_DATA, value(bytes));
  return {"immediate", data.str(), fmt::format("{} -> r{}", hex(bytes), to)};
}
Expr accept() { return verdict(NF_ACCEPT, {}, "accept"); }
Expr drop() { return verdict(NF_DROP, {}, "drop"); }
Expr go_to(std::string_view chain) { return verdict(NFT_GOTO, chain, "goto"); }
Expr jump(std::string_view chain) { return verdict(NFT_JUMP, chain, "jump"); }
Expr give_back() { return verdict(NFT_RETURN, {}, "return"); }
Expr counter(std::uint64_t bytes, std::uint64_t packets) {
  return {"counter", Bytes().u64(NFTA_COUNTER_BYTES, bytes).u64(NFTA_COUNTER_PACKETS, packets).str(), "counter"};
}
Expr limit(std::uint64_t rate, std::uint64_t seconds, std::uint32_t burst, bool over) {
  Bytes data;
  data.u64(NFTA_LIMIT_RATE, rate).u64(NFTA_LIMIT_UNIT, seconds).u32(NFTA_LIMIT_BURST, burst);
  data.u32(NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS).u32(NFTA_LIMIT_FLAGS, over ? std::uint32_t{NFT_LIMIT_F_INV} : 0u);
  return {"limit", data.str(), fmt::format("limit {} {}/{}s burst {}", over ? "over" : "up to", rate, seconds, burst)};
}
Expr connection_limit(std::uint32_t count) {
  return {"connlimit", Bytes().u32(NFTA_CONNLIMIT_COUNT, count).u32(NFTA_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV).str(),
          fmt::format("connections over {}", count)};
}
Expr remember(std::string_view set, unsigned from, const Expr& limit) {
  Bytes data;
  data.text(NFTA_DYNSET_SET_NAME, set).u32(NFTA_DYNSET_SREG_KEY, reg(from)).u32(NFTA_DYNSET_OP, NFT_DYNSET_OP_ADD);
  data.nest(NFTA_DYNSET_EXPR, encode(limit));
  return {"dynset", data.str(), fmt::format("r{} in @{} {}", from, set, limit.text)};
}
Expr conntrack(std::uint32_t key, unsigned to) {
  return {"ct", Bytes().u32(NFTA_CT_DREG, reg(to)).u32(NFTA_CT_KEY, key).str(),
          fmt::format("ct {} -> r{}", key == NFT_CT_STATE ? "state" : "status", to)};
}
Expr original_source_port(unsigned to) {
  Bytes data;
  data.u32(NFTA_CT_DREG, reg(to)).u32(NFTA_CT_KEY, NFT_CT_PROTO_SRC).u8(NFTA_CT_DIRECTION, kOriginal);
  return {"ct", data.str(), fmt::format("ct original source port -> r{}", to)};
}
Expr local_destination(unsigned to) {
  Bytes data;
  data.u32(NFTA_FIB_DREG, reg(to)).u32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE).u32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
  return {"fib", data.str(), fmt::format("fib daddr type -> r{}", to)};
}
Expr dnat(std::uint32_t family, unsigned address_reg, unsigned port_reg) {
  Bytes data;
  data.u32(NFTA_NAT_TYPE, NFT_NAT_DNAT).u32(NFTA_NAT_FAMILY, family).u32(NFTA_NAT_REG_ADDR_MIN, reg(address_reg));
  data.u32(NFTA_NAT_REG_PROTO_MIN, reg(port_reg));
  return {"nat", data.str(), fmt::format("dnat to r{} port r{}", address_reg, port_reg)};
}
Expr masquerade() { return {"masq", "", "masquerade"}; }
Expr reject(std::uint32_t type, std::uint8_t code) {
  Bytes data;
  data.u32(NFTA_REJECT_TYPE, type);
  if (type != NFT_REJECT_TCP_RST) data.u8(NFTA_REJECT_ICMP_CODE, code);
  return {"reject", data.str(), type == NFT_REJECT_TCP_RST ? "reject with tcp reset" : fmt::format("reject with icmpx {}", code)};
}
Expr log(std::string_view prefix, std::uint32_t level) {
  return {"log", Bytes().text(NFTA_LOG_PREFIX, prefix).u32(NFTA_LOG_LEVEL, level).str(), fmt::format("log \"{}\"", prefix)};
}

std::string Rule::text() const {
  std::string all = chain + ":";
  for (const auto& expr : exprs) all += " [ " + expr.text + " ]";
  return all;
}

std::string Rule::user_data() const {
  std::uint64_t hash = fingerprint(text());
  return std::string(reinterpret_cast<const char*>(&hash), sizeof hash) + note;
}

bool Element::operator==(const Element& other) const {
  return key == other.key && data == other.data && chain == other.chain && end == other.end;
}

std::string encode(const Expr& expr) {
  return Bytes().text(NFTA_EXPR_NAME, expr.name).nest(NFTA_EXPR_DATA, expr.data).str();
}

std::string encode(const Element& element) {
  Bytes bytes;
  bytes.nest(NFTA_SET_ELEM_KEY, value(element.key));
  if (!element.chain.empty()) bytes.nest(NFTA_SET_ELEM_DATA, verdict_data(static_cast<std::uint32_t>(NFT_GOTO), element.chain));
  else if (!element.data.empty()) bytes.nest(NFTA_SET_ELEM_DATA, value(element.data));
  if (element.end) bytes.u32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
  if (element.expr) bytes.nest(NFTA_SET_ELEM_EXPR, encode(*element.expr));
  if (!element.user_data.empty()) bytes.put(NFTA_SET_ELEM_USERDATA, element.user_data);
  return bytes.str();
}

}  // namespace vps::netns::nft
