#include "specs/vps/compile.h"

#include <array>
#include <cctype>
#include <map>

#include "specs/oci/validate.h"
#include "specs/vps/checks.h"
#include "specs/vps/compile_parts.h"

namespace vps {
namespace {

using namespace compile;
using Warnings = std::vector<std::string>;

constexpr std::string_view kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Result<> check_words(const Definition& definition) {
  constexpr std::array<std::string_view, 3> kFeatures{"tun", "fuse", "nesting"};
  for (const auto& feature : definition.security.features)
    if (std::find(kFeatures.begin(), kFeatures.end(), feature) == kFeatures.end())
      return fail(Code::kUsage, "security.features: expected tun, fuse or nesting, found '{}'", feature);
  const auto& seccomp = definition.security.seccomp;
  if (seccomp != "default" && seccomp != "unconfined")
    return fail(Code::kUsage, "security.seccomp: expected default or unconfined, found '{}'", seccomp);
  return {};
}

Result<oci::Strings> environment(const Definition& definition) {
  // What systemd reads as a container's init, and what every init passes on.
  std::map<std::string, std::string> own = {{"container", "vpsd"}, {"NOTIFY_SOCKET", "/run/host/notify"}};
  if (!definition.uuid.empty()) own["container_uuid"] = definition.uuid;
  oci::Strings env;
  auto add = [&](const std::string& name, std::string_view value) { env.push_back(fmt::format("{}={}", name, value)); };
  for (const auto& [name, value] : own) add(name, value);
  for (const auto& [name, value] : std::map<std::string, std::string_view>{{"PATH", kPath}, {"TERM", "linux"}})
    if (!definition.environment.contains(name)) add(name, value);
  for (const auto& [name, value] : definition.environment) {
    if (own.contains(name) || name == "container_uuid")
      return fail(Code::kUsage, "environment.{}: is set by the system itself", name);
    add(name, value);
  }
  return env;
}

// The default set, widened and narrowed by "+name" and "-name".
Result<oci::Strings> capabilities(const Definition& definition) {
  oci::Strings set = default_capabilities();
  for (const auto& change : definition.security.capabilities) {
    VPS_TRY_CTX("security.capabilities", checks::capability(change));
    std::string name = "CAP_";
    for (char c : std::string_view(change).substr(1)) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const auto found = std::find(set.begin(), set.end(), name);
    if (change[0] == '+' && found == set.end()) set.push_back(name);
    if (change[0] == '-' && found != set.end()) set.erase(found);
  }
  return set;
}

Result<oci::Process> process(const Definition& definition) {
  oci::Process process;
  process.terminal = true;
  process.user.umask = 022;
  process.args = definition.init.empty() ? oci::Strings{"/sbin/init"} : definition.init;
  process.env = VPS_TRY(environment(definition));
  process.cwd = "/";
  auto& sets = process.capabilities.emplace();
  sets.bounding = VPS_TRY(capabilities(definition));
  sets.permitted = sets.effective = sets.bounding;
  process.no_new_privileges = definition.security.no_new_privileges;
  return process;
}

void namespaces(const CompileInput& input, oci::Linux& out, Warnings& warnings) {
  const auto& definition = input.definition;
  for (const char* type : {"pid", "network", "mount", "ipc", "uts", "cgroup"}) out.namespaces.push_back({type, ""});
  if (has_user_namespace(input)) {
    out.namespaces.push_back({"user", ""});
    out.uid_mappings = out.gid_mappings = {{0, input.ids.base, input.ids.size}};
  } else {
    warnings.emplace_back("security.idmap: no user namespace; root inside is root of the host");
    if (has_feature(definition, "nesting"))
      warnings.emplace_back("security.features: nesting needs a user namespace; an uncovered /proc would lay the host open");
  }
  if (!definition.security.time_namespace) return;
  out.namespaces.push_back({"time", ""});
  const std::array<std::pair<const char*, std::int64_t>, 2> clocks{
      {{"monotonic", input.host.monotonic_seconds}, {"boottime", input.host.boottime_seconds}}};
  for (const auto& [clock, now] : clocks) {
    if (now > 0)
      out.time_offsets[clock] = {-now, 0};
    else
      warnings.push_back(fmt::format("security.timeNamespace: the {} clock goes on as the host's", clock));
  }
}

Result<oci::Hooks> hooks(const Definition& definition) {
  oci::Hooks out;
  const std::map<std::string_view, std::vector<oci::Hook>*> lists = {
      {"prestart", &out.prestart}, {"poststart", &out.poststart}, {"poststop", &out.poststop}};
  for (const auto& [name, programs] : definition.hooks.programs) {
    auto list = lists.find(name);
    if (list == lists.end()) return fail(Code::kUsage, "hooks: expected prestart, poststart or poststop, found '{}'", name);
    for (const auto& program : programs) {
      constexpr int kTimeout = 60;  // seconds; a start that hangs in a hook must end
      list->second->push_back({program, {program}, {fmt::format("PATH={}", kPath), "VPS_ID=" + definition.id}, kTimeout});
    }
  }
  return out;
}

oci::StringMap annotations(const Definition& definition) {
  oci::StringMap out = {{"vpsd.id", definition.id}, {"vpsd.template", definition.template_name}};
  if (!definition.name.empty()) out["vpsd.name"] = definition.name;
  if (!definition.uuid.empty()) out["vpsd.uuid"] = definition.uuid;
  for (const auto& [key, value] : definition.labels) out["vpsd.label." + key] = value;
  return out;
}

Result<oci::Linux> linux_section(const CompileInput& input, const VpsPaths& paths, Warnings& warnings) {
  oci::Linux out;
  const auto& definition = input.definition;
  namespaces(input, out, warnings);
  out.devices = devices(definition);
  out.cgroups_path = paths.cgroup_payload;
  out.resources = VPS_TRY(resources(input, warnings));
  out.masked_paths = default_masked_paths();
  out.readonly_paths = default_readonly_paths();
  if (definition.security.seccomp == "default")
    out.seccomp = default_seccomp_profile();
  else
    warnings.emplace_back("security.seccomp: unconfined; every system call of the host's kernel can be reached");
  return out;
}

}  // namespace

Result<Compiled> compile_vps(const CompileInput& input) {
  const auto& definition = input.definition;
  VPS_TRY_CTX("id", validate_id(definition.id));
  VPS_TRY(check_words(definition));
  if (input.rootfs.lower.empty()) return fail(Code::kFailed, "no root file system was planned");
  const auto paths = vps_paths(input.roots, definition.id);

  Compiled out;
  out.rootfs = input.rootfs;
  out.rootfs.idmapped = has_user_namespace(input);
  auto& spec = out.spec;
  // The launcher mounts the layers; a reader of config.json sees where their root would stand.
  spec.root.emplace().path = input.rootfs.upper.empty() ? input.rootfs.lower.front() : paths.run_dir + "/rootfs";
  spec.process = VPS_TRY(process(definition));
  spec.hostname = definition.hostname.empty() ? definition.id : definition.hostname;
  spec.mounts = mounts(input, paths);
  if (!definition.hooks.programs.empty()) spec.hooks = VPS_TRY(hooks(definition));
  spec.annotations = annotations(definition);
  spec.linux_ = VPS_TRY(linux_section(input, paths, out.warnings));
  VPS_TRY_CTX("compiled config.json", oci::validate(spec));
  return out;
}

}  // namespace vps
