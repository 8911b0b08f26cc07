#include "cgroups/shares.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "base/files.h"
#include "cgroups/cgroup.h"
#include "cgroups/stats.h"
#include "cgroups/tree.h"

namespace vps::cgroups {
namespace {

constexpr std::array<std::string_view, 7> kShares = {"cpu.weight", "cpu.weight.nice", "cpu.idle", "io.weight", "io.bfq.weight", "memory.low", "memory.min"};
constexpr std::array<const char*, 2> kGuarantees = {"memory.low", "memory.min"};

// cgroup-v2.rst, memory.low: "the effective low boundary is limited by memory.low values of all ancestor cgroups".
Result<> add_up_guarantees(const Host& host, const std::string& path) {
  auto slash = path.rfind('/');
  if (slash == std::string::npos) return {};  // directly below the root, which has no limits
  auto parent = VPS_TRY(open_dir(host.unified_base + "/" + path.substr(0, slash)));
  if (::flock(parent.get(), LOCK_EX) != 0) return fail_errno(errno, "lock cgroup {}", path.substr(0, slash));
  for (const char* file : kGuarantees) {
    std::uint64_t sum = 0;
    for (const auto& name : VPS_TRY(sub_groups(parent.get()))) {
      auto text = read_file_at(parent.get(), name + "/" + file);
      if (!text) continue;  // just removed
      auto value = parse_limit(*text);
      constexpr auto kAll = std::numeric_limits<std::uint64_t>::max();
      sum = !value || kAll - sum < *value ? kAll : sum + *value;
    }
    constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    auto written = write_kernel_file_at(parent.get(), file, sum > kMost ? "max" : fmt::format("{}", sum));
    if (!written && written.error().err() != ENOENT) return written;
  }
  return {};
}

}  // namespace

oci::Resources shares_of(const oci::Resources& resources) {
  oci::Resources shares;
  for (const auto& [key, value] : resources.unified)
    if (std::ranges::find(kShares, key) != kShares.end()) shares.unified[key] = value;
  if (resources.cpu && resources.cpu->shares) shares.cpu.emplace().shares = resources.cpu->shares;
  if (resources.memory && resources.memory->reservation) shares.memory.emplace().reservation = resources.memory->reservation;
  if (resources.block_io && (resources.block_io->weight || !resources.block_io->weight_device.empty())) {
    auto& io = shares.block_io.emplace();
    io.weight = resources.block_io->weight;
    io.weight_device = resources.block_io->weight_device;
  }
  return shares;
}

Result<> apply_shares(const Host& host, const std::string& path, const oci::Resources& resources) {
  auto shares = shares_of(resources);
  if (shares == oci::Resources{}) return {};
  auto group = VPS_TRY(Group::open(host, path));
  (void)VPS_TRY(group.apply(shares));
  bool guarantee = shares.memory || std::ranges::any_of(kGuarantees, [&](const char* file) { return shares.unified.contains(file); });
  if (guarantee && host.where("memory") == Where::kUnified) VPS_TRY_CTX("guarantees", add_up_guarantees(host, path));
  return {};
}

}  // namespace vps::cgroups
