// Total rates of networks, and the guarantees that are shares of them.
#include <algorithm>
#include <tuple>

#include "base/log.h"
#include "daemon/networks/networks.h"

namespace vps::daemon {

Result<> Networks::check_guarantees(const Network& network, const net::VpsPlan* joining) const {
  std::uint64_t in = 0, out = 0;
  auto add = [&](const net::VpsPlan& plan) {
    for (const auto& port : plan.ports) {
      if (port.network != network.name) continue;
      in += port.guarantee_in.value_or(BitRate{0}).value;
      out += port.guarantee_out.value_or(BitRate{0}).value;
    }
  };
  {
    std::scoped_lock lock(mutex_);
    for (const auto& [id, plan] : running_)
      if (joining == nullptr || id != joining->id) add(plan);
  }
  if (joining != nullptr) add(*joining);
  for (auto [total, sum, key] : {std::tuple(network.rate_in, in, "rateIn"), {network.rate_out, out, "rateOut"}})
    if (total && sum > total->value)
      return fail(Code::kUnavailable, "network {}: the guarantees of what runs are {}, its {} is {}", network.name, format_bit_rate(BitRate{sum}), key,
                  format_bit_rate(*total));
  return {};
}

net::VpsPlan Networks::with_totals(net::VpsPlan plan) const {
  for (auto& port : plan.ports)
    if (auto network = store_.get(port.network)) {
      port.total_in = network->rate_in;
      port.total_out = network->rate_out;
    }
  return plan;
}

// The plans on disk keep the totals that they began with: adopt() looks them up.
Result<> Networks::move_to_totals(const Network& network) {
  std::vector<net::VpsPlan> plans;
  {
    std::scoped_lock lock(mutex_);
    for (auto& [id, plan] : running_)
      if (std::ranges::any_of(plan.ports, [&](const net::PortPlan& port) { return port.network == network.name; }))
        plans.push_back(plan = with_totals(plan));
  }
  for (const auto& plan : plans)
    for (const auto& report : VPS_TRY(host_->set_rates(plan)))
      if (!report.enforced) log::warning("vps {}: {} of {}: {}", plan.id, report.limit, report.port, report.by);
  return {};
}

}  // namespace vps::daemon
