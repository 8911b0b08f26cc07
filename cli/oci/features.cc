#include <nlohmann/json.hpp>

#include "cgroups/host.h"
#include "cli/oci/commands.h"
#include "cli/oci/criu.h"
#include "namespaces/capabilities.h"
#include "namespaces/clone.h"
#include "namespaces/labels.h"
#include "namespaces/mounts.h"
#include "namespaces/process.h"
#include "namespaces/seccomp.h"
#include "runtime/resctrl.h"

namespace vps::vpsrun {
namespace {

using Json = nlohmann::ordered_json;

// runtime-spec features.md and features-linux.md. Every list comes from the table that the code runs on.
Json features() {
  namespace ns = namespaces;
  Json linux_;
  linux_["namespaces"] = ns::known_namespace_types();
  linux_["capabilities"] = ns::known_capability_names();
  auto host = cgroups::Host::discover();
  linux_["cgroup"] = {{"v1", host && !host->v1.empty()},
                      {"v2", host.has_value()},
                      {"systemd", true},
                      {"systemdUser", true},
                      {"rdma", host && host->has("rdma")}};
  linux_["seccomp"] = {{"enabled", true},
                       {"actions", ns::seccomp_action_names()},
                       {"operators", ns::seccomp_operator_names()},
                       {"archs", ns::seccomp_architecture_names()},
                       {"knownFlags", ns::seccomp_flag_names()},
                       {"supportedFlags", ns::seccomp_supported_flag_names()}};
  linux_["apparmor"] = {{"enabled", ns::apparmor_enabled()}};
  linux_["selinux"] = {{"enabled", ns::selinux_enabled()}};
  const bool resctrl = runtime::resctrl_mounted(runtime::kResctrlRoot);
  linux_["intelRdt"] = {{"enabled", resctrl}, {"schemata", resctrl}, {"monitoring", resctrl}};
  linux_["memoryPolicy"] = {{"modes", ns::known_memory_policy_modes()}, {"flags", ns::known_memory_policy_flags()}};
  linux_["mountExtensions"] = {{"idmap", {{"enabled", true}}}};
  linux_["netDevices"] = {{"enabled", true}};
  Json json;
  json["ociVersionMin"] = "1.0.0";
  json["ociVersionMax"] = "1.3.0";
  json["hooks"] = {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"};
  json["mountOptions"] = ns::known_mount_option_names();
  json["linux"] = std::move(linux_);
  json["annotations"] = {{"org.vpsd.vpsrun.version", VPS_VERSION}, {"org.vpsd.vpsrun.checkpoint.enabled", find_criu() ? "true" : "false"}, {"io.github.seccomp.libseccomp.version", ns::seccomp_library_version()}};
  json["potentiallyUnsafeConfigAnnotations"] = {"org.systemd.property."};
  return json;
}

Result<int> run(Context&, const Arguments&) {
  VPS_TRY(print(features().dump(2) + "\n"));
  return 0;
}

}  // namespace

constinit const CommandSpec kFeatures = {
    .name = "features",
    .summary = "print what this runtime can do on this host as JSON",
    .run = run,
};

}  // namespace vps::vpsrun
