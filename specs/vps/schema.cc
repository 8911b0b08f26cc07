#include "specs/vps/schema.h"

#include <numeric>

#include "specs/vps/checks.h"
#include "specs/vps/network_rows.h"

namespace vps::schema {
namespace {

constexpr std::uint64_t kMaxSize = 1ull << 60;       // 1 EiB
constexpr std::uint64_t kMinMemory = 4ull << 20;     // an init needs this much to come up at all
constexpr std::uint64_t kMinDisk = 1ull << 20;
constexpr std::uint64_t kMaxCount = 1'000'000'000'000;
constexpr std::uint64_t kDay = 86'400'000;           // ms

struct RestartNames {
  using Type = RestartPolicy;
  static constexpr std::array<std::pair<std::string_view, Type>, 3> kValues{
      {{"never", Type::kNever}, {"on-failure", Type::kOnFailure}, {"always", Type::kAlways}}};
};
struct LayoutNames {
  using Type = DiskLayout;
  static constexpr std::array<std::pair<std::string_view, Type>, 5> kValues{{{"auto", Type::kAuto},
                                                                            {"overlay", Type::kOverlay},
                                                                            {"image", Type::kImage},
                                                                            {"btrfs", Type::kBtrfs},
                                                                            {"dir", Type::kDir}}};
};
struct SeccompNames {
  using Type = std::string;
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kValues{
      {{"default", "default"}, {"unconfined", "unconfined"}}};
};
struct FeatureNames {
  using Type = std::string;
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kValues{
      {{"tun", "tun"}, {"fuse", "fuse"}, {"nesting", "nesting"}}};
};

Result<> hook_name(std::string_view name) {
  if (name == "prestart" || name == "poststart" || name == "poststop") return {};
  return fail(Code::kUsage, "unknown hook (prestart, poststart and poststop are known)");
}

using Weight = Maybe<Whole<std::uint32_t, 1, 10000>>;
using Count = Maybe<Whole<std::uint64_t, 1, kMaxCount>>;
using Speed = Maybe<Quantity<Bytes, 1, kMaxSize>>;
using Arguments = List<Text<checks::argument>, 256>;
using Programs = List<Text<checks::host_path>, 16>;

#define VPS_FIELD(name) [](auto& object) -> auto& { return object.name; }

constexpr std::array kMountRows = {
    make_row<VpsMount, Text<checks::host_path, true>, VPS_FIELD(source)>("source", Shape::kScalar, kRequired),
    make_row<VpsMount, Text<checks::mount_target, true>, VPS_FIELD(target)>("target", Shape::kScalar, kRequired),
    make_row<VpsMount, Bool, VPS_FIELD(readonly)>("readonly", Shape::kScalar),
};
std::span<const Row<VpsMount>> mount_rows() { return kMountRows; }

template <class Codec, auto Field>
constexpr Row<Definition> key(std::string_view path, Shape shape, unsigned flags = 0, std::string_view short_names = {}) {
  return make_row<Definition, Codec, Field>(path, shape, flags, short_names);
}

// In the order in which a definition is printed; groups stand together.
constexpr std::array kRows = {
    key<Text<checks::id, true>, VPS_FIELD(id)>("id", Shape::kScalar, kFixed | kRequired),
    key<Text<checks::name, true>, VPS_FIELD(name)>("name", Shape::kScalar),
    key<Text<checks::uuid, true>, VPS_FIELD(uuid)>("uuid", Shape::kScalar, kFixed),
    key<Text<checks::template_name, true>, VPS_FIELD(template_name)>("template", Shape::kScalar,
                                                                     kFixed | kRequired | kNextStart),
    key<Text<checks::hostname, true>, VPS_FIELD(hostname)>("hostname", Shape::kScalar, kNextStart),
    key<Bool, VPS_FIELD(onboot)>("onboot", Shape::kScalar),
    key<Whole<std::int32_t, -1'000'000, 1'000'000>, VPS_FIELD(boot_order)>("bootOrder", Shape::kScalar),
    key<OneOf<RestartNames>, VPS_FIELD(restart)>("restart", Shape::kScalar),
    key<Quantity<Milliseconds, 1000, kDay>, VPS_FIELD(stop_timeout)>("stopTimeout", Shape::kScalar),
    key<Arguments, VPS_FIELD(init)>("init", Shape::kList, kNextStart),
    key<Dictionary<checks::environment_name, Text<checks::environment_value>, 256>, VPS_FIELD(environment)>(
        "environment", Shape::kTexts, kNextStart),

    key<Maybe<Cpus>, VPS_FIELD(resources.cpu.limit)>("resources.cpu.limit", Shape::kScalar, 0, "cpus"),
    key<Weight, VPS_FIELD(resources.cpu.weight)>("resources.cpu.weight", Shape::kScalar),
    key<Maybe<Whole<std::uint32_t, 1, 8192>>, VPS_FIELD(resources.cpu.count)>("resources.cpu.count", Shape::kScalar),
    key<Text<checks::cpu_set, true>, VPS_FIELD(resources.cpu.set)>("resources.cpu.set", Shape::kScalar, 0, "cpuset"),
    key<Maybe<Quantity<Bytes, kMinMemory, kMaxSize>>, VPS_FIELD(resources.memory.limit)>("resources.memory.limit",
                                                                                         Shape::kScalar, 0, "ram memory"),
    key<Maybe<Quantity<Bytes, 0, kMaxSize>>, VPS_FIELD(resources.memory.swap)>("resources.memory.swap", Shape::kScalar, 0,
                                                                               "swap"),
    key<Maybe<Quantity<Bytes, 0, kMaxSize>>, VPS_FIELD(resources.memory.guarantee)>("resources.memory.guarantee",
                                                                                    Shape::kScalar, 0, "guarantee"),
    // PID_MAX_LIMIT of 64-bit kernels
    key<Maybe<Whole<std::uint64_t, 1, 4'194'304>>, VPS_FIELD(resources.pids_limit)>("resources.pids.limit",
                                                                                    Shape::kScalar, 0, "pids"),
    key<Weight, VPS_FIELD(resources.io.weight)>("resources.io.weight", Shape::kScalar),
    key<Speed, VPS_FIELD(resources.io.read)>("resources.io.read", Shape::kScalar),
    key<Speed, VPS_FIELD(resources.io.write)>("resources.io.write", Shape::kScalar),
    key<Count, VPS_FIELD(resources.io.read_iops)>("resources.io.readIops", Shape::kScalar),
    key<Count, VPS_FIELD(resources.io.write_iops)>("resources.io.writeIops", Shape::kScalar),

    key<Maybe<Quantity<Bytes, kMinDisk, kMaxSize>>, VPS_FIELD(disk.size)>("disk.size", Shape::kScalar, kNextStart, "disk"),
    key<Count, VPS_FIELD(disk.inodes)>("disk.inodes", Shape::kScalar, kNextStart),
    key<OneOf<LayoutNames>, VPS_FIELD(disk.layout)>("disk.layout", Shape::kScalar, kNextStart),

    network_row(),
    interfaces_row(),
    key<List<Text<checks::nameserver>, 8, true>, VPS_FIELD(network.nameservers)>("network.nameservers", Shape::kList,
                                                                                 kNextStart),
    key<List<Text<checks::search_domain>, 6, true>, VPS_FIELD(network.search)>("network.search", Shape::kList, kNextStart),
    key<Bool, VPS_FIELD(network.configure)>("network.configure", Shape::kScalar, kNextStart),
    key<Text<checks::smtp>, VPS_FIELD(network.smtp)>("network.smtp", Shape::kScalar, 0, "smtp"),
    key<Whole<std::uint32_t, 0, 100'000'000>, VPS_FIELD(network.connections)>("network.connections", Shape::kScalar),
    key<Whole<std::uint32_t, 0, 100'000'000>, VPS_FIELD(network.connection_rate)>("network.connectionRate", Shape::kScalar),
    key<OneOf<VerdictNames>, VPS_FIELD(network.firewall.default_in)>("network.firewall.in", Shape::kScalar),
    key<OneOf<VerdictNames>, VPS_FIELD(network.firewall.default_out)>("network.firewall.out", Shape::kScalar),
    key<List<Object<net::FirewallRule, firewall_rows>, 1024>, VPS_FIELD(network.firewall.rules)>("network.firewall.rules",
                                                                                               Shape::kList),
    key<List<Object<Forward, forward_rows>, 256>, VPS_FIELD(network.firewall.forwards)>("network.firewall.forwards",
                                                                                      Shape::kList),
    key<Whole<std::uint32_t, 0, 4'000'000'000>, VPS_FIELD(network.firewall.last_number)>("network.firewall.lastNumber",
                                                                                        Shape::kScalar),

    key<Text<checks::idmap>, VPS_FIELD(security.idmap)>("security.idmap", Shape::kScalar, kNextStart),
    key<List<Text<checks::capability>, 64, true>, VPS_FIELD(security.capabilities)>("security.capabilities", Shape::kList,
                                                                                    kNextStart),
    key<OneOf<SeccompNames>, VPS_FIELD(security.seccomp)>("security.seccomp", Shape::kScalar, kNextStart),
    key<List<OneOf<FeatureNames>, 8, true>, VPS_FIELD(security.features)>("security.features", Shape::kList, kNextStart,
                                                                          "features"),
    key<Bool, VPS_FIELD(security.no_new_privileges)>("security.noNewPrivileges", Shape::kScalar, kNextStart),
    key<Bool, VPS_FIELD(security.time_namespace)>("security.timeNamespace", Shape::kScalar, kNextStart),

    key<List<Object<VpsMount, mount_rows>, 128>, VPS_FIELD(mounts)>("mounts", Shape::kList, kNextStart),
    key<Dictionary<hook_name, Programs, 3>, VPS_FIELD(hooks.programs)>("hooks", Shape::kLists, kNextStart),
    key<Dictionary<checks::label_key, Text<checks::label_value>, 64>, VPS_FIELD(labels)>("labels", Shape::kTexts),
};

#undef VPS_FIELD

// Optimal string alignment: insert, delete, replace and swap of neighbours cost one each. Three rows are all it looks at.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, above);
    std::swap(above, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1] ? 1 : 0)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string squeezed(std::string_view text) {  // boot_order, BootOrder and boot-order are one slip
  std::string out;
  for (char c : text)
    if (c != '_' && c != '-') out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

}  // namespace

std::span<const Row<Definition>> rows() { return kRows; }

const Row<Definition>* find_row(std::string_view path) {
  auto row = std::ranges::find(kRows, path, &Row<Definition>::path);
  return row == kRows.end() ? nullptr : row;
}

std::string suggestion(std::string_view key, std::span<const std::string> known) {
  constexpr std::size_t kLongest = 64;
  if (key.size() > kLongest) return {};
  std::string best;
  std::size_t least = std::max<std::size_t>(1, std::min<std::size_t>(2, key.size() / 3)) + 1;
  auto wanted = squeezed(key);
  for (const auto& candidate : known) {
    auto other = squeezed(candidate);
    if (other.size() + least <= wanted.size() || wanted.size() + least <= other.size()) continue;
    auto cost = distance(wanted, other);
    if (cost < least) {
      least = cost;
      best = candidate;
    }
  }
  if (!best.empty()) return best;
  auto last_part = [](std::string_view path) { return squeezed(path.substr(path.rfind('.') + 1)); };
  for (const auto& candidate : known)
    if (last_part(candidate) == last_part(key)) return candidate;
  return {};
}

}  // namespace vps::schema
