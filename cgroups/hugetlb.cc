// The hugetlb controller: one limit per page size ("2MB"). Source: cgroup-v2.rst "HugeTLB", cgroup-v1/hugetlb.rst.
#include <algorithm>
#include <limits>

#include "base/units.h"
#include "cgroups/planner.h"

namespace vps::cgroups {

Result<> plan_hugetlb(Planner& planner, const std::vector<oci::HugepageLimit>& limits) {
  for (const auto& limit : limits) {
    auto alnum = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); };
    if (limit.page_size.empty() || limit.page_size.size() > 16 ||
        !std::all_of(limit.page_size.begin(), limit.page_size.end(), alnum))
      return fail(Code::kUsage, "hugepageLimits: '{}' is no page size, expected one like 2MB", limit.page_size);
    bool unlimited = limit.limit == std::numeric_limits<std::uint64_t>::max();
    std::string number = fmt::format("{}", limit.limit);
    std::string stem = "hugetlb." + limit.page_size;
    FileValue v2{stem + ".max", unlimited ? "max" : number}, v1{stem + ".limit_in_bytes", unlimited ? "-1" : number};
    Write* write = planner.set({.name = "hugepageLimits " + limit.page_size,
                                .shown = unlimited ? "unlimited" : format_size(Bytes{limit.limit}),
                                .controller = "hugetlb", .v2 = v2, .v1 = v1});
    if (write == nullptr) continue;
    // Without a limit on reservations a process gets SIGBUS on first touch instead of ENOMEM from mmap.
    bool is_v2 = write->hierarchy.empty();
    std::string reserved = stem + (is_v2 ? ".rsvd.max" : ".rsvd.limit_in_bytes");
    if (planner.has_file("hugetlb", reserved)) planner.also({reserved, is_v2 ? v2.value : v1.value});
  }
  return {};
}

}  // namespace vps::cgroups
