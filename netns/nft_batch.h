// One transaction of nftables: messages in order, all applied or none. And what is read back from dumps.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "netns/nft_expr.h"
#include "netns/socket.h"

namespace vps::netns::nft {

// A family (NFPROTO_*) and a name.
struct TableName {
  std::uint8_t family = 0;
  std::string name;
};

// Not thread-safe. `what` of an error is that of the message that failed: "add elements of src4".
class Batch {
 public:
  Batch();
  void add_table(const TableName& table);
  void delete_table(const TableName& table);
  void add_chain(const TableName& table, const Chain& chain);
  void flush_chain(const TableName& table, const std::string& chain);
  void delete_chain(const TableName& table, const std::string& chain);
  void add_set(const TableName& table, const Set& set);
  void flush_set(const TableName& table, const std::string& set);
  void add_rule(const TableName& table, const Rule& rule);
  // Elements that are there already with the same data stay as they are, with their counters.
  void add_elements(const TableName& table, const Set& set, std::span<const Element> elements);
  void delete_elements(const TableName& table, const Set& set, std::span<const Element> elements);

  [[nodiscard]] bool empty() const { return whats_.empty(); }
  // Sends it and waits for the kernel's answer. Nothing was changed when it fails.
  Result<> commit(Socket& socket);
  // For tests: without the framing, message by message.
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void message(std::uint16_t type, std::uint16_t flags, const TableName& table, const Bytes& attributes, std::string what);
  void elements(std::uint16_t type, std::uint16_t flags, const TableName& table, const Set& set, std::span<const Element> elements,
                const char* verb);
  void frame(std::uint16_t type);

  std::string bytes_;
  std::vector<std::string> whats_;  // of the messages, by sequence number - 2
};

// What dumps say. The parsers take anything.
struct DumpedElement {
  std::string key, data, chain;
  bool end = false;
  bool counted = false;
  std::uint64_t bytes = 0, packets = 0;
  std::string limit;      // of a limit or connection limit: the text that limit() and connection_limit() give it
  std::string user_data;
};
struct DumpedElements {
  std::string table, set;
  std::uint8_t family = 0;
  std::vector<DumpedElement> elements;
};
struct DumpedExpr {
  std::string name;
  std::string data;       // its attributes
};
struct DumpedRule {
  std::string table, chain, user_data;
  std::uint8_t family = 0;
  std::uint64_t handle = 0;
  std::vector<DumpedExpr> exprs;
};
struct DumpedChain {
  std::string table;
  std::uint8_t family = 0;
  Chain chain;
  std::uint32_t policy = 1;  // NF_ACCEPT, NF_DROP
};
std::optional<DumpedElements> parse_elements(const MessageView& message);
std::optional<DumpedRule> parse_rule(const MessageView& message);
std::optional<DumpedChain> parse_chain(const MessageView& message);
std::optional<Set> parse_set(const MessageView& message, std::string& table, std::uint8_t& family);
struct Counts {
  std::uint64_t bytes = 0, packets = 0;
};
std::optional<Counts> counter_of(const DumpedRule& rule);  // of the first counter in it

// kNotFound where the table or set is not there.
Result<std::vector<DumpedElement>> dump_elements(Socket& socket, const TableName& table, const std::string& set);
// Those of `keys`; kNotFound when one is missing.
Result<std::vector<DumpedElement>> get_elements(Socket& socket, const TableName& table, const std::string& set,
                                                std::span<const std::string> keys);
// Of one chain, or of the table; an empty name: of all tables of the family. A chain that is not there has no rules.
Result<std::vector<DumpedRule>> dump_rules(Socket& socket, const TableName& table, std::string_view chain = {});
Result<std::vector<DumpedChain>> dump_chains(Socket& socket, std::uint8_t family);      // NFPROTO_UNSPEC: of all
Result<std::vector<Set>> dump_sets(Socket& socket, const TableName& table);

}  // namespace vps::netns::nft
