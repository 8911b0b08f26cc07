#include "daemon/sampler.h"

#include "base/log.h"

namespace vps::daemon {

void Sampler::start() {
  services_.loop->post([this] { schedule(); });
}

void Sampler::schedule() {
  services_.loop->loop().after(services_.config.stats_interval, [this] {
    // A round that takes longer than the interval must not pile up.
    if (!busy_.exchange(true))
      if (!services_.workers->post([this] { look_at_all(); })) busy_ = false;
    schedule();
  });
}

// Of all VPSes at once: a few dumps.
void Sampler::refresh_traffic() {
  if (!services_.networks->in_use()) return;
  auto samples = services_.networks->host().traffic();
  auto added = samples ? services_.traffic->add(*samples, false) : Result<>(std::unexpected(samples.error()));
  if (!added) log::debug("traffic: {}", added.error().to_string());
}

void Sampler::look_at_all() {
  refresh_traffic();
  for (const auto& container : services_.registry.list()) {
    if (services_.shutdown.stop_requested()) break;
    if (!is_running(container->state())) continue;
    if (auto seen = look(container); !seen) log::debug("vps {}: {}", container->id, seen.error().to_string());
  }
  busy_ = false;
}

Result<Sample> Sampler::sample(const ContainerPtr& container) {
  if (!is_running(container->state()))
    return fail(Code::kWrongState, "vps {} is {}", container->id, state_name(container->state()));
  auto group = VPS_TRY(cgroups::Group::open(services_.host, container->paths.cgroup_payload));
  Sample taken{.time = std::chrono::system_clock::now(), .stats = VPS_TRY(group.stats()), .network = {}};
  if (auto totals = services_.traffic->totals(container->id)) taken.network = *totals;
  return taken;
}

Result<cgroups::Usage> Sampler::look(const ContainerPtr& container) {
  auto usage = VPS_TRY(cgroups::Group::usage(services_.host, container->paths.cgroup_payload));
  std::scoped_lock lock(container->mutex);
  container->facts.usage = usage;
  return usage;
}

}  // namespace vps::daemon
