// What the controllers' planners share: a plan being built against a host. Each controller's file adds its writes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "cgroups/plan.h"

namespace vps::cgroups {

struct FileValue {
  std::string file, value;
};

// One limit in both worlds. An empty file means that the hierarchy's kind cannot express it, for `without_*` reason.
struct Limit {
  std::string name;        // "pids.limit"
  std::string shown;       // the value in the model's terms
  std::string controller;  // "pids"
  FileValue v2, v1;
  std::string without_v2 = {}, without_v1 = {};
  std::string key = {}, absent = {}, part = {};  // as in Write, for both kinds
};

// How a limit that came as a key of `unified` and was translated is shown.
struct Alias {
  std::string name, shown;
  Enforcement::Kind kind = Enforcement::Kind::kEnforced;  // when the v1 counterpart is there
  std::string remark = {};                                // what it does not do
};

class Planner {
 public:
  Planner(const Host& host, const HasFile& has_file) : host_(host), has_file_(has_file) {}

  [[nodiscard]] const Host& host() const { return host_; }
  [[nodiscard]] Where where(std::string_view controller) const { return host_.where(controller); }
  // The controller is there, in the kind of hierarchy that it lives in, and its groups have `file`.
  [[nodiscard]] bool has_file(std::string_view controller, std::string_view file) const;

  // Adds the write that the host can take and its Enforcement, or the reason why not. Pointer into the plan, valid until
  // the next call; nullptr when unavailable. A later limit on the same file and line replaces the earlier one.
  Write* set(const Limit& limit);
  // The limit just set needs a further write in the same hierarchy (period beside quota): no Enforcement of its own.
  Write& also(const FileValue& file_value);
  [[nodiscard]] Write* last_write() { return plan_.writes.empty() ? nullptr : &plan_.writes.back(); }
  // Of the files just written, the one that holds the limit.
  void enforced_by(const std::string& file);
  void unavailable(const std::string& name, const std::string& shown, std::string reason);
  // What is to be said about the limit set last.
  void remark(Enforcement::Kind kind, std::string text);
  // The limit that the controllers' planners call `name` came under another one.
  void alias(const std::string& name, Alias alias) { aliases_[name] = std::move(alias); }

  CgroupPlan take() { return std::move(plan_); }

 private:
  void drop_same(const Write& write);
  void report(const std::string& name, const std::string& shown, Enforcement::Kind kind, std::string file,
              std::string reason);
  [[nodiscard]] std::string file_name(const std::string& hierarchy, const std::string& file) const;

  const Host& host_;
  const HasFile& has_file_;
  std::map<std::string, Alias> aliases_;
  CgroupPlan plan_;
};

// One function per controller.
Result<> plan_memory(Planner& planner, const oci::MemoryLimits& memory);
Result<> plan_cpu(Planner& planner, const oci::CpuLimits& cpu);
Result<> plan_cpuset(Planner& planner, const oci::CpuLimits& cpu);
Result<> plan_pids(Planner& planner, const oci::PidsLimit& pids);
Result<> plan_io(Planner& planner, const oci::BlockIo& io);
Result<> plan_hugetlb(Planner& planner, const std::vector<oci::HugepageLimit>& limits);
Result<> plan_rdma(Planner& planner, const std::map<std::string, oci::RdmaLimit>& limits);
Result<> plan_network(Planner& planner, const oci::NetworkLimits& network);
// `resources.unified`, first half: keys of controllers that live in v1 here move into the OCI fields of `resources` where
// v1 has a counterpart (and override what is there), else they are reported and dropped.
Result<> translate_unified(Planner& planner, oci::Resources& resources);
// Second half: keys of controllers in the v2 tree, verbatim, after everything else so that they override.
Result<> plan_unified(Planner& planner, const oci::StringMap& unified);

// "unlimited" for -1, else "512M".
std::string show_bytes(std::int64_t bytes);
// v2 "max" or v1 "-1" for unlimited, else digits.
std::string v2_number(std::int64_t value);
std::string v1_number(std::int64_t value);

// Memory at the moment of writing (memory.cc). Before a v2 memory.max below use: holds the group at the new limit with
// memory.high and reclaims; kBusy with the numbers when that is not enough.
Result<> make_room_for_memory_max(int dirfd, const Write& write);
// What a refused v1 memory write means.
Error explain_v1_memory_refusal(int dirfd, const Write& write, Error error);

}  // namespace vps::cgroups
