#include "runtime/guest_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "base/files.h"

namespace vps::runtime {
namespace {

constexpr std::size_t kMaxFile = 1u << 20;
constexpr mode_t kSecret = 0600;
constexpr mode_t kPlain = 0644;

bool there(int root, const std::string& path) { return open_in_root(root, path, O_PATH).has_value(); }

// The text of a regular file of the guest's; anything else, or too much of it, is none.
std::string text_of(const Result<UniqueFd>& fd) {
  struct stat st{};
  if (!fd || ::fstat(fd->get(), &st) != 0 || !S_ISREG(st.st_mode)) return {};
  return read_fd(fd->get(), kMaxFile).value_or(std::string());
}
std::string text_of(int root, const std::string& path) { return text_of(open_in_root(root, path, O_RDONLY | O_NONBLOCK)); }

bool is_ours(int root, const std::string& path) { return text_of(root, path).starts_with(guest::kHeader); }

// Files of ours in `directory` that are for interfaces that the VPS has no longer.
void remove_others(int root, const std::string& directory, std::string_view beginning, const std::set<std::string>& keep) {
  auto opened = open_in_root(root, directory, O_RDONLY | O_DIRECTORY);
  auto names = opened ? list_dir_at(opened->get()) : Result<std::vector<std::string>>(fail(Code::kNotFound, "not there"));
  if (!names) return;
  for (const auto& name : *names)
    if (name.starts_with(beginning) && !keep.contains(name) && is_ours(root, directory + "/" + name)) (void)::unlinkat(opened->get(), name.c_str(), 0);
}

Result<> put_block(int root, const std::string& path, const std::string& lines) {
  auto before = text_of(root, path);
  auto after = guest::with_block(before, lines);
  if (after == before) return {};
  (void)VPS_TRY(write_in_root(root, path, after, kPlain));
  return {};
}

// One file per interface, by the name that `name_of` gives it.
template <class Name, class Content>
Result<> put_each(int root, const std::string& directory, std::string_view beginning, mode_t mode, const net::VpsPlan& plan, Name name_of,
                  Content content_of) {
  if (!there(root, directory)) return {};
  std::set<std::string> keep;
  for (const auto& port : plan.ports) {
    auto name = name_of(port);
    keep.insert(name);
    (void)VPS_TRY(write_in_root(root, directory + "/" + name, content_of(port), mode));
  }
  remove_others(root, directory, beginning, keep);
  return {};
}

}  // namespace

Result<bool> write_in_root(int root_fd, const std::string& path, std::string_view content, mode_t mode) {
  auto slash = path.rfind('/');
  auto parent = open_in_root(root_fd, path.substr(0, slash + 1), O_PATH | O_DIRECTORY);
  const std::string name = path.substr(slash + 1);
  if (!parent) return false;  // a root without that directory has no use for the file
  struct stat st{};
  bool exists = ::fstatat(parent->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
  // What the tenant has put in a file's place is the tenant's: never followed, never a reason not to start.
  if (exists && S_ISDIR(st.st_mode)) return false;
  // A start that changes nothing writes nothing: a file that is cut off gives blocks back to the disk, and may wait for it.
  if (exists && S_ISREG(st.st_mode) && st.st_size == static_cast<off_t>(content.size()) &&
      text_of(open_at(parent->get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)) == content)
    return true;
  if (exists && !S_ISREG(st.st_mode) && ::unlinkat(parent->get(), name.c_str(), 0) != 0) return false;
  int fd = ::openat(parent->get(), name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode);
  if (fd < 0) return fail_errno(errno, "open {}", path);
  UniqueFd owned(fd);
  VPS_TRY_CTX(path, write_all(fd, content));
  return true;
}

Result<> write_guest_files(int root, const net::VpsPlan& plan, const GuestNames& names) {
  if (!names.configure || plan.ports.empty()) return {};
  VPS_TRY(put_block(root, "/etc/hosts", guest::hosts_lines(names)));
  if (auto text = guest::resolv_conf(names); !text.empty()) (void)VPS_TRY(write_in_root(root, "/etc/resolv.conf", text, kPlain));

  if (there(root, "/etc/network")) VPS_TRY(put_block(root, "/etc/network/interfaces", guest::ifupdown_lines(plan)));
  const bool netplan = there(root, "/etc/netplan") && (there(root, "/usr/sbin/netplan") || there(root, "/usr/share/netplan"));
  if (netplan) (void)VPS_TRY(write_in_root(root, "/etc/netplan/90-vpsd.yaml", guest::netplan(plan, names), kSecret));
  if (!netplan)
    VPS_TRY(put_each(
        root, "/etc/systemd/network", "10-vpsd-", kPlain, plan, [](const auto& port) { return fmt::format("10-vpsd-{}.network", port.guest_link); },
        [&](const auto& port) { return guest::networkd(port, names); }));
  VPS_TRY(put_each(
      root, "/etc/NetworkManager/system-connections", "vpsd-", kSecret, plan,
      [](const auto& port) { return fmt::format("vpsd-{}.nmconnection", port.guest_link); },
      [&](const auto& port) { return guest::network_manager(port, names); }));
  // Only for the scripts that read them: where NetworkManager has the interfaces alone, they would take them away from it
  // (NM_CONTROLLED=no).
  const bool scripts = there(root, "/etc/init.d/network") || there(root, "/etc/rc.d/init.d/network") || !there(root, "/usr/sbin/NetworkManager");
  VPS_TRY(put_each(
      root, "/etc/sysconfig/network-scripts", "ifcfg-", kPlain, scripts ? plan : net::VpsPlan{}, [](const auto& port) { return "ifcfg-" + port.guest_link; },
      [](const auto& port) { return guest::ifcfg_redhat(port); }));
  if (!there(root, "/etc/sysconfig/network") || there(root, "/etc/sysconfig/network-scripts")) return {};
  VPS_TRY(put_each(
      root, "/etc/sysconfig/network", "ifcfg-", kPlain, plan, [](const auto& port) { return "ifcfg-" + port.guest_link; },
      [](const auto& port) { return guest::ifcfg_suse(port); }));
  return put_each(
      root, "/etc/sysconfig/network", "ifroute-", kPlain, plan, [](const auto& port) { return "ifroute-" + port.guest_link; },
      [](const auto& port) { return guest::ifroute_suse(port); });
}

}  // namespace vps::runtime
