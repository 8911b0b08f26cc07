#include "base/files.h"
#include "daemon/failpoints.h"
#include "daemon/lifecycle.h"
#include "storage/disk.h"

namespace vps::daemon {

Result<> destroy_files(Services& services, const VpsPaths& paths) {
  VPS_TRY(cgroups::Group::remove(services.host, paths.cgroup_parent));
  VPS_TRY_CTX("network", detach_network(services, paths));
  VPS_TRY(remove_tree(paths.run_dir));
  VPS_TRY(step("daemon.destroy.run"));
  VPS_TRY(storage::remove_disk(paths.disk));
  VPS_TRY(step("daemon.destroy.disk"));
  VPS_TRY_CTX("addresses", services.networks->release(paths.id));
  VPS_TRY(step("daemon.destroy.addresses"));
  if (!path_exists(paths.state_dir)) return {};
  // The marker goes last, so that a destroy that was interrupted anywhere is found and finished.
  const std::string marker = marker_path(paths, Marker::kDestroying);
  for (const auto& name : VPS_TRY(list_dir(paths.state_dir)))
    if (paths.state_dir + "/" + name != marker) VPS_TRY(remove_tree(paths.state_dir + "/" + name));
  VPS_TRY(step("daemon.destroy.files"));
  VPS_TRY(remove_tree(paths.state_dir));
  return step("daemon.destroy.commit");
}

Result<> destroy_vps(Services& services, const ContainerPtr& container, Operation& operation) {
  const auto& paths = container->paths;
  {
    std::scoped_lock lock(container->mutex);
    if (!container->facts.doomed) VPS_TRY(apply_transition(container->facts.state, Transition::kDestroy));
  }
  operation.progress("remove it", 50);
  if (path_exists(paths.state_dir)) VPS_TRY(set_marker(paths, Marker::kDestroying));
  auto removed = [&]() -> Result<> {
    VPS_TRY(step("daemon.destroy.marker"));
    return destroy_files(services, paths);
  }();
  if (!removed) {
    // There is no way back from here; what is left can only be destroyed again, now or at the next start of vpsd.
    std::scoped_lock lock(container->mutex);
    container->facts.doomed = true;
    container->facts.error = "its destruction was interrupted: " + removed.error().to_string();
    return removed;
  }
  {
    std::scoped_lock lock(container->mutex);
    container->gone = true;
    ++container->restart_ticket;
  }
  services.traffic->forget(container->id);
  services.registry.remove(container->id);
  services.idmap.release(container->id);
  services.ledger->append("vps.destroyed", container->id, "destroyed");
  return {};
}

}  // namespace vps::daemon
