#include "cgroups/plan.h"

#include <algorithm>

#include "base/units.h"
#include "cgroups/planner.h"
#include "cgroups/text.h"

namespace vps::cgroups {

std::string_view kind_name(Enforcement::Kind kind) {
  switch (kind) {
    case Enforcement::Kind::kEnforced: return "enforced";
    case Enforcement::Kind::kAccountedOnly: return "accounted";
    case Enforcement::Kind::kUnavailable: return "unavailable";
  }
  return "unavailable";
}

std::string show_bytes(std::int64_t bytes) {
  return bytes < 0 ? "unlimited" : format_size(Bytes{static_cast<std::uint64_t>(bytes)});
}
std::string v2_number(std::int64_t value) { return value < 0 ? "max" : fmt::format("{}", value); }
std::string v1_number(std::int64_t value) { return value < 0 ? "-1" : fmt::format("{}", value); }

bool Planner::has_file(std::string_view controller, std::string_view file) const {
  switch (where(controller)) {
    case Where::kNone: return false;
    case Where::kUnified: return has_file_("", file);
    case Where::kV1: return has_file_(controller, file);
  }
  return false;
}

void Planner::report(const std::string& name, const std::string& shown, Enforcement::Kind kind, std::string file,
                     std::string reason) {
  auto alias = aliases_.find(name);
  if (alias == aliases_.end()) {
    plan_.limits.push_back({name, shown, kind, std::move(file), std::move(reason)});
    return;
  }
  if (kind == Enforcement::Kind::kEnforced) {
    kind = alias->second.kind;
    reason = alias->second.remark;
  }
  plan_.limits.push_back({alias->second.name, alias->second.shown, kind, std::move(file), std::move(reason)});
}

std::string Planner::file_name(const std::string& hierarchy, const std::string& file) const {
  if (!hierarchy.empty()) return hierarchy + ":" + file;
  return host_.layout == Layout::kHybrid ? "unified:" + file : file;
}

void Planner::drop_same(const Write& write) {
  auto same = [&](const Write& w) {
    return w.hierarchy == write.hierarchy && w.file == write.file && w.key == write.key && w.part == write.part;
  };
  auto old = std::find_if(plan_.writes.begin(), plan_.writes.end(), same);
  if (old == plan_.writes.end()) return;
  std::string limit = old->limit;
  plan_.writes.erase(old);
  std::erase_if(plan_.limits, [&](const Enforcement& e) { return e.limit == limit; });
}

Write* Planner::set(const Limit& limit) {
  Where place = where(limit.controller);
  if (place == Where::kNone) {
    unavailable(limit.name, limit.shown, fmt::format("this host has no {} controller", limit.controller));
    return nullptr;
  }
  bool v2 = place == Where::kUnified;
  const FileValue& target = v2 ? limit.v2 : limit.v1;
  if (target.file.empty()) {
    unavailable(limit.name, limit.shown, v2 ? limit.without_v2 : limit.without_v1);
    return nullptr;
  }
  std::string hierarchy = v2 ? "" : limit.controller;
  if (!has_file_(hierarchy, target.file)) {
    unavailable(limit.name, limit.shown, fmt::format("this kernel has no {}", target.file));
    return nullptr;
  }
  auto alias = aliases_.find(limit.name);
  Write write{.hierarchy = hierarchy, .file = target.file, .value = target.value,
              .limit = alias != aliases_.end() ? alias->second.name : limit.name, .key = limit.key, .absent = limit.absent,
              .part = limit.part};
  drop_same(write);
  plan_.writes.push_back(std::move(write));
  report(limit.name, limit.shown, Enforcement::Kind::kEnforced, file_name(hierarchy, target.file), "");
  auto& wanted = plan_.controllers;
  if (v2 && std::find(wanted.begin(), wanted.end(), limit.controller) == wanted.end()) wanted.push_back(limit.controller);
  return &plan_.writes.back();
}

Write& Planner::also(const FileValue& file_value) {
  Write write = plan_.writes.back();
  write.file = file_value.file;
  write.value = file_value.value;
  write.or_after_next = false;
  plan_.writes.push_back(std::move(write));
  return plan_.writes.back();
}

void Planner::unavailable(const std::string& name, const std::string& shown, std::string reason) {
  report(name, shown, Enforcement::Kind::kUnavailable, "", std::move(reason));
}

void Planner::enforced_by(const std::string& file) {
  if (plan_.limits.empty() || plan_.writes.empty()) return;
  plan_.limits.back().file = file_name(plan_.writes.back().hierarchy, file);
}

void Planner::remark(Enforcement::Kind kind, std::string text) {
  if (plan_.limits.empty()) return;
  plan_.limits.back().kind = kind;
  plan_.limits.back().reason = std::move(text);
}

Result<CgroupPlan> plan_limits(const Host& host, const oci::Resources& resources, const HasFile& has_file) {
  Planner planner(host, has_file);
  oci::Resources all = resources;
  VPS_TRY(translate_unified(planner, all));
  if (all.memory) VPS_TRY(plan_memory(planner, *all.memory));
  if (all.cpu) {
    VPS_TRY(plan_cpu(planner, *all.cpu));
    VPS_TRY(plan_cpuset(planner, *all.cpu));
  }
  if (all.pids) VPS_TRY(plan_pids(planner, *all.pids));
  if (all.block_io) VPS_TRY(plan_io(planner, *all.block_io));
  VPS_TRY(plan_hugetlb(planner, all.hugepage_limits));
  VPS_TRY(plan_rdma(planner, all.rdma));
  if (all.network) VPS_TRY(plan_network(planner, *all.network));
  VPS_TRY(plan_unified(planner, all.unified));
  return planner.take();
}

Result<CgroupPlan> plan_limits(const Host& host, const oci::Resources& resources) {
  return plan_limits(host, resources, [&](std::string_view hierarchy, std::string_view file) {
    return host.may_have_file(hierarchy, file);
  });
}

std::string format_plan(const CgroupPlan& plan) {
  std::string out;
  for (const auto& write : plan.writes)
    out += fmt::format("write {}{}{} = {}\n", write.hierarchy, write.hierarchy.empty() ? "" : ":", write.file, write.value);
  for (const auto& limit : plan.limits) {
    out += fmt::format("limit {} = {}: {}", limit.limit, limit.value, kind_name(limit.kind));
    if (!limit.file.empty()) out += fmt::format(" by {}", limit.file);
    if (!limit.reason.empty()) out += fmt::format(" ({})", limit.reason);
    out += '\n';
  }
  return out;
}

}  // namespace vps::cgroups
