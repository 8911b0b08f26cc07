// The recipe "busybox": a complete small system out of the host's static busybox, for quick tests and hosts without network.
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/files.h"
#include "storage/recipes.h"
#include "storage/run_program.h"
#include "storage/tree_edit.h"

namespace vps::storage {
namespace {

constexpr char kPackage[] = "busybox-static";
constexpr std::size_t kOutputLimit = 64u << 10;

// The console runs a login shell at once ("-" makes it a login shell with job control on /dev/console): who may attach to
// the console of a VPS is root in it anyway. "askfirst" would swallow the first line that is typed or sent.
// cttyhack: this init makes the console no controlling terminal, and a shell without one has no job control.
constexpr char kInittab[] =
    "::sysinit:/etc/init.d/rcS\n"
    "::respawn:/bin/cttyhack /bin/sh -l\n"
    "::ctrlaltdel:/sbin/reboot\n"
    "::restart:/sbin/init\n"
    "::shutdown:/etc/init.d/rcK\n";

// vpsd has mounted what a VPS needs; a mount that is there is left alone.
constexpr char kRcS[] =
    "#!/bin/sh\n"
    "mkdir -p /run/lock /var/log /var/tmp\n"
    "ip link set lo up 2>/dev/null\n"
    "for script in /etc/init.d/S??*; do\n"
    "  [ -x \"$script\" ] && \"$script\" start\n"
    "done\n"
    ":\n";
constexpr char kRcK[] =
    "#!/bin/sh\n"
    "for script in $(ls -r /etc/init.d/S??* 2>/dev/null); do\n"
    "  [ -x \"$script\" ] && \"$script\" stop\n"
    "done\n"
    ":\n";

constexpr char kProfile[] =
    "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    "export HOME=${HOME:-/root}\n"
    "PS1='\\h:\\w\\$ '\n";
constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
constexpr char kShadow[] = "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n";
constexpr char kGroup[] = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nnogroup:x:65534:\n";
constexpr char kHosts[] = "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n";

// A program that needs an interpreter or libraries of the host would not start in the tree.
Result<bool> is_static_elf(const std::string& path) {
  auto fd = VPS_TRY(open_path(path, O_RDONLY));
  Elf64_Ehdr header{};
  if (::pread(fd.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) return false;
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return false;
  // 32-bit hosts: the header differs; busybox-static is the only thing that their package can be.
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return true;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr program{};
    auto at = static_cast<off_t>(header.e_phoff + std::uint64_t{i} * header.e_phentsize);
    if (::pread(fd.get(), &program, sizeof program, at) != static_cast<ssize_t>(sizeof program)) return false;
    if (program.p_type == PT_INTERP) return false;
  }
  return true;
}

Result<std::vector<std::string>> applet_paths(const std::string& busybox) {
  ProgramRun run;
  run.argv = {busybox, "--list-full"};
  auto text = VPS_TRY(program_output(run, kOutputLimit));
  std::vector<std::string> paths;
  for (std::size_t pos = 0; pos < text.size();) {
    auto end = std::min(text.find('\n', pos), text.size());
    auto path = text.substr(pos, end - pos);
    pos = end + 1;
    if (path.find('/') != std::string::npos && path != "bin/busybox") paths.push_back(std::move(path));
  }
  if (std::ranges::find(paths, "sbin/init") == paths.end())
    return fail(Code::kUnavailable, "{} has no init applet: install the package {}", busybox, kPackage);
  return paths;
}

Result<std::string> version_of(const std::string& busybox) {
  ProgramRun run;
  run.argv = {busybox, "--help"};
  auto text = VPS_TRY(program_output(run, kOutputLimit));
  auto at = text.find(" v");
  return at == std::string::npos ? std::string{} : text.substr(at + 2, text.find(' ', at + 2) - at - 2);
}

Result<> fill_etc(TreeEdit& edit, const std::string& version) {
  struct File {
    const char* path;
    std::string text;
    mode_t mode;
  };
  const std::array files = {
      File{"/etc/inittab", kInittab, 0644},
      File{"/etc/init.d/rcS", kRcS, 0755},
      File{"/etc/init.d/rcK", kRcK, 0755},
      File{"/etc/profile", kProfile, 0644},
      File{"/etc/passwd", kPasswd, 0644},
      File{"/etc/shadow", kShadow, 0600},
      File{"/etc/group", kGroup, 0644},
      File{"/etc/hosts", kHosts, 0644},
      File{"/etc/resolv.conf", "# Filled in for each VPS.\n", 0644},
      File{"/etc/shells", "/bin/sh\n/bin/ash\n", 0644},
      File{"/etc/os-release",
           fmt::format("ID=busybox\nNAME=BusyBox\nPRETTY_NAME=\"BusyBox {0}\"\nVERSION_ID={0}\n", version), 0644},
  };
  for (const auto& file : files) VPS_TRY(edit.file(file.path, file.text, file.mode));
  return {};
}

}  // namespace

Result<std::string> build_busybox(const RecipeInput& input) {
  auto busybox = VPS_TRY(find_program(input.options.search_path, "busybox", kPackage));
  if (!VPS_TRY_CTX(busybox, is_static_elf(busybox)))
    return fail(Code::kUnavailable, "{} is not static: install the package {}", busybox, kPackage);
  VPS_TRY(report(input.progress, "copying " + busybox));
  auto version = VPS_TRY(version_of(busybox));
  auto edit = VPS_TRY(TreeEdit::open(input.rootfs));
  if (::chmod(input.rootfs.c_str(), 0755) != 0) return fail_errno(errno, "set mode of {}", input.rootfs);
  for (const char* path : {"/bin", "/dev", "/etc", "/home", "/mnt", "/opt", "/proc", "/run", "/sbin", "/srv", "/sys", "/usr",
                           "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/local", "/var", "/var/log",
                           "/var/lib", "/var/spool", "/etc/init.d"})
    VPS_TRY(edit.directory(path));
  VPS_TRY(edit.directory("/root", 0700));
  VPS_TRY(edit.directory("/tmp", 01777));
  VPS_TRY(edit.directory("/var/tmp", 01777));
  VPS_TRY(edit.link("/var/run", "/run"));
  auto program = VPS_TRY(read_file(busybox));
  VPS_TRY(edit.file("/bin/busybox", program, 0755));
  for (const auto& path : VPS_TRY(applet_paths(busybox))) VPS_TRY(edit.link("/" + path, "/bin/busybox"));
  VPS_TRY(fill_etc(edit, version));
  return "busybox " + version;
}

}  // namespace vps::storage
