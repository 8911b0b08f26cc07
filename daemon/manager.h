// What the API asks of the daemon. Thread-safe: every function may be called from any thread; those that return an
// operation return at once, the others wait for their answer.
//
// `turn` is how long a request may wait while another operation has the VPS (zero: kBusy at once).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/change.h"
#include "daemon/container.h"
#include "daemon/lifecycle.h"
#include "daemon/monitor.h"
#include "daemon/operations.h"
#include "daemon/services.h"
#include "runtime/supervisor/protocol.h"

namespace vps::daemon {

struct StartOptions {
  bool wait_ready = false;
  std::optional<Milliseconds> timeout;  // for wait_ready; default 90 s
};
struct StopOptions {
  bool force = false;
  std::optional<Milliseconds> timeout;  // default: the definition's stopTimeout
};

struct CreatePreview {
  Definition definition;
  std::vector<std::string> steps;
  std::vector<cgroups::Enforcement> limits;
  std::vector<std::string> warnings;
};

struct Session {
  std::string socket, token;
  std::uint64_t number = 0;
};

class Manager {
 public:
  explicit Manager(Services& services);

  Services& services() { return services_; }
  Monitor& monitor() { return monitor_; }

  [[nodiscard]] Result<ContainerPtr> find(const std::string& reference) const { return services_.registry.find(reference); }

  // `ssh_keys`: public keys that root of the new VPS lets in, a line each.
  Result<OperationPtr> create(const Definition& definition, bool start, const std::vector<std::string>& ssh_keys = {});
  Result<CreatePreview> preview_create(const Definition& definition);
  Result<OperationPtr> destroy(const std::string& vps, bool force, Milliseconds turn);
  Result<OperationPtr> start(const std::string& vps, StartOptions options, Milliseconds turn);
  Result<std::vector<std::string>> preview_start(const std::string& vps);
  Result<OperationPtr> stop(const std::string& vps, StopOptions options, Milliseconds turn);
  Result<OperationPtr> restart(const std::string& vps, StopOptions stop, StartOptions start, Milliseconds turn);
  Result<OperationPtr> pause(const std::string& vps, Milliseconds turn);
  Result<OperationPtr> resume(const std::string& vps, Milliseconds turn);

  Result<ChangeResult> set(const std::string& vps, const std::vector<std::string>& assignments, ChangeMode mode, bool dry_run,
                           Milliseconds turn);
  Result<ChangeResult> replace(const std::string& vps, const Definition& definition, bool dry_run, Milliseconds turn);
  // Any other change of the definition, in force and saved: `change` alters a copy.
  Result<ChangeResult> edit(const std::string& vps, const std::string& kind, Milliseconds turn,
                            const std::function<Result<>(Definition&)>& change);
  Result<> rename(const std::string& vps, const std::string& name, Milliseconds turn);

  // Of a user inside, whether it runs or not.
  Result<> set_password(const std::string& vps, const std::string& user, const std::string& password, Milliseconds turn);

  Result<Session> exec(const std::string& vps, const supervisor::PrepareExec& request);
  Result<Session> console(const std::string& vps, bool readonly);

  Result<OperationPtr> template_build(const std::string& recipe, const std::string& name);
  Result<OperationPtr> template_import(const std::string& name, const std::string& path);
  Result<> template_remove(const std::string& name);

  // Stops every VPS, highest bootOrder first.
  Result<OperationPtr> shut_down_host(std::optional<Milliseconds> timeout);
  // Starts what is onboot, lowest bootOrder first; at most once per boot of the host.
  void autostart();
  void start_by_policy(const ContainerPtr& container, std::uint64_t ticket);

 private:
  using Work = std::function<Result<>(Operation&, SlotLease&)>;
  // Takes the slot and runs `work` as an operation in a worker; `check` is asked first, under the slot.
  Result<OperationPtr> submit(const std::string& kind, const ContainerPtr& container, Milliseconds turn,
                              std::function<Result<>()> check, Work work);
  Result<OperationPtr> run_unslotted(const std::string& kind, const std::string& vps, std::function<Result<>(Operation&)> work);
  Result<Definition> prepare_definition(const Definition& definition, std::vector<std::string>* warnings);
  // What this host makes of its limits; what it does not give is added to `warnings`.
  Result<std::vector<cgroups::Enforcement>> explain_definition(const Definition& definition, std::vector<std::string>* warnings);
  Result<Session> prepare_session(const ContainerPtr& container,
                                  const std::function<Result<std::string>(supervisor::Client&)>& prepare);

  Services& services_;
  Monitor monitor_;
  std::atomic<std::uint64_t> next_session_{1};
};

}  // namespace vps::daemon
