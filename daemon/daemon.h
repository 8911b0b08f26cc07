// The whole daemon as an object: everything that main() starts, so that tests can start it too. Not thread-safe itself.
#pragma once

#include <memory>

#include "base/error.h"
#include "base/fd.h"
#include "daemon/api/server.h"
#include "daemon/manager.h"
#include "daemon/networks/filter_keeper.h"
#include "daemon/networks/resolvers.h"
#include "daemon/reconciler.h"
#include "daemon/sampler.h"
#include "daemon/services.h"

namespace vps::daemon {

class Daemon {
 public:
  struct Options {
    Config config;
    cgroups::Host host;
    std::unique_ptr<NetworkHost> network_host;  // null: the kernel
    api::ServerOptions server;  // `socket` is taken from the configuration when empty
    bool autostart = true;
  };
  // Takes the locks, recovers, listens. When this returns requests are being served.
  static Result<std::unique_ptr<Daemon>> start(Options options);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Leaves: requests and waiting end, VPSes stay as they are.
  void stop();

  Services& services() { return *services_; }
  Manager& manager() { return *manager_; }
  [[nodiscard]] const RecoveryReport& recovery() const { return recovery_; }
  [[nodiscard]] const api::Server& server() const { return *server_; }

 private:
  Daemon() = default;

  UniqueFd run_lock_, state_lock_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<Manager> manager_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<FilterKeeper> keeper_;
  std::unique_ptr<Resolvers> resolvers_;
  std::unique_ptr<api::Server> server_;
  RecoveryReport recovery_;
};

}  // namespace vps::daemon
