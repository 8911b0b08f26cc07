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
      if (!services_.workers->post([this] { sample_all(); })) busy_ = false;
    schedule();
  });
}

void Sampler::sample_all() {
  for (const auto& container : services_.registry.list()) {
    if (services_.shutdown.stop_requested()) break;
    if (!is_running(container->state())) continue;
    if (auto taken = sample(container); !taken) log::debug("vps {}: {}", container->id, taken.error().to_string());
  }
  busy_ = false;
}

Result<Sample> Sampler::sample(const ContainerPtr& container) {
  if (!is_running(container->state()))
    return fail(Code::kWrongState, "vps {} is {}", container->id, state_name(container->state()));
  auto group = VPS_TRY(cgroups::Group::open(services_.host, container->paths.cgroup_payload));
  Sample taken{std::chrono::system_clock::now(), VPS_TRY(group.stats())};
  std::scoped_lock lock(container->mutex);
  container->facts.sample = taken;
  return taken;
}

}  // namespace vps::daemon
