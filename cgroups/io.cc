// The io controller (v2) and blkio (v1). Sources: cgroup-v2.rst "IO", cgroup-v1/blkio-controller.rst, block/bfq-iosched.rst.
// Devices are "MAJOR:MINOR", rates bytes or operations per second.
#include <algorithm>

#include "base/units.h"
#include "cgroups/planner.h"

namespace vps::cgroups {
namespace {

constexpr std::uint64_t kMaxOciWeight = 1000;

std::string controller_of(const Planner& planner) {
  return planner.where("blkio") == Where::kV1 ? "blkio" : "io";
}

struct WeightFiles {
  FileValue v2, v1;
};

// io.bfq.weight is bfq's own scale (the one that OCI took over); io.weight is io.cost's. blkio.weight died with cfq.
WeightFiles weight_files(const Planner& planner, std::uint64_t weight) {
  std::string plain = fmt::format("{}", weight);
  WeightFiles files{{"io.weight", fmt::format("default {}", io_weight_from_oci(weight))}, {"blkio.weight", plain}};
  if (planner.has_file("io", "io.bfq.weight")) files.v2 = {"io.bfq.weight", plain};
  if (planner.has_file("blkio", "blkio.bfq.weight")) files.v1 = {"blkio.bfq.weight", plain};
  return files;
}

void remark_if_idle(Planner& planner) {
  if (planner.host().io_weight_active) return;
  planner.remark(Enforcement::Kind::kAccountedOnly,
                 "written, but no disk of this host uses the bfq scheduler or io.cost, which heed it");
}

Result<> plan_weight(Planner& planner, const std::string& name, std::uint64_t weight) {
  if (weight == 0) return {};
  if (weight > kMaxOciWeight) return fail(Code::kUsage, "{} is {}: expected 10 to {}", name, weight, kMaxOciWeight);
  auto files = weight_files(planner, weight);
  bool default_key = files.v2.file == "io.weight";
  Write* write = planner.set({.name = name, .shown = fmt::format("{}", weight), .controller = controller_of(planner),
                              .v2 = files.v2, .v1 = files.v1});
  if (write == nullptr) return {};
  if (write->hierarchy.empty() && default_key) write->key = "default", write->absent = "default 100";
  remark_if_idle(planner);
  return {};
}

Result<std::string> device_of(std::string_view name, std::int64_t major, std::int64_t minor) {
  if (major < 0 || minor < 0) return fail(Code::kUsage, "{}: {}:{} is no device number", name, major, minor);
  return fmt::format("{}:{}", major, minor);
}

Result<> plan_device_weight(Planner& planner, const oci::WeightDevice& device) {
  auto id = VPS_TRY(device_of("blockIO.weightDevice", device.major, device.minor));
  std::string name = "blockIO.weightDevice " + id;
  if (device.leaf_weight)
    planner.unavailable(name + " leafWeight", fmt::format("{}", *device.leaf_weight), "the kernel has no leaf weights since 5.0");
  if (!device.weight || *device.weight == 0) return {};
  if (*device.weight > kMaxOciWeight)
    return fail(Code::kUsage, "{} is {}: expected 10 to {}", name, *device.weight, kMaxOciWeight);
  std::string plain = fmt::format("{} {}", id, *device.weight);
  FileValue v2{"io.weight", fmt::format("{} {}", id, io_weight_from_oci(*device.weight))};
  if (planner.has_file("io", "io.bfq.weight")) v2 = {"io.bfq.weight", plain};
  FileValue v1{"blkio.weight_device", plain};
  if (planner.has_file("blkio", "blkio.bfq.weight_device")) v1 = {"blkio.bfq.weight_device", plain};
  bool v1_here = planner.where("blkio") == Where::kV1;
  if (planner.set({.name = name, .shown = fmt::format("{}", *device.weight), .controller = controller_of(planner), .v2 = v2,
                   .v1 = v1, .key = id, .absent = id + (v1_here ? " 0" : " default")}) != nullptr)
    remark_if_idle(planner);
  return {};
}

struct Throttle {
  const char* json;  // name in config.json
  const char* v2_key;
  const char* v1_file;
  bool bytes;
};
constexpr Throttle kReadBps{"throttleReadBpsDevice", "rbps", "blkio.throttle.read_bps_device", true};
constexpr Throttle kWriteBps{"throttleWriteBpsDevice", "wbps", "blkio.throttle.write_bps_device", true};
constexpr Throttle kReadIops{"throttleReadIOPSDevice", "riops", "blkio.throttle.read_iops_device", false};
constexpr Throttle kWriteIops{"throttleWriteIOPSDevice", "wiops", "blkio.throttle.write_iops_device", false};

Result<> plan_throttle(Planner& planner, const Throttle& throttle, const std::vector<oci::ThrottleDevice>& devices) {
  for (const auto& device : devices) {
    auto id = VPS_TRY(device_of(throttle.json, device.major, device.minor));
    // 0 lifts a limit (v1's own rule); v2 calls that max.
    std::string v2_rate = device.rate == 0 ? "max" : fmt::format("{}", device.rate);
    std::string shown = device.rate == 0 ? "unlimited" : throttle.bytes ? format_size(Bytes{device.rate}) : v2_rate;
    Write* write = planner.set({.name = fmt::format("blockIO.{} {}", throttle.json, id), .shown = shown,
                                .controller = controller_of(planner),
                                .v2 = {"io.max", fmt::format("{} {}={}", id, throttle.v2_key, v2_rate)},
                                .v1 = {throttle.v1_file, fmt::format("{} {}", id, device.rate)},
                                .key = id, .absent = id + " 0", .part = throttle.v2_key});
    if (write != nullptr && write->hierarchy.empty()) write->absent = id + " rbps=max wbps=max riops=max wiops=max";
  }
  return {};
}

}  // namespace

std::uint64_t io_weight_from_oci(std::uint64_t weight) {
  return 1 + (std::clamp<std::uint64_t>(weight, 10, kMaxOciWeight) - 10) * 9999 / 990;
}

std::uint64_t bfq_weight_from_io_weight(std::uint64_t weight) {
  weight = std::clamp<std::uint64_t>(weight, 1, 10000);
  return weight <= 100 ? weight : 100 + (weight - 100) * 900 / 9900;
}

Result<> plan_io(Planner& planner, const oci::BlockIo& io) {
  if (io.weight) VPS_TRY(plan_weight(planner, "blockIO.weight", *io.weight));
  if (io.leaf_weight && *io.leaf_weight != 0)
    planner.unavailable("blockIO.leafWeight", fmt::format("{}", *io.leaf_weight), "the kernel has no leaf weights since 5.0");
  for (const auto& device : io.weight_device) VPS_TRY(plan_device_weight(planner, device));
  VPS_TRY(plan_throttle(planner, kReadBps, io.throttle_read_bps));
  VPS_TRY(plan_throttle(planner, kWriteBps, io.throttle_write_bps));
  VPS_TRY(plan_throttle(planner, kReadIops, io.throttle_read_iops));
  VPS_TRY(plan_throttle(planner, kWriteIops, io.throttle_write_iops));
  return {};
}

}  // namespace vps::cgroups
