// The recipe "debian-12": mmdebstrap from the host's own mirror, then made fit to be the root of many VPSes.
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/files.h"
#include "storage/apt_sources.h"
#include "storage/recipes.h"
#include "storage/run_program.h"
#include "storage/tree_edit.h"

namespace vps::storage {
namespace {

constexpr char kRelease[] = "bookworm";

// What an operator and a customer expect in a server: init, bus, network and process tools, ssh, certificates.
constexpr char kPackages[] =
    "systemd,systemd-sysv,libpam-systemd,dbus,iproute2,iputils-ping,netbase,procps,openssh-server,ca-certificates,tzdata,"
    "less,nano";

constexpr char kHostKeysUnit[] =
    "[Unit]\n"
    "Description=Make the SSH host keys of this system\n"
    "ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\n"
    "Before=ssh.service\n"
    "\n"
    "[Service]\n"
    "Type=oneshot\n"
    "ExecStart=/usr/bin/ssh-keygen -A\n"
    "\n"
    "[Install]\n"
    "WantedBy=ssh.service\n";

// Kept in memory and small: a VPS's console log is the operator's record, and a journal on disk would grow in every VPS.
constexpr char kJournald[] = "[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\n";

// Wanted by default, of no use in a VPS or a burden when a thousand wake at once. Disabled, not masked: the VPS's own root
// may enable each again.
constexpr std::array<const char*, 9> kDisabled = {
    "timers.target.wants/apt-daily.timer",
    "timers.target.wants/apt-daily-upgrade.timer",
    "timers.target.wants/dpkg-db-backup.timer",
    "timers.target.wants/e2scrub_all.timer",
    "timers.target.wants/fstrim.timer",
    "timers.target.wants/man-db.timer",
    "multi-user.target.wants/e2scrub_reap.service",
    "sysinit.target.wants/systemd-pstore.service",
    "getty.target.wants/getty@tty1.service",
};

// Kernel file systems that a user namespace cannot mount, whatever its capabilities: each would be a failed unit.
constexpr std::array<const char*, 2> kMasked = {"sys-kernel-debug.mount", "sys-kernel-tracing.mount"};

Result<> lock_root_password(TreeEdit& edit, const std::string& rootfs) {
  auto root = VPS_TRY(open_dir(rootfs));
  auto fd = VPS_TRY(open_in_root(root.get(), "/etc/shadow", O_RDONLY));
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return fail_errno(errno, "stat /etc/shadow");
  auto text = VPS_TRY(read_fd(fd.get()));
  constexpr std::string_view kRoot = "root:";
  auto at = text.starts_with(kRoot) ? 0 : text.find("\nroot:");
  if (at == std::string::npos) return fail(Code::kFailed, "the tree's /etc/shadow has no root");
  auto begin = text.find(':', at) + 1, end = text.find(':', begin);
  if (end == std::string::npos) return fail(Code::kFailed, "the tree's /etc/shadow is damaged");
  text.replace(begin, end - begin, "*");
  VPS_TRY(edit.file("/etc/shadow", text, st.st_mode & 07777));
  fd = VPS_TRY(open_in_root(root.get(), "/etc/shadow", O_RDONLY));
  if (::fchown(fd.get(), st.st_uid, st.st_gid) != 0) return fail_errno(errno, "set owner of /etc/shadow");
  return {};
}

Result<> tailor(const std::string& rootfs) {
  auto edit = VPS_TRY(TreeEdit::open(rootfs));
  // An empty machine-id is filled at boot, without the "first boot" that would apply unit presets.
  VPS_TRY(edit.file("/etc/machine-id", "", 0444));
  VPS_TRY(edit.remove("/var/lib/dbus/machine-id"));
  VPS_TRY(edit.remove("/etc/hostname"));
  VPS_TRY(edit.file("/etc/resolv.conf", "# Filled in for each VPS.\n"));
  VPS_TRY(edit.file("/etc/hosts",
                    "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n"
                    "ff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n"));
  VPS_TRY(edit.file("/etc/default/locale", "LANG=C.UTF-8\n"));
  VPS_TRY(lock_root_password(edit, rootfs));

  const std::string units = "/etc/systemd/system/";
  for (const char* unit : kDisabled) VPS_TRY(edit.remove(units + unit));
  for (const char* unit : kMasked) VPS_TRY(edit.link(units + unit, "/dev/null"));
  VPS_TRY(edit.remove_matching("/etc/ssh", "ssh_host_"));
  VPS_TRY(edit.file(units + "ssh-host-keys.service", kHostKeysUnit));
  VPS_TRY(edit.link(units + "ssh.service.wants/ssh-host-keys.service", units + "ssh-host-keys.service"));
  VPS_TRY(edit.link(units + "getty.target.wants/console-getty.service", "/lib/systemd/system/console-getty.service"));
  VPS_TRY(edit.file("/etc/systemd/journald.conf.d/vps.conf", kJournald));
  if (!edit.exists("/lib/systemd/system/console-getty.service") || !edit.exists("/usr/sbin/sshd"))
    return fail(Code::kFailed, "the built tree is not what this recipe expects (no console-getty or no sshd)");

  VPS_TRY(edit.remove_matching("/var/lib/apt/lists", "deb"));
  VPS_TRY(edit.remove_matching("/var/cache/apt", "pkgcache"));
  VPS_TRY(edit.remove_matching("/var/cache/apt", "srcpkgcache"));
  VPS_TRY(edit.remove_matching("/var/log/apt", ""));
  for (const char* log : {"dpkg.log", "bootstrap.log", "alternatives.log"})
    VPS_TRY(edit.remove(std::string("/var/log/") + log));
  return {};
}

std::vector<std::string> environment(const RecipeInput& input) {
  std::vector<std::string> env = {"PATH=" + input.options.search_path, "HOME=/root", "LC_ALL=C.UTF-8",
                                  "DEBIAN_FRONTEND=noninteractive", "TMPDIR=" + input.scratch};
  for (const char* proxy : {"http_proxy", "https_proxy", "no_proxy"})
    if (const char* value = ::getenv(proxy); value != nullptr) env.push_back(fmt::format("{}={}", proxy, value));
  return env;
}

}  // namespace

Result<std::string> build_debian_12(const RecipeInput& input) {
  auto mmdebstrap = VPS_TRY(find_program(input.options.search_path, "mmdebstrap", "mmdebstrap"));
  // Its user _apt must reach the tree and the temporary files; the finished template is private again.
  for (const auto& [path, mode] : {std::pair{input.work_directory, 0711}, {input.scratch, 0711}, {input.rootfs, 0755}})
    if (::chmod(path.c_str(), static_cast<mode_t>(mode)) != 0) return fail_errno(errno, "set mode of {}", path);
  ProgramRun run;
  run.isolated = true;
  run.search_path = input.options.search_path;
  run.environment = environment(input);
  run.argv = {mmdebstrap,      "--mode=root", "--format=directory", "--variant=minbase", std::string("--include=") + kPackages,
              kRelease,        input.rootfs};
  auto mirrors = input.options.mirrors;
  if (mirrors.empty())
    mirrors = VPS_TRY_CTX("read the host's apt sources",
                          collect_apt_sources(input.options.apt_directory, kRelease, input.scratch));
  run.argv.insert(run.argv.end(), mirrors.begin(), mirrors.end());
  VPS_TRY(report(input.progress, fmt::format("running mmdebstrap for Debian 12 ({})", kRelease)));
  VPS_TRY(run_program(run, input.progress));
  VPS_TRY(report(input.progress, "adapting the tree"));
  VPS_TRY(tailor(input.rootfs));
  return std::string("mmdebstrap ") + kRelease;
}

}  // namespace vps::storage
