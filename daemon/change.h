// Changing the definition of a VPS: in force and saved, or neither.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/container.h"
#include "daemon/services.h"
#include "specs/vps/definition_yaml.h"

namespace vps::daemon {

enum class ChangeMode { kBoth, kLive, kSaved };
Result<ChangeMode> change_mode_from_name(std::string_view name);  // "both" "live" "saved"

struct ChangeResult {
  std::vector<Change> changes;
  std::vector<cgroups::Enforcement> limits;   // after the change
  std::vector<std::string> warnings;
  std::vector<std::string> restart_required;  // keys that wait for the next start
};

// `wanted` as the new definition of `container`: id, uuid and template must be its own (or empty). Pure checks.
Result<Definition> checked_replacement(const ContainerFacts& facts, Definition wanted);
Result<Definition> checked_assignments(const ContainerFacts& facts, ChangeMode mode, const std::vector<std::string>& assignments);

// The caller holds the slot. With `dry_run` nothing is touched.
Result<ChangeResult> change_vps(Services& services, const ContainerPtr& container, const Definition& wanted, ChangeMode mode,
                                bool dry_run);

// What `to` says, plus an explicit "unlimited" for each limit that `from` has and `to` has not: applying only what is
// present would leave the old value in the kernel. `cpus`: how many the host has. Pure.
oci::Resources with_lifted_limits(const oci::Resources& from, oci::Resources to, std::uint32_t cpus);

// The definition as the next start would compile it. `init`: pid 1 of a definition that names none.
Result<Compiled> compile_definition(const Services& services, const VpsPaths& paths, const Definition& definition, IdRange ids,
                                    const std::string& init = "/sbin/init");
// Its limits, as the kernel will see them.
Result<oci::Resources> resources_of(const Services& services, const VpsPaths& paths, const Definition& definition, IdRange ids);

}  // namespace vps::daemon
