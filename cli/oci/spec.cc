#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "cli/oci/commands.h"
#include "specs/oci/json.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "bundle", .letter = 'b', .value = "DIR", .help = "write it there; default: the current directory"},
    {.name = "rootless", .help = "for a user without privileges: with a user namespace that maps the caller to root"},
};

oci::Mount mount(std::string destination, std::string type, std::string source, oci::Strings options) {
  return {.destination = std::move(destination), .type = std::move(type), .source = std::move(source), .options = std::move(options),
          .uid_mappings = {}, .gid_mappings = {}};
}

std::vector<oci::Mount> default_mounts() {
  return {mount("/proc", "proc", "proc", {}),
          mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
          mount("/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
          mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
          mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
          mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}),
          mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"})};
}

oci::Spec default_spec() {
  oci::Spec spec;
  spec.root = oci::Root{.path = "rootfs", .readonly = true};
  auto& process = spec.process.emplace();
  process.terminal = true;
  process.args = {"sh"};
  process.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
  const oci::Strings caps{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
  process.capabilities = oci::Capabilities{.bounding = caps, .effective = caps, .inheritable = {}, .permitted = caps, .ambient = {}};
  process.rlimits = {{.type = "RLIMIT_NOFILE", .soft = 1024, .hard = 1024}};
  process.no_new_privileges = true;
  spec.hostname = "vpsrun";
  spec.mounts = default_mounts();
  auto& section = spec.linux_.emplace();
  for (const char* type : {"pid", "network", "ipc", "uts", "mount", "cgroup"}) section.namespaces.push_back({.type = type, .path = ""});
  section.resources.emplace().devices = {oci::DeviceRule{.allow = false, .type = "", .major = {}, .minor = {}, .access = "rwm"}};
  section.masked_paths = {"/proc/acpi",       "/proc/asound",     "/proc/kcore",     "/proc/keys",
                          "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                          "/sys/firmware",    "/proc/scsi"};
  section.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  return spec;
}

// Without privileges: no network of one's own to configure, ids of the caller alone, no cgroups, the host's /sys.
void make_rootless(oci::Spec& spec) {
  auto& section = *spec.linux_;
  std::erase_if(section.namespaces, [](const oci::Namespace& entry) { return entry.type == "network" || entry.type == "cgroup"; });
  section.namespaces.push_back({.type = "user", .path = ""});
  section.uid_mappings = {{.container_id = 0, .host_id = ::geteuid(), .size = 1}};
  section.gid_mappings = {{.container_id = 0, .host_id = ::getegid(), .size = 1}};
  section.resources.reset();
  std::erase_if(spec.mounts, [](const oci::Mount& entry) { return entry.destination == "/sys/fs/cgroup" || entry.destination == "/sys"; });
  spec.mounts.push_back(mount("/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}));
  for (auto& entry : spec.mounts) std::erase(entry.options, "gid=5");
}

Result<int> run(Context&, const Arguments& arguments) {
  auto spec = default_spec();
  if (arguments.flag("rootless")) make_rootless(spec);
  auto dir = VPS_TRY(open_dir(arguments.value_or("bundle", ".")));
  auto text = oci::format_spec(spec);
  auto file = open_at(dir.get(), "config.json", O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (!file && file.error().err() == EEXIST) return fail(Code::kExists, "file config.json exists. Remove it first");
  if (!file) return std::unexpected(std::move(file).error());
  VPS_TRY(write_all(file->get(), text));
  return 0;
}

}  // namespace

constinit const CommandSpec kSpec = {
    .name = "spec",
    .summary = "write a config.json to start from",
    .description = "A shell on a terminal in a read-only root \"rootfs\" beside the file. An existing file stays.",
    .options = kOptions,
    .run = run,
};

}  // namespace vps::vpsrun
