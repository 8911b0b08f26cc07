// Limits as data: which value goes into which kernel file, decided without touching anything.
//
// The model is cgroup v2's. plan_limits() is a pure function of the host's abilities and the wanted resources; what the
// host cannot enforce becomes an Enforcement with its reason, and the caller chooses whether that is an error (the OCI
// runtime) or shown to the operator (a VPS). Conversions from OCI's v1-shaped fields follow runtime-spec
// config-linux.md and what crun and runc document.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cgroups/host.h"
#include "specs/oci/spec.h"

namespace vps::cgroups {

// One line of `vpsctl show`: what stands behind a limit.
struct Enforcement {
  // kAccountedOnly: written, but nothing on this host holds it as meant (a weight that no disk heeds, v1's soft limit).
  enum class Kind { kEnforced, kAccountedOnly, kUnavailable };
  std::string limit;   // as config.json spells it below "resources": "memory.limit"; or the key of `unified`: "memory.low"
  std::string value;   // what was asked for
  Kind kind = Kind::kEnforced;
  std::string file;    // the kernel file behind it ("memory.max"), with its hierarchy on hybrid ("memory:memory.limit_in_bytes")
  std::string reason;  // why it is not enforced; or, when it is, what differs from the model
  bool operator==(const Enforcement&) const = default;
};
[[nodiscard]] std::string_view kind_name(Enforcement::Kind kind);  // "enforced", "accounted", "unavailable"

// One write(2) into one file.
struct Write {
  std::string hierarchy;  // "" is the v2 tree, else the v1 controller
  std::string file;
  std::string value;
  std::string limit;      // the Enforcement that it belongs to
  // How the old value is put back. Files of one line: that line. Files of several: the line that starts with `key`, or
  // `absent` when there is none; with `value_only` the line without its key.
  std::string key = {};
  std::string absent = {};
  bool value_only = false;
  std::string part = {};  // of that line, when several writes share it ("rbps" of io.max)
  // The kernel wants this write and the next one in the order that keeps a relation between them true (memory limit <=
  // memory+swap limit); EINVAL for this one means: the other order.
  bool or_after_next = false;
  bool operator==(const Write&) const = default;
};

struct CgroupPlan {
  std::vector<Write> writes;
  std::vector<Enforcement> limits;
  std::vector<std::string> controllers;  // of the v2 tree, to be enabled in the parents
};

// Whether a group's directory in `hierarchy` has `file`.
using HasFile = std::function<bool(std::string_view hierarchy, std::string_view file)>;

// kUsage for values that no host could take. Device rules are not limits: see device_filter.h.
Result<CgroupPlan> plan_limits(const Host& host, const oci::Resources& resources, const HasFile& has_file);
Result<CgroupPlan> plan_limits(const Host& host, const oci::Resources& resources);  // by host.files

// One line per write and one per limit, for --dry-run and golden tests.
std::string format_plan(const CgroupPlan& plan);

// OCI shares (2..262144, default 1024) to cpu.weight (1..10000, default 100): the log-quadratic curve through the three
// pairs of minima, defaults and maxima that crun 1.23 and runc 1.4 use.
std::uint64_t weight_from_shares(std::uint64_t shares);
// cpu.weight to v1 shares as the scheduler itself relates them (weight 100 is shares 1024).
std::uint64_t shares_from_weight(std::uint64_t weight);
// OCI block weight (10..1000) to io.weight (1..10000), linear; io.weight to bfq's 1..1000, the default 100 kept.
std::uint64_t io_weight_from_oci(std::uint64_t weight);
std::uint64_t bfq_weight_from_io_weight(std::uint64_t weight);

}  // namespace vps::cgroups
