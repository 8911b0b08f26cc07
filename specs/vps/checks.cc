#include "specs/vps/checks.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "base/units.h"
#include "specs/vps/id.h"
#include "specs/vps/tree.h"

namespace vps::checks {
namespace {

constexpr unsigned kMaxCpu = 8191;  // the largest NR_CPUS that Linux can be built with, minus one
constexpr std::size_t kMaxPath = 4095;
constexpr std::size_t kMaxArgument = 131071;  // MAX_ARG_STRLEN with its NUL, execve(2)

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c); }

bool is_word(std::string_view text, std::string_view extra, std::size_t max) {
  return !text.empty() && text.size() <= max && is_alnum(text[0]) &&
         std::ranges::all_of(text, [&](char c) { return is_alnum(c) || extra.find(c) != std::string_view::npos; });
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

std::unexpected<Error> expected(std::string_view what, std::string_view found) {
  return fail(Code::kUsage, "expected {}, found '{}'", what, quote_for_message(found));
}

Result<> path(std::string_view value) {
  constexpr std::string_view kWhat = "an absolute path without '.', '..', '//' or a '/' at its end";
  if (value.empty() || value[0] != '/' || value.size() > kMaxPath || has_control(value)) return expected(kWhat, value);
  if (value == "/") return {};
  std::string_view rest = value;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    auto part = rest.substr(0, rest.find('/'));
    if (part.empty() || part == "." || part == "..") return expected(kWhat, value);
    rest.remove_prefix(part.size());
  }
  return {};
}

bool is_address(int family, std::string_view text) {
  std::array<unsigned char, sizeof(in6_addr)> binary{};
  return text.find('\0') == std::string_view::npos && ::inet_pton(family, std::string(text).c_str(), binary.data()) == 1;
}

// Linux 6.x, linux/capability.h, in numeric order.
constexpr std::array<std::string_view, 41> kCapabilities = {
    "chown",          "dac_override",    "dac_read_search",  "fowner",       "fsetid",       "kill",
    "setgid",         "setuid",          "setpcap",          "linux_immutable", "net_bind_service", "net_broadcast",
    "net_admin",      "net_raw",         "ipc_lock",         "ipc_owner",    "sys_module",   "sys_rawio",
    "sys_chroot",     "sys_ptrace",      "sys_pacct",        "sys_admin",    "sys_boot",     "sys_nice",
    "sys_resource",   "sys_time",        "sys_tty_config",   "mknod",        "lease",        "audit_write",
    "audit_control",  "setfcap",         "mac_override",     "mac_admin",    "syslog",       "wake_alarm",
    "block_suspend",  "audit_read",      "perfmon",          "bpf",          "checkpoint_restore"};

}  // namespace

Result<> id(std::string_view value) { return validate_id(value); }
Result<> name(std::string_view value) { return validate_name(value); }
Result<> hostname(std::string_view value) { return validate_hostname(value); }
Result<> host_path(std::string_view value) { return path(value); }

Result<> uuid(std::string_view value) {
  constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  bool good = value.size() == kShape.size();
  for (std::size_t i = 0; good && i < value.size(); ++i)
    good = kShape[i] == '-' ? value[i] == '-' : is_digit(value[i]) || (value[i] >= 'a' && value[i] <= 'f');
  if (!good) return expected("a uuid in lower case", value);
  return {};
}

Result<> template_name(std::string_view value) {
  if (!is_word(value, "._-", 63)) return expected("a template name (letters, digits, '.', '_' and '-')", value);
  return {};
}

Result<> network_name(std::string_view value) {
  if (!is_word(value, "._-", 63)) return expected("a network name (letters, digits, '.', '_' and '-')", value);
  return {};
}

Result<> cpu_set(std::string_view value) {
  constexpr std::string_view kWhat = "CPU numbers in ascending order like 0-1,3";
  std::string_view rest = value;
  std::uint64_t next = 0;  // the least number that may follow
  while (true) {
    auto item = rest.substr(0, rest.find(','));
    auto dash = item.find('-');
    auto first = parse_u64(item.substr(0, dash));
    auto last = dash == std::string_view::npos ? first : parse_u64(item.substr(dash + 1));
    if (!first || !last || *first < next || *last < *first || *last > kMaxCpu) return expected(kWhat, value);
    next = *last + 1;
    if (item.size() == rest.size()) return {};
    rest.remove_prefix(item.size() + 1);
  }
}

unsigned cpu_set_size(std::string_view value) {
  unsigned count = 0;
  while (!value.empty()) {
    auto item = value.substr(0, value.find(','));
    value.remove_prefix(std::min(item.size() + 1, value.size()));
    auto dash = item.find('-');
    auto first = parse_u64(item.substr(0, dash));
    auto last = dash == std::string_view::npos ? first : parse_u64(item.substr(dash + 1));
    if (first && last && *last >= *first && *last <= kMaxCpu) count += static_cast<unsigned>(*last - *first) + 1;
  }
  return count;
}

Result<> idmap(std::string_view value) {
  if (value == "auto" || value == "host") return {};
  constexpr std::uint64_t kLeast = 65536;
  constexpr std::uint64_t kEnd = 0xffffffff;  // -1 is no id
  auto colon = value.find(':');
  if (colon == std::string_view::npos) return expected("auto, host or BASE:SIZE like 100000:65536", value);
  auto base = parse_u64(value.substr(0, colon));
  auto size = parse_u64(value.substr(colon + 1));
  if (!base || !size) return expected("auto, host or BASE:SIZE like 100000:65536", value);
  if (*base < kLeast || *size < kLeast || *base > kEnd || *size > kEnd - *base)
    return expected("BASE:SIZE of at least 65536 each, ending below 2^32 - 1", value);
  return {};
}

Result<> capability(std::string_view value) {
  bool sign = !value.empty() && (value[0] == '+' || value[0] == '-');
  if (!sign) return expected("+ or - and a capability, like +sys_nice or -net_raw", value);
  if (std::ranges::find(kCapabilities, value.substr(1)) == kCapabilities.end())
    return fail(Code::kUsage, "no capability '{}' (they are written like sys_nice, see capabilities(7))",
                quote_for_message(value.substr(1)));
  return {};
}

Result<> mount_target(std::string_view value) {
  VPS_TRY(path(value));
  if (value == "/") return fail(Code::kUsage, "the root itself cannot be a mount target");
  for (std::string_view taken : {"/proc", "/sys", "/dev", "/run/host"})
    if (value == taken || (value.starts_with(taken) && value[taken.size()] == '/'))
      return fail(Code::kUsage, "{} is mounted by the system itself, '{}' cannot be a mount target", taken,
                  quote_for_message(value));
  return {};
}

Result<> argument(std::string_view value) {
  if (value.size() > kMaxArgument) return fail(Code::kUsage, "longer than {} bytes", kMaxArgument);
  return {};
}

Result<> environment_name(std::string_view value) {
  bool good = !value.empty() && value.size() <= 255 && !is_digit(value[0]) &&
              std::ranges::all_of(value, [](char c) { return is_alnum(c) || c == '_'; });
  if (!good) return expected("the name of a variable (letters, digits and _)", value);
  return {};
}

Result<> environment_value(std::string_view value) { return argument(value); }

Result<> label_key(std::string_view value) {
  if (!is_word(value, "._/-", 63))
    return expected("a label of at most 63 letters, digits, '.', '_', '/' and '-'", value);
  return {};
}

Result<> label_value(std::string_view value) {
  if (value.size() > 255 || has_control(value)) return expected("at most 255 printable characters", value);
  return {};
}

Result<> interface_name(std::string_view value) {
  if (!is_word(value, "._-", 15) || value == "lo")
    return expected("an interface name of at most 15 letters, digits, '.', '_' and '-' (not lo)", value);
  return {};
}

Result<> mac(std::string_view value) {
  if (value == "auto") return {};
  constexpr std::string_view kShape = "xx:xx:xx:xx:xx:xx";
  bool good = value.size() == kShape.size();
  for (std::size_t i = 0; good && i < value.size(); ++i)
    good = kShape[i] == ':' ? value[i] == ':' : is_digit(value[i]) || (value[i] >= 'a' && value[i] <= 'f');
  // The lowest bit of the first byte marks a group address, which no interface may have.
  good = good && std::string_view("02468ace").find(value[1]) != std::string_view::npos && value != "00:00:00:00:00:00";
  if (!good) return expected("auto or a MAC address like 02:00:0a:c8:00:05", value);
  return {};
}

Result<> address(std::string_view value) {
  constexpr std::string_view kWhat = "auto or an address like 10.0.0.2/24 or fd00::2/64";
  if (value == "auto") return {};
  auto slash = value.find('/');
  auto host = value.substr(0, slash);
  bool four = is_address(AF_INET, host);
  if (!four && !is_address(AF_INET6, host)) return expected(kWhat, value);
  if (slash == std::string_view::npos) return {};
  auto length = parse_u64(value.substr(slash + 1));
  if (!length || *length > (four ? 32u : 128u)) return expected(kWhat, value);
  return {};
}

Result<> nameserver(std::string_view value) {
  if (value == "inherit" || is_address(AF_INET, value) || is_address(AF_INET6, value)) return {};
  return expected("inherit or an address", value);
}

Result<> search_domain(std::string_view value) { return validate_hostname(value); }

Result<SmtpLimit> parse_smtp(std::string_view value) {
  if (value == "allow") return SmtpLimit{};
  if (value == "deny") return SmtpLimit{.policy = net::SmtpPolicy::kDeny};
  constexpr std::string_view kUnit = "/min";
  constexpr std::uint64_t kMost = 1'000'000;
  if (value.ends_with(kUnit)) {
    auto count = parse_u64(value.substr(0, value.size() - kUnit.size()));
    if (count && *count >= 1 && *count <= kMost)
      return SmtpLimit{.policy = net::SmtpPolicy::kLimit, .per_minute = static_cast<std::uint32_t>(*count)};
  }
  return expected("allow, deny or a number per minute like 20/min", value);
}

Result<> smtp(std::string_view value) {
  VPS_TRY(parse_smtp(value));
  return {};
}

Result<> comment(std::string_view value) {
  if (value.size() > 120 || has_control(value)) return expected("at most 120 printable characters", value);
  return {};
}

}  // namespace vps::checks
