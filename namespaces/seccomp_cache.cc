#include "namespaces/seccomp_cache.h"

#include <linux/filter.h>
#include <seccomp.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/wire.h"
#include "namespaces/seccomp_compact.h"

namespace vps::namespaces {

namespace {

// Changes whenever compile_seccomp_cached gives another program for the same profile.
constexpr std::uint32_t kFormat = 2;
constexpr std::string_view kMagic = "vps-bpf\n";
constexpr std::string_view kSuffix = ".bpf";
constexpr std::size_t kDigestSize = 32;
constexpr std::size_t kMaxEntry = 1u << 20;
constexpr std::size_t kMaxEntries = 128;  // files in the directory before the oldest go

void put_optional(WireWriter& out, const std::optional<std::uint32_t>& value) {
  out.boolean(value.has_value());
  out.u32(value.value_or(0));
}

std::string_view as_bytes(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Sha256Digest digest_of(std::string_view data) {
  Sha256 hash;
  hash.update(data);
  return hash.finish();
}

// Only a regular file of ours that nobody else can write is taken.
Result<std::string> read_entry(int dirfd, const std::string& name) {
  UniqueFd fd = VPS_TRY(open_at(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_errno(errno, "stat {}", name);
  if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return fail(Code::kNotAllowed, "{} is not a private file of uid {}", name, ::geteuid());
  return read_fd(fd.get(), kMaxEntry);
}

// Profiles change with releases and engines; without a bound their filters would stay for ever.
void drop_oldest(int dirfd) {
  auto names = list_dir_at(dirfd);
  if (!names || names->size() <= kMaxEntries) return;
  std::vector<std::pair<std::int64_t, std::string>> by_age;  // modification time in ns
  for (const auto& name : *names) {
    if (!name.ends_with(kSuffix) && !name.starts_with(".tmp-")) continue;
    struct stat info {};
    if (::fstatat(dirfd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    by_age.emplace_back(info.st_mtim.tv_sec * std::int64_t{1'000'000'000} + info.st_mtim.tv_nsec, name);
  }
  std::ranges::sort(by_age);
  std::size_t surplus = std::min(names->size() - kMaxEntries, by_age.size());
  for (std::size_t i = 0; i < surplus; ++i) (void)::unlinkat(dirfd, by_age[i].second.c_str(), 0);
}

void store_entry(const std::string& cache_dir, const std::string& name, const std::string& entry) {
  auto made = make_dirs(cache_dir, 0700);
  auto dir = made ? open_dir(cache_dir) : Result<UniqueFd>(std::unexpected(made.error()));
  auto written = dir ? write_file_atomic_at(dir->get(), name, entry, 0600) : Result<>(std::unexpected(dir.error()));
  if (!written) {
    log::debug("seccomp cache {}: {}", cache_dir, written.error().to_string());
    return;
  }
  drop_oldest(dir->get());
}

}  // namespace

std::string seccomp_library_version() {
  const scmp_version* version = ::seccomp_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->micro);
}

std::string seccomp_cache_key(const oci::Seccomp& profile) {
  WireWriter out;
  out.u32(kFormat);
  const scmp_version* version = ::seccomp_version();
  out.u32(version->major);
  out.u32(version->minor);
  out.u32(version->micro);
  utsname names{};
  (void)::uname(&names);
  out.string(names.machine);
  out.string(profile.default_action);
  put_optional(out, profile.default_errno_ret);
  out.strings(profile.architectures);
  out.strings(profile.flags);
  out.u32(static_cast<std::uint32_t>(profile.syscalls.size()));
  for (const auto& rule : profile.syscalls) {
    out.strings(rule.names);
    out.string(rule.action);
    put_optional(out, rule.errno_ret);
    out.u32(static_cast<std::uint32_t>(rule.args.size()));
    for (const auto& arg : rule.args) {
      out.u32(arg.index);
      out.u64(arg.value);
      out.u64(arg.value_two);
      out.string(arg.op);
    }
  }
  return sha256_hex(out.data());
}

// magic, wire(key, flags, listener, skipped, instructions as bytes), SHA-256 of all before.
std::string format_seccomp_entry(const SeccompProgram& program, std::string_view key) {
  WireWriter out;
  out.string(key);
  out.u32(program.flags);
  out.boolean(program.needs_listener);
  out.strings(program.skipped_syscalls);
  out.string({reinterpret_cast<const char*>(program.instructions.data()),
              program.instructions.size() * sizeof(std::uint64_t)});
  std::string entry(kMagic);
  entry += out.data();
  entry += as_bytes(digest_of(entry));
  return entry;
}

Result<SeccompProgram> parse_seccomp_entry(std::string_view entry, std::string_view key) {
  if (entry.size() < kMagic.size() + kDigestSize || !entry.starts_with(kMagic))
    return fail(Code::kUsage, "not a seccomp cache entry");
  std::string_view body = entry.substr(0, entry.size() - kDigestSize);
  if (as_bytes(digest_of(body)) != entry.substr(body.size())) return fail(Code::kUsage, "damaged seccomp cache entry");
  WireReader in(body.substr(kMagic.size()));
  SeccompProgram program;
  if (in.string() != key) return fail(Code::kUsage, "seccomp cache entry of another profile");
  program.flags = in.u32();
  program.needs_listener = in.boolean();
  program.skipped_syscalls = in.strings();
  std::string instructions = in.string();
  VPS_TRY(in.finish("seccomp cache entry"));
  std::size_t count = instructions.size() / sizeof(std::uint64_t);
  if (count == 0 || count > BPF_MAXINSNS || instructions.size() % sizeof(std::uint64_t) != 0)
    return fail(Code::kUsage, "seccomp cache entry with {} bytes of instructions", instructions.size());
  program.instructions.resize(count);
  std::memcpy(program.instructions.data(), instructions.data(), instructions.size());
  return program;
}

Result<SeccompProgram> cached_seccomp(const std::string& key, const std::string& cache_dir) {
  if (cache_dir.empty() || key.empty() || key.find('/') != std::string::npos) return fail(Code::kNotFound, "no cached filter '{}'", key);
  auto dir = VPS_TRY(open_dir(cache_dir));
  auto entry = VPS_TRY(read_entry(dir.get(), key + std::string(kSuffix)));
  return parse_seccomp_entry(entry, key);
}

Result<SeccompProgram> compile_seccomp_cached(const oci::Seccomp& profile, const std::string& cache_dir) {
  if (cache_dir.empty()) return compile_seccomp(profile);
  const std::string key = seccomp_cache_key(profile);
  auto found = cached_seccomp(key, cache_dir);
  if (found) return found;
  log::debug("seccomp cache {}: {}", cache_dir, found.error().to_string());
  SeccompProgram program = VPS_TRY(compile_seccomp(profile));
  if (auto smaller = compact_filter(program.instructions)) program.instructions = std::move(*smaller);
  store_entry(cache_dir, key + std::string(kSuffix), format_seccomp_entry(program, key));
  return program;
}

}  // namespace vps::namespaces
