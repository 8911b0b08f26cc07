// Expressions, rules, sets and elements of nftables as data, and their netlink bytes (linux/netfilter/nf_tables.h). Pure.
//
// Debian ships no static libmnl, on which libnftnl stands, and programs that link this folder are static: so the messages are
// written here. tests/unit/netns holds them against a golden list of every rule.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vps::netns::nft {

// Netlink attributes, appended one by one. Numbers are in network byte order, as nfnetlink has them.
class Bytes {
 public:
  Bytes& put(std::uint16_t type, std::string_view data);
  Bytes& text(std::uint16_t type, std::string_view data);  // with a NUL
  Bytes& u8(std::uint16_t type, std::uint8_t value);
  Bytes& u16(std::uint16_t type, std::uint16_t value);
  Bytes& u32(std::uint16_t type, std::uint32_t value);
  Bytes& u64(std::uint16_t type, std::uint64_t value);
  Bytes& nest(std::uint16_t type, const Bytes& inner) { return nest(type, inner.bytes_); }
  Bytes& nest(std::uint16_t type, std::string_view inner);
  [[nodiscard]] const std::string& str() const { return bytes_; }

 private:
  std::string bytes_;
};

std::string native32(std::uint32_t value);  // 4 bytes in the host's order: marks, flags, numbers of ours
std::string big16(std::uint16_t value);
std::string big32(std::uint32_t value);
std::string link_key(std::string_view name);  // 16 bytes, NUL-padded, as the kernel loads names of links

struct Expr {
  std::string name;  // "meta", "lookup"
  std::string data;  // its attributes
  std::string text;  // for people and for fingerprints: "meta iifname -> r0"
};
using Exprs = std::vector<Expr>;

// Registers are 4 bytes each, r0 to r15; what is longer takes several in a row.
enum class Base : std::uint32_t { kLink = 0, kNetwork = 1, kTransport = 2 };

Expr meta(std::uint32_t key, unsigned reg);
Expr set_meta(std::uint32_t key, unsigned reg);
Expr payload(Base base, unsigned offset, unsigned length, unsigned reg);
Expr fragment_offset(unsigned reg);  // of an IPv6 packet with a fragment header: 2 bytes, offset and flags
Expr equal(unsigned reg, std::string_view value);
Expr unequal(unsigned reg, std::string_view value);
Expr masked(unsigned reg, std::string_view mask, std::string_view set = {});  // r = (r & mask) ^ set, in place
Expr in_set(std::string_view set, unsigned reg, std::uint32_t id = 0);  // goes on when it is in
Expr not_in_set(std::string_view set, unsigned reg);
Expr map(std::string_view set, unsigned from, unsigned to);
Expr verdict_map(std::string_view set, unsigned from);
Expr load(unsigned reg, std::string_view value);
Expr accept();
Expr drop();
Expr go_to(std::string_view chain);
Expr jump(std::string_view chain);
Expr give_back();                                                        // return
Expr counter(std::uint64_t bytes = 0, std::uint64_t packets = 0);
Expr limit(std::uint64_t rate, std::uint64_t seconds, std::uint32_t burst, bool over);
Expr connection_limit(std::uint32_t count);                              // goes on when there are more
Expr remember(std::string_view set, unsigned reg, const Expr& limit);    // adds the key with this limit when it is not in, then asks it
Expr conntrack(std::uint32_t key, unsigned reg);
Expr original_source_port(unsigned reg);                                 // of the connection: 2 bytes; an id or 0 of what has no ports
Expr local_destination(unsigned reg);                                    // RTN_* of the destination, native order
Expr dnat(std::uint32_t family, unsigned address_reg, unsigned port_reg);
Expr masquerade();
Expr reject(std::uint32_t type, std::uint8_t code);
Expr log(std::string_view prefix, std::uint32_t level);

struct Rule {
  std::string chain;
  Exprs exprs;
  std::string note;  // stands in its user data behind the fingerprint: which rule of whose firewall
  [[nodiscard]] std::string text() const;
  // 8 bytes that change with the text (without the values of counters), and `note`.
  [[nodiscard]] std::string user_data() const;
};

struct Chain {
  std::string name;
  std::string type;            // "filter", "nat"; empty: no base chain
  std::uint32_t hook = 0;
  std::int32_t priority = 0;
  bool operator==(const Chain&) const = default;
};

struct Set {
  std::string name{};
  std::uint32_t key_type = 0, key_length = 0;    // types as the nft tool knows them: only for its display
  std::uint32_t data_type = 0, data_length = 0;  // 0: no map
  bool interval = false;
  bool counted = false;        // every element has a counter
  bool dynamic = false;        // elements carry limits
  std::uint32_t room = 0;      // elements at most, where packets add them
  std::uint32_t id = 0;        // within a transaction; anonymous sets are known by nothing else
  bool anonymous = false;
  bool operator==(const Set&) const = default;
};
constexpr std::uint32_t kVerdictType = 0xffffff00;

struct Element {
  std::string key{}, data{};
  std::string chain{};         // of a verdict map: where to go
  bool end = false;            // the first key behind an interval
  std::optional<Expr> expr{};  // its own counter or limit
  std::string user_data{};
  bool operator==(const Element& other) const;
};

std::string encode(const Expr& expr);        // attributes of one list element
std::string encode(const Element& element);

}  // namespace vps::netns::nft
