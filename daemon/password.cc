#include "daemon/password.h"

#include <crypt.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>

#include "base/files.h"
#include "daemon/guest_root.h"
#include "specs/vps/tree.h"

namespace vps::daemon {
namespace {

constexpr const char* kShadow = "/etc/shadow";
constexpr std::size_t kMaxPassword = 512;  // CRYPT_MAX_PASSPHRASE_SIZE
constexpr mode_t kShadowMode = 0640;

bool knows_yescrypt(int root) {
  for (const char* path : {"/etc/pam.d/common-password", "/etc/login.defs"})
    if (auto text = read_in_root(root, path))
      if (text->find("yescrypt") != std::string::npos || text->find("YESCRYPT") != std::string::npos) return true;
  return false;
}

}  // namespace

Result<std::string> hash_password(const std::string& password, bool yescrypt) {
  if (password.empty()) return fail(Code::kUsage, "the password is empty");
  if (password.size() >= kMaxPassword) return fail(Code::kUsage, "the password is longer than {} bytes", kMaxPassword - 1);
  if (password.find_first_of(std::string_view("\0\n\r", 3)) != std::string::npos)
    return fail(Code::kUsage, "the password is more than one line of text");
  char salt[CRYPT_GENSALT_OUTPUT_SIZE];
  if (::crypt_gensalt_rn(yescrypt ? "$y$" : "$6$", 0, nullptr, 0, salt, sizeof salt) == nullptr) return fail_errno(errno, "make a salt");
  auto data = std::make_unique<crypt_data>();  // 32 KiB: too much for a thread's stack
  const char* hash = ::crypt_r(password.c_str(), salt, data.get());
  if (hash == nullptr || hash[0] == '*') return fail_errno(errno, "hash the password");
  return std::string(hash);
}

Result<std::string> with_hash(std::string_view shadow, std::string_view user, std::string_view hash) {
  std::string out;
  bool found = false;
  while (!shadow.empty()) {
    auto end = std::min(shadow.find('\n'), shadow.size());
    auto line = shadow.substr(0, end);
    shadow.remove_prefix(std::min(end + 1, shadow.size()));
    auto name_end = line.find(':');
    if (name_end != std::string_view::npos && line.substr(0, name_end) == user && !found) {
      auto rest = line.find(':', name_end + 1);
      out += fmt::format("{}:{}{}\n", user, hash, rest == std::string_view::npos ? std::string_view(":::::::") : line.substr(rest));
      found = true;
    } else {
      out += fmt::format("{}\n", line);
    }
  }
  if (!found) return fail(Code::kNotFound, "it has no user {} (in {})", user, kShadow);
  return out;
}

Result<> set_password_running(int pid, IdRange ids, const std::string& user, const std::string& password) {
  auto root = VPS_TRY_CTX("its root", open_path(fmt::format("/proc/{}/root", pid), O_PATH | O_DIRECTORY));
  auto hash = VPS_TRY(hash_password(password, knows_yescrypt(root.get())));
  auto before = VPS_TRY(read_in_root(root.get(), kShadow));
  auto after = VPS_TRY(with_hash(before, user, hash));
  return replace_in_root(root.get(), ids, kShadow, after, kShadowMode);
}

Result<> set_password_stopped(const RootfsPlan& rootfs, const std::string& user, const std::string& password) {
  std::vector<std::string> layers = rootfs.lower;
  if (!rootfs.upper.empty()) layers.insert(layers.begin(), rootfs.upper);
  std::optional<std::string> before;
  bool yescrypt = false;
  for (const auto& layer : layers) {
    auto root = VPS_TRY(open_dir(layer));
    yescrypt = yescrypt || knows_yescrypt(root.get());
    if (auto text = before ? Result<std::string>(*before) : read_in_root(root.get(), kShadow)) before = *text;
  }
  if (!before) return fail(Code::kNotFound, "it has no {}", kShadow);
  auto hash = VPS_TRY(hash_password(password, yescrypt));
  auto after = VPS_TRY(with_hash(*before, user, hash));
  return write_disk_file(rootfs, kShadow, after, kShadowMode, 0755);
}

Result<std::string> format_authorized_keys(const std::vector<std::string>& keys) {
  constexpr std::size_t kMostKeys = 100;
  constexpr std::size_t kLongest = 16u << 10;
  constexpr std::array<std::string_view, 5> kKinds = {"ssh-ed25519 ", "ssh-rsa ", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"};
  if (keys.size() > kMostKeys) return fail(Code::kUsage, "more than {} ssh keys", kMostKeys);
  std::string text;
  for (const auto& key : keys) {
    bool control = std::ranges::any_of(key, [](char c) { return static_cast<unsigned char>(c) < ' ' && c != '\t'; });
    bool known = std::ranges::any_of(kKinds, [&](std::string_view kind) { return key.starts_with(kind); });
    if (control || !known || key.size() > kLongest || key.find(" AAAA") == std::string::npos)
      return fail(Code::kUsage, "expected a public ssh key like 'ssh-ed25519 AAAA... name', found '{}'", quote_for_message(key));
    text += key + "\n";
  }
  return text;
}

Result<> write_disk_file(const RootfsPlan& rootfs, const std::string& path, std::string_view content, mode_t mode, mode_t directory_mode) {
  const std::string& own = rootfs.upper.empty() ? rootfs.lower.front() : rootfs.upper;
  auto root = VPS_TRY(open_dir(own));
  struct stat st{};
  // What the template has in the file's place gives the new one its owner and mode.
  std::optional<struct stat> below;
  for (const auto& layer : rootfs.lower) {
    auto lower = VPS_TRY(open_dir(layer));
    if (auto fd = below ? Result<UniqueFd>(fail(Code::kNotFound, "known")) : open_in_root(lower.get(), path, O_PATH | O_NOFOLLOW))
      if (::fstat(fd->get(), &st) == 0) below = st;
  }
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string directory = path.substr(0, at);
    if (open_in_root(root.get(), directory, O_PATH | O_DIRECTORY)) continue;
    mode_t like = directory_mode;
    for (const auto& layer : rootfs.lower)
      if (auto lower = open_dir(layer))
        if (auto fd = open_in_root(lower->get(), directory, O_PATH | O_DIRECTORY); fd && ::fstat(fd->get(), &st) == 0) like = st.st_mode & 07777u;
    auto made = VPS_TRY(mkdirs_in_root(root.get(), directory, like));
    if (::fchmodat(made.get(), ".", like, 0) != 0) return fail_errno(errno, "mode of {}", directory);
  }
  const bool fresh = !open_in_root(root.get(), path, O_PATH | O_NOFOLLOW);
  VPS_TRY(replace_in_root(root.get(), {}, path, content, below ? below->st_mode & 07777u : mode));
  if (!fresh || !below) return {};
  auto file = VPS_TRY(open_in_root(root.get(), path, O_RDONLY | O_NOFOLLOW));
  if (::fchown(file.get(), below->st_uid, below->st_gid) != 0) return fail_errno(errno, "owner of {}", path);
  return {};
}

}  // namespace vps::daemon
