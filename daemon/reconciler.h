// What vpsd does first: bring what it finds on disk, in the run directory and in the cgroups back to a state that it
// knows. Adopts what lives, finishes or undoes what is half done, tears down by name what does not live, sets aside what
// does not parse, and says each as an event (docs/design/state.md). Runs before requests are taken; single-threaded.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/monitor.h"
#include "daemon/services.h"

namespace vps::daemon {

struct RecoveryReport {
  std::vector<std::string> adopted, stopped, undone, finished, quarantined, left_alone;
};

class Reconciler {
 public:
  Reconciler(Services& services, Monitor& monitor) : services_(services), monitor_(monitor) {}
  RecoveryReport recover();

 private:
  void call_supervisors(const std::vector<std::string>& ids);
  ContainerPtr read(const std::string& id);  // null: nothing more to do
  void restore_addresses(const std::vector<ContainerPtr>& containers);
  void keep_records(const std::vector<ContainerPtr>& containers);
  bool settle_markers(const std::string& id, const VpsPaths& paths);  // true: nothing more to do
  void load(const ContainerPtr& container);
  void add(const ContainerPtr& container);
  void settle_run(const ContainerPtr& container);
  void adopt(const ContainerPtr& container, supervisor::Client client);
  void sweep_run_directories();
  void sweep_cgroups();
  void set_aside(const std::string& id, const std::string& path, const Error& why);

  Services& services_;
  Monitor& monitor_;
  RecoveryReport report_;
  std::vector<ContainerPtr> without_range_;  // their records were lost
  std::map<std::string, Result<supervisor::Client>> calls_;  // by id: supervisors that have been asked and not yet heard
  std::map<std::string, supervisor::Plan> plans_;            // by id: of what runs
};

}  // namespace vps::daemon
