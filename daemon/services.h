// What the parts of the daemon share, made once at start and passed by reference; every member is thread-safe by itself.
#pragma once

#include <memory>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "base/fd.h"
#include "cgroups/cgroup.h"
#include "daemon/config.h"
#include "daemon/deferred_close.h"
#include "daemon/idmap_pool.h"
#include "daemon/ledger.h"
#include "daemon/loop_thread.h"
#include "daemon/networks/networks.h"
#include "daemon/networks/traffic.h"
#include "daemon/operations.h"
#include "daemon/registry.h"
#include "daemon/workers.h"
#include "specs/vps/compile.h"
#include "storage/templates.h"

namespace vps::daemon {

struct Services {
  Services(const Config& configuration, cgroups::Host cgroup_host)
      : config(configuration),
        host(std::move(cgroup_host)),
        templates(configuration.roots.state + "/templates"),
        operations(configuration.operations_kept),
        idmap(configuration.idmap_base, configuration.idmap_count) {}

  const Config config;
  const cgroups::Host host;
  HostFacts facts;
  std::string boot_id;
  UniqueFd supervisor;               // the program, pinned: an upgrade does not mix versions within one run of vpsd
  storage::TemplateStore templates;
  // Held shared while a VPS takes a template into use, exclusively while one is removed.
  std::shared_mutex template_gate;
  std::unique_ptr<Ledger> ledger;
  std::unique_ptr<Networks> networks;
  std::unique_ptr<Traffic> traffic;
  Operations operations;
  IdmapPool idmap;
  Registry registry;
  DeferredClose namespaces;          // of VPSes that were stopped by force
  std::stop_source shutdown;         // asked to stop when vpsd goes away: waiting ends, VPSes stay as they are
  std::unique_ptr<LoopThread> loop;
  std::unique_ptr<Workers> workers;
};

// Opens what has to be opened: directories, the ledger, the supervisor's program, the loop thread.
Result<std::unique_ptr<Services>> open_services(const Config& config, cgroups::Host host, std::unique_ptr<NetworkHost> network_host);

// Ids of the VPSes whose definitions, saved or in force, name network `name`.
std::vector<std::string> network_users(const Services& services, const std::string& name);
// Ids of the VPSes that use template `name`.
std::vector<std::string> template_users(const Services& services, const std::string& name);

}  // namespace vps::daemon
