// What an operation does to one VPS, each as one function that reads as its sequence of steps. The caller holds the VPS's
// slot. Each either does its work or leaves things as they were, as far as that is possible, and says which step failed.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "base/units.h"
#include "daemon/container.h"
#include "daemon/monitor.h"
#include "daemon/operations.h"
#include "daemon/services.h"

namespace vps::daemon {

// The id range that security.idmap asks for: none for "auto" (one from the pool), size 0 for "host".
Result<std::optional<IdRange>> requested_range(const Definition& definition);

// Checks the template and its init; kNotFound, kUnavailable naming what is missing.
struct TemplateUse {
  storage::Template info;
  storage::DetectedInit init;
};
Result<TemplateUse> check_template(Services& services, const Definition& definition, const std::string& disk_dir);

// Everything that a start needs, computed and nothing touched.
struct StartPlan {
  Definition definition;
  Compiled compiled;
  supervisor::Plan plan;
  std::string init_path;
  std::vector<std::string> warnings;
};
// Its addresses are those that it holds; one that holds none yet is shown with those that it would get.
Result<StartPlan> plan_start(Services& services, const VpsPaths& paths, const Definition& definition, const Record& record);
std::vector<std::string> describe_start(const Services& services, const StartPlan& plan);  // for --dry-run
std::vector<std::string> describe_create(const Services& services, const VpsPaths& paths, const Definition& definition);

// `container` is in the registry, in state creating; on failure its files are gone again.
// `authorized_keys`: the text of root's file of that name; empty: none is made.
Result<> create_vps(Services& services, const ContainerPtr& container, const Definition& definition, const std::string& authorized_keys,
                    Operation& operation);
// Removes what a create that did not end has made.
Result<> undo_create(Services& services, const VpsPaths& paths);

// Its record says which addresses it holds. Written only when they have changed.
Result<> keep_addresses(Services& services, const ContainerPtr& container);

// Returns when its init runs.
Result<> start_vps(Services& services, Monitor& monitor, const ContainerPtr& container, Operation& operation);
// Needs no slot. kTimedOut leaves it running; kWrongState when it ended first.
Result<> wait_ready(Services& services, const ContainerPtr& container, Milliseconds timeout, Operation& operation);

// Returns when it has ended and what its run left is removed.
Result<> stop_vps(Services& services, Monitor& monitor, const ContainerPtr& container, bool force,
                  std::optional<Milliseconds> timeout, Operation& operation);
// Without the slot, beside another stop: kills at once and waits for the end.
Result<> kill_vps(Services& services, Monitor& monitor, const ContainerPtr& container);
Result<> pause_vps(Services& services, Monitor& monitor, const ContainerPtr& container);
Result<> resume_vps(Services& services, Monitor& monitor, const ContainerPtr& container);

// It does not run. At the end the VPS is out of the registry.
Result<> destroy_vps(Services& services, const ContainerPtr& container, Operation& operation);
// The part that works from the id alone, also for what an earlier vpsd began.
Result<> destroy_files(Services& services, const VpsPaths& paths);

}  // namespace vps::daemon
