// Passwords of a guest's users: hashed by crypt(3), written into the shadow file inside its root. Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specs/vps/compile.h"

namespace vps::daemon {

// yescrypt, or SHA-512 for guests that do not know it. kUsage: empty, too long, or with a NUL or line end in it.
Result<std::string> hash_password(const std::string& password, bool yescrypt);

// `shadow` with the hash of `user`; kNotFound: no such user in it. Pure.
Result<std::string> with_hash(std::string_view shadow, std::string_view user, std::string_view hash);

// In the root of a VPS that runs: that of its pid 1. Files belong to the mapped root, as whom this writes.
Result<> set_password_running(int pid, IdRange ids, const std::string& user, const std::string& password);
// In its disk, while it does not run.
Result<> set_password_stopped(const RootfsPlan& rootfs, const std::string& user, const std::string& password);

// The text of an authorized_keys file; kUsage: a line that is no public key (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").
Result<std::string> format_authorized_keys(const std::vector<std::string>& keys);

// Puts `content` into `path` of a disk that is not in use: into the layer of its own. Missing directories are made like the
// template's, or with `directory_mode`.
Result<> write_disk_file(const RootfsPlan& rootfs, const std::string& path, std::string_view content, mode_t mode, mode_t directory_mode);

}  // namespace vps::daemon
