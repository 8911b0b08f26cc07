#include "netns/legacy_tables.h"

#include <sys/socket.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <map>

#include "base/fd.h"
#include "base/files.h"

namespace vps::netns {
namespace {

constexpr std::size_t kLargestTable = 64u << 20;
constexpr int kDeepest = 16, kMostSteps = 100'000;
constexpr int kReturn = -NF_REPEAT - 1;  // XT_RETURN

// What the two families have in common.
template <class Entry>
struct Head;
template <>
struct Head<ipt_entry> {
  static bool any_address(const ipt_entry& entry) {
    return entry.ip.smsk.s_addr == 0 && entry.ip.dmsk.s_addr == 0 && entry.ip.proto == 0 && entry.ip.flags == 0;
  }
  static const ipt_ip& of(const ipt_entry& entry) { return entry.ip; }
  static constexpr int kInverseIn = IPT_INV_VIA_IN, kInverseOut = IPT_INV_VIA_OUT;
};
template <>
struct Head<ip6t_entry> {
  static bool any_address(const ip6t_entry& entry) {
    in6_addr none{};
    return std::memcmp(&entry.ipv6.smsk, &none, sizeof none) == 0 && std::memcmp(&entry.ipv6.dmsk, &none, sizeof none) == 0 &&
           entry.ipv6.proto == 0 && entry.ipv6.flags == 0;
  }
  static const ip6t_ip6& of(const ip6t_entry& entry) { return entry.ipv6; }
  static constexpr int kInverseIn = IP6T_INV_VIA_IN, kInverseOut = IP6T_INV_VIA_OUT;
};

enum class Outcome { kAccepted, kBlocked, kReturned };

template <class Entry>
class Walker {
 public:
  Walker(const LegacyTable& table, std::string_view in, std::string_view out) : table_(table), in_(in), out_(out) {
    // User chains begin behind an entry that has their name.
    Entry entry;
    for (std::size_t at = 0; read(at, entry); at += entry.next_offset) {
      auto target = target_of(at, entry);
      if (!target || target->name != XT_ERROR_TARGET) continue;
      std::string_view name = std::string_view(table_.entries).substr(target->data, XT_FUNCTION_MAXNAMELEN);
      names_[at + entry.next_offset] = name.substr(0, name.find('\0'));
    }
  }

  std::optional<LegacyBlock> block() {
    if (walk(table_.forward, "FORWARD", 0) == Outcome::kBlocked) return culprit_;
    return std::nullopt;
  }

 private:
  struct Target {
    std::string name;
    std::size_t data = 0;  // where its own bytes begin
  };

  [[nodiscard]] bool read(std::size_t at, Entry& entry) const {
    if (at > table_.entries.size() || table_.entries.size() - at < sizeof entry) return false;
    std::memcpy(&entry, table_.entries.data() + at, sizeof entry);
    return entry.next_offset >= sizeof entry && entry.next_offset <= table_.entries.size() - at && entry.target_offset >= sizeof entry;
  }

  [[nodiscard]] std::optional<Target> target_of(std::size_t at, const Entry& entry) const {
    xt_entry_target target;
    if (std::size_t{entry.target_offset} + sizeof target > entry.next_offset) return std::nullopt;
    std::memcpy(&target, table_.entries.data() + at + entry.target_offset, sizeof target);
    return Target{std::string(target.u.user.name, ::strnlen(target.u.user.name, sizeof target.u.user.name)), at + entry.target_offset + sizeof target};
  }

  template <class Names>
  static bool link_matches(const Names& pattern, const unsigned char* mask, std::string_view name, bool inverse, bool& certain) {
    std::size_t length = 0;
    while (length < IFNAMSIZ && mask[length] != 0) ++length;
    if (length == 0) return true;
    if (name.empty()) {
      certain = false;
      return true;
    }
    char whole[IFNAMSIZ] = {};
    std::memcpy(whole, name.data(), std::min<std::size_t>(name.size(), IFNAMSIZ - 1));
    return (std::memcmp(whole, pattern, length) == 0) != inverse;
  }

  // Whether the entry is for this packet; `certain`: nothing but its links decides.
  bool matches(const Entry& entry, bool& certain) const {
    certain = Head<Entry>::any_address(entry) && entry.target_offset == sizeof(Entry);
    const auto& head = Head<Entry>::of(entry);
    return link_matches(head.iniface, head.iniface_mask, in_, (head.invflags & Head<Entry>::kInverseIn) != 0, certain) &&
           link_matches(head.outiface, head.outiface_mask, out_, (head.invflags & Head<Entry>::kInverseOut) != 0, certain);
  }

  Outcome walk(std::size_t at, const std::string& chain, int depth) {
    if (depth > kDeepest) return Outcome::kReturned;
    Entry entry;
    std::uint32_t rule = 1;
    for (; read(at, entry) && ++steps_ < kMostSteps; at += entry.next_offset, ++rule) {
      bool certain = false;
      auto target = target_of(at, entry);
      if (!target || target->name == XT_ERROR_TARGET) return Outcome::kReturned;  // the next chain begins
      if (!matches(entry, certain) || !certain) continue;
      if (target->name == "REJECT") return block(chain, at, rule);
      if (!target->name.empty()) continue;  // LOG and the like
      auto verdict = verdict_of(at, entry, *target);
      if (!verdict) return Outcome::kReturned;
      if (*verdict == kReturn) {
        if (depth > 0 || at == table_.forward_policy) return Outcome::kReturned;
        return walk(table_.forward_policy, chain, 0);  // of a chain of the kernel's own: its policy
      }
      if (*verdict == -NF_DROP - 1) return block(chain, at, rule);
      if (*verdict < 0) return Outcome::kAccepted;
      auto to = static_cast<std::size_t>(*verdict);
      if (to == at + entry.next_offset) continue;  // no more than a mark
      auto name = names_.find(to);
      Outcome inside = walk(to, name == names_.end() ? "?" : name->second, depth + 1);
      if (inside != Outcome::kReturned) return inside;
    }
    return Outcome::kReturned;
  }

  std::optional<int> verdict_of(std::size_t at, const Entry& entry, const Target& target) const {
    int verdict = 0;
    if (target.data + sizeof verdict > at + entry.next_offset) return std::nullopt;
    std::memcpy(&verdict, table_.entries.data() + target.data, sizeof verdict);
    return verdict;
  }

  Outcome block(const std::string& chain, std::size_t at, std::uint32_t rule) {
    culprit_ = LegacyBlock{chain, at == table_.forward_policy ? 0 : rule};
    return Outcome::kBlocked;
  }

  const LegacyTable& table_;
  std::string_view in_, out_;
  std::map<std::size_t, std::string> names_;
  LegacyBlock culprit_;
  int steps_ = 0;
};

template <class Info, class Entries>
Result<std::optional<LegacyTable>> read_table(int family, int level, int get_info, int get_entries) {
  UniqueFd fd(::socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!fd) return fail_errno(errno, "open a socket for the rules of iptables-legacy");
  for (int attempt = 0; attempt < 5; ++attempt) {
    Info info{};
    std::strcpy(info.name, "filter");
    socklen_t size = sizeof info;
    if (::getsockopt(fd.get(), level, get_info, &info, &size) != 0) {
      if (errno == ENOENT || errno == ENOPROTOOPT) return std::optional<LegacyTable>();
      return fail_errno(errno, "ask for the rules of iptables-legacy");
    }
    if (info.size > kLargestTable) return fail(Code::kFailed, "the rules of iptables-legacy are {} bytes: too many to look at", info.size);
    constexpr std::size_t kHead = sizeof(Entries);  // its name and size; the entries stand behind
    std::string buffer(kHead + info.size, '\0');
    std::memcpy(buffer.data(), info.name, sizeof info.name);
    std::memcpy(buffer.data() + offsetof(Entries, size), &info.size, sizeof info.size);
    size = static_cast<socklen_t>(buffer.size());
    if (::getsockopt(fd.get(), level, get_entries, buffer.data(), &size) != 0) {
      if (errno == EAGAIN) continue;  // changed in between
      return fail_errno(errno, "read the rules of iptables-legacy");
    }
    return std::optional(LegacyTable{buffer.substr(kHead), info.hook_entry[NF_INET_FORWARD], info.underflow[NF_INET_FORWARD]});
  }
  return fail(Code::kBusy, "the rules of iptables-legacy change all the time");
}

}  // namespace

Result<std::optional<LegacyTable>> read_legacy_filter(Family family) {
  // Asking for a table makes it.
  auto tables = read_file(family == Family::kV4 ? "/proc/thread-self/net/ip_tables_names" : "/proc/thread-self/net/ip6_tables_names");
  if (!tables || tables->find("filter") == tables->npos) return std::optional<LegacyTable>();
  if (family == Family::kV4) return read_table<ipt_getinfo, ipt_get_entries>(AF_INET, IPPROTO_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES);
  return read_table<ip6t_getinfo, ip6t_get_entries>(AF_INET6, IPPROTO_IPV6, IP6T_SO_GET_INFO, IP6T_SO_GET_ENTRIES);
}

std::optional<LegacyBlock> legacy_block(Family family, const LegacyTable& table, std::string_view in, std::string_view out) {
  if (family == Family::kV4) return Walker<ipt_entry>(table, in, out).block();
  return Walker<ip6t_entry>(table, in, out).block();
}

}  // namespace vps::netns
