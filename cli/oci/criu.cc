#include "cli/oci/criu.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/units.h"
#include "cli/oci/json_number.h"

namespace vps::vpsrun {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr auto kSharedFlags = std::to_array<std::string_view>({"tcp-established", "ext-unix-sk", "shell-job", "file-locks", "auto-dedup", "lazy-pages"});

Result<std::string> absolute_dir(const std::string& path, bool make) {
  if (make) VPS_TRY(make_dirs(path, 0700));
  std::array<char, PATH_MAX> buffer{};
  if (::realpath(path.c_str(), buffer.data()) == nullptr) return fail_errno(errno, "{}", path);
  return std::string(buffer.data());
}

struct MountLine {
  std::string device, root, point, type;
};

// Blanks and the like are "\040" in mountinfo (proc(5)).
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto digit = [&](std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      out.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::vector<MountLine> mount_lines(std::string_view text) {
  std::vector<MountLine> lines;
  while (!text.empty()) {
    auto end = std::min(text.find('\n'), text.size());
    auto words = cli::split_words(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    auto dash = std::ranges::find(words, "-");
    if (words.size() < 7 || dash == words.end() || dash + 1 == words.end()) continue;
    lines.push_back({std::string(words[2]), unescaped(words[3]), unescaped(words[4]), std::string(dash[1])});
  }
  return lines;
}

bool is_below(std::string_view path, std::string_view root) {
  return root == "/" || path == root || (path.starts_with(root) && path[root.size()] == '/');
}

// A descriptor of the host's that the process has as its standard input or output.
Result<std::string> stdio_key(pid_t pid, int fd, std::string_view mountinfo) {
  auto link = read_link_at(AT_FDCWD, fmt::format("/proc/{}/fd/{}", pid, fd));
  if (!link) return std::string();  // closed
  if (link->starts_with("pipe:")) return *link;
  if (link->starts_with("socket:")) return std::string();
  auto info = VPS_TRY(read_file(fmt::format("/proc/{}/fdinfo/{}", pid, fd)));
  constexpr std::string_view kKey = "mnt_id:\t";
  auto at = info.find(kKey);
  if (at == std::string::npos) return std::string();
  auto value = std::string_view(info).substr(at + kKey.size());
  auto mount = parse_u64(value.substr(0, value.find('\n')));
  if (!mount) return std::string();
  // One of the container's own mounts: criu knows what to do.
  auto own = fmt::format("{} ", *mount);
  if (mountinfo.starts_with(own) || mountinfo.find("\n" + own) != std::string_view::npos) return std::string();
  struct stat st{};
  if (::stat(fmt::format("/proc/{}/fd/{}", pid, fd).c_str(), &st) != 0) return fail_errno(errno, "stat descriptor {} of process {}", fd, pid);
  if (S_ISCHR(st.st_mode)) return std::string();
  return fmt::format("file[{:x}:{:x}]", *mount, st.st_ino);
}

}  // namespace

Result<CriuOptions> criu_options(const Arguments& arguments, bool make) {
  CriuOptions options;
  options.image_path = VPS_TRY_CTX("--image-path", absolute_dir(arguments.value_or("image-path", "checkpoint"), make));
  options.work_path = options.image_path;
  if (const auto* work = arguments.value("work-path")) options.work_path = VPS_TRY_CTX("--work-path", absolute_dir(*work, true));
  options.manage_cgroups = arguments.value_or("manage-cgroups-mode", "");
  options.empty_ns = arguments.values("empty-ns");
  for (auto name : kSharedFlags)
    if (arguments.flag(name)) options.flags.emplace_back(name);
  return options;
}

std::string format_external(const External& external) {
  Json json{{"version", kVersion}};
  json["mounts"] = Json::array();
  for (const auto& mount : external.mounts) json["mounts"].push_back({{"inside", mount.inside}, {"host", mount.host}});
  json["stdio"] = external.stdio;
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<External> parse_external(std::string_view text) {
  try {
    auto json = Json::parse(text);
    if (VPS_TRY_CTX("vpsrun.json", number_at<int>(json, "version")) != kVersion) return fail(Code::kUsage, "vpsrun.json: another version's");
    External external;
    for (const auto& mount : json.at("mounts")) external.mounts.push_back({mount.at("inside").get<std::string>(), mount.at("host").get<std::string>()});
    external.stdio = json.at("stdio").get<std::array<std::string, 3>>();
    return external;
  } catch (const nlohmann::json::exception& e) {
    return fail(Code::kUsage, "vpsrun.json: {}", e.what());
  }
}

std::vector<External::Mount> external_mounts(std::string_view container, std::string_view host) {
  constexpr auto kMadeAnew = std::to_array<std::string_view>({"proc", "sysfs", "devpts", "mqueue"});
  auto outside = mount_lines(host);
  std::vector<External::Mount> found;
  for (const auto& inner : mount_lines(container)) {
    if (inner.point == "/" || std::ranges::find(kMadeAnew, inner.type) != kMadeAnew.end()) continue;
    for (const auto& outer : outside) {
      if (outer.device != inner.device || !is_below(inner.root, outer.root)) continue;
      auto rest = inner.root.substr(outer.root == "/" ? 0 : outer.root.size());
      auto place = outer.point == "/" ? rest : outer.point + (rest == "/" ? "" : rest);
      found.push_back({inner.point, place.empty() ? "/" : place});
      break;
    }
  }
  return found;
}

Result<External> look_at_external(pid_t pid) {
  External external;
  auto inside = VPS_TRY(read_file(fmt::format("/proc/{}/mountinfo", pid)));
  auto own = VPS_TRY(read_file("/proc/self/mountinfo"));
  external.mounts = external_mounts(inside, own);
  for (int fd = 0; fd < 3; ++fd) external.stdio[static_cast<std::size_t>(fd)] = VPS_TRY(stdio_key(pid, fd, inside));
  return external;
}

std::vector<ExternalNamespace> external_namespaces(const oci::Spec& spec) {
  std::vector<ExternalNamespace> found;
  for (const auto& entry : spec.linux_->namespaces) {
    if (entry.path.empty()) continue;
    if (entry.type == "network") found.push_back({entry.type, entry.path, "extRootNetNS"});
    if (entry.type == "pid") found.push_back({entry.type, entry.path, "extRootPidNS"});
  }
  return found;
}

std::vector<External::Mount> restored_mounts(const External& external, const oci::Spec& spec, const RestorePlaces& places) {
  auto mounts = external.mounts;
  for (auto& mount : mounts) {
    for (const auto& entry : spec.mounts) {
      if (entry.destination != mount.inside) continue;
      if (entry.type == "cgroup" || entry.type == "cgroup2") mount.host = places.cgroup.empty() ? mount.host : places.cgroup;
      else if (entry.source.starts_with('/')) mount.host = entry.source;
    }
  }
  return mounts;
}

Result<std::string> find_criu() {
  const char* own = ::getenv("PATH");
  std::string path = own != nullptr ? own : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (std::size_t at = 0; at <= path.size();) {
    auto end = std::min(path.find(':', at), path.size());
    auto candidate = path.substr(at, end - at) + "/criu";
    at = end + 1;
    if (candidate.starts_with('/') && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return fail(Code::kUnavailable, "criu is not installed: checkpoint and restore need the program criu in $PATH");
}

std::string criu_failure(const std::string& log_file) {
  auto text = read_file(log_file);
  std::string_view rest = text ? std::string_view(*text) : std::string_view();
  std::string reason;
  while (!rest.empty() && reason.empty()) {
    auto end = std::min(rest.find('\n'), rest.size());
    auto line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    auto at = line.find("Error (");
    // The first is the reason, those after it say what could not go on. What criu tries to find out at its start is none.
    const bool probing = line.find("exited, status=") != line.npos || line.find("criu/tun.c") != line.npos;
    if (at != line.npos && !probing) reason = line.substr(at);
  }
  return fmt::format("criu failed: {} (log file: {})", reason.empty() ? "without a word" : reason, log_file);
}

}  // namespace vps::vpsrun
