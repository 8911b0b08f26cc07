#include "specs/vps/id.h"

#include <algorithm>
#include <cstddef>

#include "base/files.h"

namespace vps {
namespace {

constexpr std::size_t kMaxLabel = 63;     // RFC 1123, 2.1
constexpr std::size_t kMaxHostname = 64;  // __NEW_UTS_LEN, uname(2)

// <cctype> depends on the locale; names must not.
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_lower(c) || is_upper(c) || is_digit(c); }

// Control bytes would garble the one line that an error is.
std::string printable(std::string_view text) {
  constexpr std::size_t kShown = 80;
  std::string shown(text.substr(0, kShown));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  if (text.size() > kShown) shown += "...";
  return shown;
}

}  // namespace

Result<> validate_id(std::string_view id) {
  auto good = [](char c) { return is_lower(c) || is_digit(c); };
  if (id.empty()) return fail(Code::kUsage, "an id must not be empty");
  if (id.size() > kMaxLabel) return fail(Code::kUsage, "id '{}' is longer than {} characters", printable(id), kMaxLabel);
  if (!good(id[0]) || !std::ranges::all_of(id, [&](char c) { return good(c) || c == '-'; }))
    return fail(Code::kUsage, "'{}' is not an id (a-z, 0-9 and -, not starting with -)", printable(id));
  return {};
}

Result<> validate_name(std::string_view name) {
  if (name.empty()) return fail(Code::kUsage, "a name must not be empty");
  if (name.size() > kMaxLabel)
    return fail(Code::kUsage, "name '{}' is longer than {} characters", printable(name), kMaxLabel);
  auto good = [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; };
  if (!is_alnum(name[0]) || !std::ranges::all_of(name, good))
    return fail(Code::kUsage, "'{}' is not a name (letters, digits, '.', '_' and '-', starting with a letter or digit)",
                printable(name));
  return {};
}

Result<> validate_hostname(std::string_view hostname) {
  if (hostname.empty()) return fail(Code::kUsage, "a host name must not be empty");
  if (hostname.size() > kMaxHostname)
    return fail(Code::kUsage, "host name '{}' is longer than {} characters", printable(hostname), kMaxHostname);
  std::string_view rest = hostname;
  while (true) {
    auto label = rest.substr(0, rest.find('.'));
    bool good = !label.empty() && label.size() <= kMaxLabel && label.front() != '-' && label.back() != '-' &&
                std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-'; });
    if (!good)
      return fail(Code::kUsage,
                  "'{}' is not a host name (labels of at most 63 letters, digits and inner '-', joined by '.')",
                  printable(hostname));
    if (label.size() == rest.size()) return {};
    rest.remove_prefix(label.size() + 1);
  }
}

std::string make_uuid() {
  std::string hex = random_hex(16);
  constexpr std::string_view kVariant = "89ab";  // RFC 4122 4.1.1: the two high bits are 10
  hex[12] = '4';                                 // 4.1.3: version 4
  auto digit = static_cast<unsigned>(is_digit(hex[16]) ? hex[16] - '0' : hex[16] - 'a' + 10);
  hex[16] = kVariant[digit & 3];
  for (std::size_t at : {20u, 16u, 12u, 8u}) hex.insert(at, 1, '-');
  return hex;
}

VpsPaths vps_paths(const Roots& roots, std::string_view id) {
  VpsPaths paths;
  paths.id = id;
  paths.state_dir = roots.state + "/containers/" + std::string(id);
  paths.definition = paths.state_dir + "/vps.yaml";
  paths.record = paths.state_dir + "/record.json";
  paths.disk = paths.state_dir + "/disk";
  paths.console_log = paths.state_dir + "/console.log";
  paths.run_dir = roots.run + "/containers/" + std::string(id);
  paths.run_state = paths.run_dir + "/state.json";
  paths.bundle_config = paths.run_dir + "/config.json";
  paths.plan = paths.run_dir + "/plan.json";
  paths.supervisor_socket = paths.run_dir + "/supervisor.sock";
  paths.host_dir = paths.run_dir + "/host";
  paths.cgroup_parent = roots.cgroup_name + "/" + std::string(id);
  paths.cgroup_payload = paths.cgroup_parent + "/" + kPayloadGroup;
  paths.cgroup_supervisor = paths.cgroup_parent + "/supervisor";
  return paths;
}

}  // namespace vps
