#include "cgroups/host.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/files.h"
#include "cgroups/text.h"
#include "cgroups/tree.h"

namespace vps::cgroups {
namespace {

// Everything else among a v1 mount's options is a flag ("rw", "xattr", "clone_children", "release_agent=...").
constexpr std::array<std::string_view, 14> kV1Controllers{
    "blkio", "cpu",    "cpuacct", "cpuset",     "devices", "freezer", "hugetlb",
    "memory", "misc",  "net_cls", "net_prio", "perf_event", "pids",  "rdma"};

// Views into the text, escaped as they stand there.
struct MountLine {
  std::string_view id, parent, root, point, type, options;
};

// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view text) {
  std::string out;
  auto octal = [](char c) { return c >= '0' && c <= '7'; };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) && octal(text[i + 3])) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string_view next_word(std::string_view& text) {
  auto end = std::min(text.find(' '), text.size());
  auto word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

// "36 35 98:0 /root /point rw,noatime shared:1 ... - type source superoptions"
bool parse_line(std::string_view line, MountLine& out) {
  out.id = next_word(line);
  out.parent = next_word(line);
  (void)next_word(line);
  out.root = next_word(line);
  out.point = next_word(line);
  auto dash = line.find(" - ");
  if (dash == std::string_view::npos) return false;
  line.remove_prefix(dash + 3);
  out.type = next_word(line);
  (void)next_word(line);
  out.options = next_word(line);
  return out.point.starts_with('/') && !out.options.empty();
}

std::vector<std::string> v1_controllers(const MountLine& mount) {
  std::vector<std::string> names;
  bool prefixed = true;
  for (auto option : split(mount.options, ',')) {
    if (option == "noprefix") prefixed = false;
    if (std::find(kV1Controllers.begin(), kV1Controllers.end(), option) != kV1Controllers.end() ||
        (option.starts_with("name=") && option.size() > 5))
      names.emplace_back(option);
  }
  if (!prefixed) names.clear();  // files without "cpuset." in front: not the interface that we write
  return names;
}

// Where a mount is out of reach: another one on its parent mount covers a directory above its point, or its parent is out of
// reach itself. (Who shows one tree to old programs mounts it over the others.)
bool is_covered(const MountLine& mount, const std::vector<MountLine>& all) {
  MountLine at = mount;
  for (std::size_t hops = 0; hops <= all.size(); ++hops) {
    const MountLine* above = nullptr;
    for (const auto& other : all) {
      if (other.id == at.parent) above = &other;
      bool sibling_above = other.parent == at.parent && other.point.size() > 1 && at.point.size() > other.point.size() &&
                           at.point.starts_with(other.point) && at.point[other.point.size()] == '/';
      if (sibling_above) return true;
    }
    if (above == nullptr || above->id == at.id) return false;
    at = *above;
  }
  return false;
}

// The place where every distribution mounts them wins over binds elsewhere (a container's root, a chroot).
constexpr int kLastPreference = 4;
int preference(const MountLine& mount) {
  constexpr std::string_view kUsual = "/sys/fs/cgroup";
  if (mount.point == kUsual) return 0;
  if (mount.point == "/sys/fs/cgroup/unified") return 1;
  if (mount.point.starts_with("/sys/fs/cgroup/")) return 2;
  return mount.root == "/" ? 3 : kLastPreference;
}

bool is_real_controller(const std::string& name) { return !name.starts_with("name="); }

// Adds what is not known from a better place.
void take_mount(const MountLine& mount, Host& host) {
  if (mount.type == "cgroup2") {
    if (!host.unified_root.empty()) return;
    host.unified_root = host.unified_base = unescape(mount.point);
    host.unified_mounted = unescape(mount.root);
    return;
  }
  auto controllers = v1_controllers(mount);
  if (controllers.empty() || host.find_v1(controllers.front()) != nullptr) return;
  if (std::any_of(controllers.begin(), controllers.end(), is_real_controller)) host.layout = Layout::kHybrid;
  host.v1.push_back({std::move(controllers), unescape(mount.point), unescape(mount.root), unescape(mount.point)});
}

// Directory of `cgroup` (as /proc/self/cgroup names it) in a mount that shows the hierarchy from `root` on.
std::string directory_of(const std::string& mount, const std::string& root, std::string cgroup) {
  if (root != "/" && cgroup.starts_with(root)) cgroup.erase(0, root.size());
  return cgroup.empty() || cgroup == "/" || cgroup.starts_with("/..") ? mount : mount + cgroup;
}

bool io_weight_is_active(const DiscoverOptions& options, const std::string& unified_root) {
  auto qos = read_file(unified_root + "/io.cost.qos");
  if (qos && qos->find("enable=1") != std::string::npos) return true;
  auto disks = list_dir(options.sys_root + "/block");
  if (!disks) return false;
  for (const auto& disk : *disks) {
    auto scheduler = read_file(options.sys_root + "/block/" + disk + "/queue/scheduler");
    if (scheduler && scheduler->find("[bfq]") != std::string::npos) return true;
  }
  return false;
}

// Files of an empty group of ours in the directory `base`; empty when one cannot be made there.
std::set<std::string> probe_files(const std::string& base) {
  auto parent = open_dir(base);
  if (!parent) return {};
  std::string name = "vps-probe-" + random_hex(6);
  if (::mkdirat(parent->get(), name.c_str(), 0755) != 0) return {};
  std::set<std::string> files;
  if (auto dir = open_at(parent->get(), name, O_RDONLY | O_DIRECTORY)) {
    if (auto names = list_dir_at(dir->get())) files.insert(names->begin(), names->end());
  }
  ::unlinkat(parent->get(), name.c_str(), AT_REMOVEDIR);
  return files;
}

void probe(Host& host) {
  for (const auto& hierarchy : host.v1) {
    auto files = probe_files(hierarchy.base);
    if (files.empty()) continue;
    for (const auto& controller : hierarchy.controllers)
      if (is_real_controller(controller)) host.files[controller] = files;
  }
  auto files = probe_files(host.unified_base);
  if (!files.empty()) host.files[""] = std::move(files);
}

Result<> choose_bases(Host& host, const DiscoverOptions& options) {
  auto own = VPS_TRY(read_file(options.proc_root + "/self/cgroup"));
  auto writable = [](const std::string& path) { return ::access(path.c_str(), W_OK) == 0; };
  auto base = [&](const std::string& mount, const std::string& root, std::string_view controller) {
    if (options.base == Base::kAuto && writable(mount)) return mount;
    return directory_of(mount, root, own_cgroup(own, controller));
  };
  host.unified_base = base(host.unified_root, host.unified_mounted, "");
  for (auto& hierarchy : host.v1) hierarchy.base = base(hierarchy.mount, hierarchy.root, hierarchy.controllers.front());
  return {};
}

}  // namespace

std::string_view layout_name(Layout layout) { return layout == Layout::kUnified ? "unified" : "hybrid"; }

Result<Host> parse_mountinfo(std::string_view mountinfo) {
  std::vector<MountLine> mounts, all;
  for (auto text : split(mountinfo, '\n')) {
    MountLine line;
    if (!parse_line(text, line)) continue;
    all.push_back(line);
    // A later mount on the same point hides the earlier one.
    std::erase_if(mounts, [&](const MountLine& m) { return m.point == line.point; });
    if (line.type == "cgroup" || line.type == "cgroup2") mounts.push_back(line);
  }
  std::erase_if(mounts, [&](const MountLine& m) { return is_covered(m, all); });
  Host host;
  for (int rank = 0; rank <= kLastPreference; ++rank)
    for (const auto& mount : mounts)
      if (preference(mount) == rank) take_mount(mount, host);
  if (host.unified_root.empty())
    return fail(Code::kUnavailable, "no cgroup2 file system is mounted (mount -t cgroup2 cgroup2 /sys/fs/cgroup)");
  std::sort(host.v1.begin(), host.v1.end(),
            [](const V1Hierarchy& a, const V1Hierarchy& b) { return a.controllers < b.controllers; });
  return host;
}

std::string own_cgroup(std::string_view proc_self_cgroup, std::string_view controller) {
  for (auto line : split(proc_self_cgroup, '\n')) {  // "4:cpu,cpuacct:/path", "0::/path"
    auto first = line.find(':');
    if (first == std::string_view::npos) continue;
    auto second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    auto names = line.substr(first + 1, second - first - 1);
    bool match = names == controller;
    for (auto name : split(names, ',')) match = match || (!controller.empty() && name == controller);
    if (match) return std::string(line.substr(second + 1));
  }
  return {};
}

Result<Host> Host::discover(const DiscoverOptions& options) {
  auto mountinfo = VPS_TRY_CTX("find cgroups", read_file(options.proc_root + "/self/mountinfo"));
  auto host = VPS_TRY_CTX("find cgroups", parse_mountinfo(mountinfo));
  host.unified_leaf = options.unified_leaf;
  VPS_TRY_CTX("find own cgroup", choose_bases(host, options));
  auto controllers = VPS_TRY_CTX("find cgroup controllers", read_file(host.unified_base + "/cgroup.controllers"));
  host.unified_controllers = words(controllers);
  if (options.disks) host.io_weight_active = io_weight_is_active(options, host.unified_root);
  auto delegate = read_file(options.sys_root + "/kernel/cgroup/delegate");
  if (delegate) host.delegate_files = words(*delegate);
  if (host.delegate_files.empty())  // kernels before 4.15 do not list them
    host.delegate_files = {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"};
  if (options.probe) vps::cgroups::probe(host);
  return host;
}

const V1Hierarchy* Host::find_v1(std::string_view controller) const {
  for (const auto& hierarchy : v1)
    for (const auto& name : hierarchy.controllers)
      if (name == controller) return &hierarchy;
  return nullptr;
}

std::string Host::path_in_v1(const std::string& path) const {
  if (unified_leaf.empty() || !path.ends_with("/" + unified_leaf)) return path;
  return path.substr(0, path.size() - unified_leaf.size() - 1);
}

std::string Host::path_in(std::string_view controller, const std::string& path) const {
  return where(controller) == Where::kV1 ? path_in_v1(path) : path;
}

std::string Host::directory_of(std::string_view controller, const std::string& path) const {
  const auto* hierarchy = find_v1(controller);
  return hierarchy != nullptr ? hierarchy->base + "/" + path_in_v1(path) : unified_base + "/" + path;
}

Where Host::where(std::string_view controller) const {
  if (find_v1(controller) != nullptr) return Where::kV1;
  auto found = std::find(unified_controllers.begin(), unified_controllers.end(), controller);
  return found != unified_controllers.end() ? Where::kUnified : Where::kNone;
}

bool Host::may_have_file(std::string_view hierarchy, std::string_view file) const {
  auto known = files.find(std::string(hierarchy));
  if (known == files.end()) return true;
  if (known->second.contains(std::string(file))) return true;
  if (!hierarchy.empty()) return false;
  // The probe's group in the v2 tree shows only the controllers that its parent has handed out already. Whether it has
  // one is seen by a file that every group with that controller has.
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kAlways{
      {{"memory.", "memory.max"}, {"cpu.", "cpu.weight"}, {"io.", "io.max"}, {"pids.", "pids.max"}, {"cpuset.", "cpuset.cpus"}}};
  for (const auto& [prefix, marker] : kAlways)
    if (file.starts_with(prefix)) return !known->second.contains(std::string(marker));
  return true;
}

Result<> enter_leaf(const Host& host, const std::string& name) {
  auto path = VPS_TRY(normal_path(name));
  auto base = VPS_TRY(open_dir(host.unified_base));
  if (::mkdirat(base.get(), path.c_str(), 0755) != 0 && errno != EEXIST)
    return fail_errno(errno, "make cgroup {}/{}", host.unified_base, path);
  return write_kernel_file_at(base.get(), path + "/cgroup.procs", "0");
}

}  // namespace vps::cgroups
