#include "daemon/services.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/files.h"
#include "base/log.h"
#include "storage/disk.h"

namespace vps::daemon {
namespace {

constexpr std::size_t kMaxThreads = 1024;

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

HostFacts gather_facts(const Roots& roots) {
  HostFacts facts;
  facts.cpus = std::max(1u, std::thread::hardware_concurrency());
  if (auto device = storage::backing_device(roots.state)) {
    facts.disk_device = *device;
  } else {
    log::debug("no io limits: {}", device.error().to_string());
  }
  utsname names{};
  if (::uname(&names) == 0) facts.architecture = names.machine;
  if (auto enabled = read_file("/sys/module/apparmor/parameters/enabled", 16)) facts.apparmor = enabled->starts_with('Y');
  return facts;
}

}  // namespace

Result<std::unique_ptr<Services>> open_services(const Config& config, cgroups::Host host, std::unique_ptr<NetworkHost> network_host) {
  auto services = std::make_unique<Services>(config, std::move(host));
  const Roots& roots = config.roots;
  for (const auto& directory : {roots.state, roots.state + "/containers", roots.state + "/templates", roots.state + "/networks",
                                roots.run, roots.run + "/net",
                                roots.run + "/containers"})
    VPS_TRY(make_dirs(directory));
  auto executable = open_path(config.supervisor, O_RDONLY);
  if (!executable) return std::unexpected(std::move(executable).error().wrap("the supervisor's program"));
  services->supervisor = std::move(*executable);
  services->boot_id = trimmed(VPS_TRY(read_file("/proc/sys/kernel/random/boot_id", 128)));
  services->facts = gather_facts(roots);
  std::string aside;
  services->ledger = Ledger::open(roots.state + "/ledger.db", roots.state + "/quarantine", config.events, &aside);
  if (!aside.empty())
    services->ledger->append("vps.quarantined", "", fmt::format("the ledger was damaged; set aside as {}", aside));
  services->networks = std::make_unique<Networks>(services->config, *services->ledger, std::move(network_host));
  VPS_TRY_CTX("networks", services->networks->load());
  services->traffic = std::make_unique<Traffic>(roots.state + "/ledger.db", [all = services.get()](const std::string& vps) {
    auto container = all->registry.find(vps);
    return container ? (*container)->snapshot().record.uuid : std::string();
  });
  services->networks->on_definitions([all = services.get()] {
    std::vector<DefinedVps> defined;
    for (const auto& container : all->registry.list()) {
      std::scoped_lock lock(container->mutex);
      const auto& facts = container->facts;
      const auto& saved = facts.definition.network;
      if (!saved.interfaces.empty()) defined.push_back({container->id, facts.record.uuid, saved});
      if (facts.active && !(facts.active->network == saved)) defined.push_back({container->id, facts.record.uuid, facts.active->network});
    }
    return defined;
  });
  services->networks->on_last_readings([traffic = services->traffic.get()](const Networks::Samples& samples) {
    if (auto done = traffic->add(samples, true); !done) log::error("traffic: {}", done.error().to_string());
  });
  (void)services->traffic->flush();  // opens the file now; what is wrong with it the ledger has said
  auto classes = load_traffic_classes(roots.config + "/traffic-classes.yaml");
  if (!classes) return std::unexpected(std::move(classes).error());
  services->networks->set_classes(*std::move(classes));
  services->workers = std::make_unique<Workers>(kMaxThreads);
  services->loop = VPS_TRY(LoopThread::start());
  return services;
}

std::vector<std::string> network_users(const Services& services, const std::string& name) {
  std::vector<std::string> users;
  auto names = [&](const Definition& definition) {
    return std::ranges::any_of(definition.network.interfaces, [&](const Interface& each) { return each.network == name; });
  };
  for (const auto& container : services.registry.list()) {
    auto facts = container->snapshot();
    if (names(facts.definition) || (facts.active && names(*facts.active))) users.push_back(container->id);
  }
  return users;
}

std::vector<std::string> template_users(const Services& services, const std::string& name) {
  std::vector<std::string> users;
  for (const auto& container : services.registry.list()) {
    auto facts = container->snapshot();
    if (facts.definition.template_name == name || facts.record.template_name == name) users.push_back(container->id);
  }
  return users;
}

}  // namespace vps::daemon
