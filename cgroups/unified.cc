// `resources.unified` of config.json: cgroup v2 files by name. On the v2 tree they are written verbatim; where their
// controller lives in a v1 hierarchy they are translated, or reported with the reason. Source: runtime-spec
// config-linux.md "Unified", cgroup-v2.rst, cgroup-v1/*.rst.
#include <algorithm>
#include <array>
#include <limits>

#include "base/units.h"
#include "cgroups/planner.h"
#include "cgroups/text.h"

namespace vps::cgroups {
namespace {

constexpr const char* kNoGuarantee =
    "v1 guarantees nothing: its soft limit only makes the kernel reclaim from groups above theirs first";

// "max" is -1; what does not fit is an error.
Result<std::int64_t> number(const std::string& key, std::string_view text) {
  text = trimmed(text);
  if (text == "max") return -1;
  auto value = parse_u64(text);
  if (!value || *value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return fail(Code::kUsage, "unified {} is '{}': expected a number or max", key, text);
  return static_cast<std::int64_t>(*value);
}

Result<std::uint64_t> positive(const std::string& key, std::string_view text) {
  auto value = VPS_TRY(number(key, text));
  if (value < 0) return fail(Code::kUsage, "unified {} is '{}': expected a number", key, text);
  return static_cast<std::uint64_t>(value);
}

class Translator {
 public:
  Translator(Planner& planner, oci::Resources& out) : planner_(planner), out_(out) {}

  // True when `key` belongs to a v1 controller here and is dealt with.
  Result<bool> take(const std::string& key, const std::string& value) {
    std::string controller = key.substr(0, key.find('.'));
    if (planner_.where(controller == "io" ? "blkio" : controller) != Where::kV1) return false;
    for (const auto& entry : kTable) {
      if (entry.key != key) continue;
      VPS_TRY((this->*entry.function)(key, value));
      return true;
    }
    if (controller == "hugetlb" && key.ends_with(".max") && !key.ends_with(".rsvd.max")) {
      VPS_TRY(hugetlb(key, value));
      return true;
    }
    planner_.unavailable(key, value, fmt::format("no counterpart in the v1 {} hierarchy, where this host has its controller",
                                                 controller == "io" ? "blkio" : controller));
    return true;
  }

 private:
  struct Entry {
    std::string_view key;
    Result<> (Translator::*function)(const std::string& key, const std::string& value);
  };
  static const std::array<Entry, 14> kTable;

  oci::MemoryLimits& memory() { return out_.memory ? *out_.memory : out_.memory.emplace(); }
  oci::CpuLimits& cpu() { return out_.cpu ? *out_.cpu : out_.cpu.emplace(); }
  oci::BlockIo& io() { return out_.block_io ? *out_.block_io : out_.block_io.emplace(); }

  Result<> memory_max(const std::string& key, const std::string& value) {
    auto limit = VPS_TRY(number(key, value));
    if (limit == 0) return fail(Code::kUsage, "unified memory.max is 0: nothing could run");
    memory().limit = limit;
    planner_.alias("memory.limit", {key, value});
    return {};
  }
  Result<> memory_low(const std::string& key, const std::string& value) {
    memory().reservation = VPS_TRY(number(key, value));
    planner_.alias("memory.reservation", {key, value, Enforcement::Kind::kAccountedOnly, kNoGuarantee});
    return {};
  }
  // Sorted after memory.max, so that `limit` is final.
  Result<> memory_swap_max(const std::string& key, const std::string& value) {
    auto swap = VPS_TRY(number(key, value));
    auto limit = memory().limit.value_or(0);
    if (swap >= 0 && limit <= 0) {
      memory().swap.reset();
      planner_.unavailable(key, value, "v1 limits memory and swap together, which needs a memory limit");
      return {};
    }
    memory().swap = swap < 0 ? -1 : limit > std::numeric_limits<std::int64_t>::max() - swap ? -1 : limit + swap;
    planner_.alias("memory.swap", {key, value});
    return {};
  }
  Result<> cpu_weight(const std::string& key, const std::string& value) {
    auto weight = VPS_TRY(positive(key, value));
    if (weight < 1 || weight > 10000) return fail(Code::kUsage, "unified {} is '{}': expected 1 to 10000", key, value);
    cpu().shares = shares_from_weight(weight);
    planner_.alias("cpu.shares", {key, value});
    return {};
  }
  Result<> cpu_max(const std::string& key, const std::string& value) {
    auto parts = words(value);
    if (parts.empty() || parts.size() > 2) return fail(Code::kUsage, "unified {} is '{}': expected QUOTA [PERIOD]", key, value);
    cpu().quota = VPS_TRY(number(key, parts[0]));
    if (cpu().quota == 0) return fail(Code::kUsage, "unified {} is '{}': the quota cannot be 0", key, value);
    cpu().period.reset();
    if (parts.size() == 2) cpu().period = VPS_TRY(positive(key, parts[1]));
    planner_.alias("cpu.quota", {key, value});
    return {};
  }
  Result<> cpu_burst(const std::string& key, const std::string& value) {
    cpu().burst = VPS_TRY(positive(key, value));
    planner_.alias("cpu.burst", {key, value});
    return {};
  }
  Result<> cpu_idle(const std::string& key, const std::string& value) {
    cpu().idle = VPS_TRY(number(key, value));
    planner_.alias("cpu.idle", {key, value});
    return {};
  }
  Result<> pids_max(const std::string& key, const std::string& value) {
    auto limit = VPS_TRY(number(key, value));
    if (limit == 0) return fail(Code::kUsage, "unified pids.max is 0: nothing could run");
    out_.pids = oci::PidsLimit{limit};
    planner_.alias("pids.limit", {key, value});
    return {};
  }
  Result<> cpuset_cpus(const std::string& key, const std::string& value) {
    cpu().cpus = trimmed(value);
    planner_.alias("cpu.cpus", {key, value});
    return {};
  }
  Result<> cpuset_mems(const std::string& key, const std::string& value) {
    cpu().mems = trimmed(value);
    planner_.alias("cpu.mems", {key, value});
    return {};
  }
  Result<> io_bfq_weight(const std::string& key, const std::string& value) { return block_weight(key, value, 1000); }
  Result<> io_weight(const std::string& key, const std::string& value) { return block_weight(key, value, 10000); }

  // "W", "default W" or "MAJOR:MINOR W", a line each.
  Result<> block_weight(const std::string& key, const std::string& value, std::uint64_t most) {
    for (auto line : split(value, '\n')) {
      auto parts = words(line);
      if (parts.empty() || parts.size() > 2)
        return fail(Code::kUsage, "unified {} is '{}': expected [default|MAJOR:MINOR] WEIGHT", key, value);
      auto weight = VPS_TRY(positive(key, parts.back()));
      if (weight < 1 || weight > most) return fail(Code::kUsage, "unified {} is '{}': expected 1 to {}", key, value, most);
      auto bfq = static_cast<std::uint16_t>(most == 1000 ? weight : bfq_weight_from_io_weight(weight));
      if (parts.size() == 1 || parts[0] == "default") {
        io().weight = bfq;
        planner_.alias("blockIO.weight", {key, parts.back()});
        continue;
      }
      auto [major, minor] = VPS_TRY(device(key, parts[0]));
      io().weight_device.push_back({major, minor, bfq, {}});
      planner_.alias("blockIO.weightDevice " + parts[0], {key + " " + parts[0], parts.back()});
    }
    return {};
  }

  // "MAJOR:MINOR rbps=N wbps=N riops=N wiops=N", a line each; "max" lifts.
  Result<> io_max(const std::string& key, const std::string& value) {
    struct Target {
      std::string_view word;
      const char* json;
      std::vector<oci::ThrottleDevice>& list;
    };
    const std::array<Target, 4> targets{{{"rbps", "throttleReadBpsDevice", io().throttle_read_bps},
                                         {"wbps", "throttleWriteBpsDevice", io().throttle_write_bps},
                                         {"riops", "throttleReadIOPSDevice", io().throttle_read_iops},
                                         {"wiops", "throttleWriteIOPSDevice", io().throttle_write_iops}}};
    for (auto line : split(value, '\n')) {
      auto parts = words(line);
      if (parts.size() < 2) return fail(Code::kUsage, "unified {} is '{}': expected MAJOR:MINOR KEY=VALUE", key, value);
      auto [major, minor] = VPS_TRY(device(key, parts[0]));
      for (std::size_t i = 1; i < parts.size(); ++i) {
        auto equals = parts[i].find('=');
        auto target = std::find_if(targets.begin(), targets.end(),
                                   [&](const Target& t) { return parts[i].substr(0, equals) == t.word; });
        if (equals == std::string::npos || target == targets.end())
          return fail(Code::kUsage, "unified {} has '{}': expected rbps, wbps, riops or wiops=N", key, parts[i]);
        auto rate = VPS_TRY(number(key, parts[i].substr(equals + 1)));
        target->list.push_back({major, minor, rate < 0 ? 0 : static_cast<std::uint64_t>(rate)});
        planner_.alias(fmt::format("blockIO.{} {}", target->json, parts[0]),
                       {fmt::format("{} {} {}", key, parts[0], target->word), parts[i].substr(equals + 1)});
      }
    }
    return {};
  }

  Result<> rdma_max(const std::string& key, const std::string& value) {
    for (auto line : split(value, '\n')) {
      auto parts = words(line);
      if (parts.size() < 2) return fail(Code::kUsage, "unified {} is '{}': expected DEVICE hca_handle=N hca_object=N", key, value);
      oci::RdmaLimit limit;
      for (std::size_t i = 1; i < parts.size(); ++i) {
        bool handles = parts[i].starts_with("hca_handle=");
        if (!handles && !parts[i].starts_with("hca_object="))
          return fail(Code::kUsage, "unified {} has '{}': expected hca_handle=N or hca_object=N", key, parts[i]);
        auto count = VPS_TRY(number(key, parts[i].substr(11)));
        constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();  // the kernel's "max"
        auto bounded = static_cast<std::uint32_t>(count < 0 ? kMost : std::min(count, kMost));
        (handles ? limit.hca_handles : limit.hca_objects) = bounded;
      }
      out_.rdma[parts[0]] = limit;
      planner_.alias("rdma " + parts[0], {key + " " + parts[0], std::string(trimmed(line.substr(parts[0].size())))});
    }
    return {};
  }

  Result<> hugetlb(const std::string& key, const std::string& value) {
    constexpr std::size_t kPrefix = 8, kSuffix = 4;  // "hugetlb." ".max"
    if (key.size() <= kPrefix + kSuffix) return fail(Code::kUsage, "unified key '{}' names no page size", key);
    std::string size = key.substr(kPrefix, key.size() - kPrefix - kSuffix);
    auto limit = VPS_TRY(number(key, value));
    out_.hugepage_limits.push_back(
        {size, limit < 0 ? std::numeric_limits<std::uint64_t>::max() : static_cast<std::uint64_t>(limit)});
    planner_.alias("hugepageLimits " + size, {key, value});
    return {};
  }

  static Result<std::pair<std::int64_t, std::int64_t>> device(const std::string& key, const std::string& text) {
    auto colon = text.find(':');
    if (colon == std::string::npos) return fail(Code::kUsage, "unified {} has '{}': expected MAJOR:MINOR", key, text);
    auto major = VPS_TRY(positive(key, text.substr(0, colon)));
    auto minor = VPS_TRY(positive(key, text.substr(colon + 1)));
    return std::pair{static_cast<std::int64_t>(major), static_cast<std::int64_t>(minor)};
  }

  Planner& planner_;
  oci::Resources& out_;
};

const std::array<Translator::Entry, 14> Translator::kTable{{
    {"memory.max", &Translator::memory_max},
    {"memory.low", &Translator::memory_low},
    {"memory.swap.max", &Translator::memory_swap_max},
    {"cpu.weight", &Translator::cpu_weight},
    {"cpu.max", &Translator::cpu_max},
    {"cpu.max.burst", &Translator::cpu_burst},
    {"cpu.idle", &Translator::cpu_idle},
    {"pids.max", &Translator::pids_max},
    {"cpuset.cpus", &Translator::cpuset_cpus},
    {"cpuset.mems", &Translator::cpuset_mems},
    {"io.bfq.weight", &Translator::io_bfq_weight},
    {"io.weight", &Translator::io_weight},
    {"io.max", &Translator::io_max},
    {"rdma.max", &Translator::rdma_max},
}};

// A name of a controller's file and nothing else: no path, and no cgroup.* file, which would move or kill processes.
Result<> check_key(const std::string& key) {
  auto dot = key.find('.');
  bool good = dot != std::string::npos && dot > 0 && dot + 1 < key.size() && key.size() <= 64 &&
              std::all_of(key.begin(), key.end(), [](char c) {
                return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
              });
  if (!good) return fail(Code::kUsage, "unified key '{}' is not the name of a cgroup v2 limit", key);
  if (key.starts_with("cgroup.") && key != "cgroup.max.depth" && key != "cgroup.max.descendants")
    return fail(Code::kUsage, "unified key '{}' is not a limit", key);
  return {};
}

void plan_verbatim(Planner& planner, const std::string& key, std::string_view value) {
  std::string file = key;
  std::string controller = key.substr(0, key.find('.'));
  std::string text(trimmed(value));
  std::string line_key, absent;
  bool weight = key == "io.weight";
  bool per_device = text.find(':') != std::string::npos && text.find(':') < text.find(' ');
  std::string device = text.substr(0, text.find(' '));
  if (weight && !per_device && planner.where("io") == Where::kUnified && !planner.has_file("io", "io.weight") &&
      planner.has_file("io", "io.bfq.weight")) {
    if (auto asked = parse_u64(text.starts_with("default ") ? std::string_view(text).substr(8) : text)) {
      file = "io.bfq.weight";  // a host with bfq and without io.cost
      text = fmt::format("{}", bfq_weight_from_io_weight(*asked));
    }
  }
  if (key == "io.max") line_key = device, absent = device + " rbps=max wbps=max riops=max wiops=max";
  if (key == "rdma.max") line_key = device, absent = device + " hca_handle=max hca_object=max";
  if (weight) line_key = per_device ? device : "default", absent = per_device ? device + " default" : "default 100";
  std::string name = line_key.empty() || line_key == "default" ? key : key + " " + line_key;
  if (planner.set({.name = name, .shown = std::string(trimmed(value)), .controller = controller, .v2 = {file, text}, .v1 = {},
                   .without_v1 = "its controller is in a v1 hierarchy on this host", .key = line_key, .absent = absent}) == nullptr)
    return;
  if (weight && !planner.host().io_weight_active)
    planner.remark(Enforcement::Kind::kAccountedOnly,
                   "written, but no disk of this host uses the bfq scheduler or io.cost, which heed it");
}

}  // namespace

Result<> translate_unified(Planner& planner, oci::Resources& resources) {
  auto unified = std::move(resources.unified);
  resources.unified.clear();
  Translator translator(planner, resources);
  for (const auto& [key, value] : unified) {
    VPS_TRY(check_key(key));
    if (value.size() > 4096) return fail(Code::kUsage, "unified {} has a value of {} bytes", key, value.size());
    if (trimmed(value).empty()) return fail(Code::kUsage, "unified {} has no value", key);
    if (!VPS_TRY(translator.take(key, value))) resources.unified[key] = value;
  }
  return {};
}

Result<> plan_unified(Planner& planner, const oci::StringMap& unified) {
  for (const auto& [key, value] : unified) {
    // The kernel takes one device a write.
    if (key == "io.max" || key == "io.weight" || key == "rdma.max")
      for (auto line : split(value, '\n')) plan_verbatim(planner, key, line);
    else
      plan_verbatim(planner, key, value);
  }
  return {};
}

}  // namespace vps::cgroups
