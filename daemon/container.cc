#include "daemon/container.h"

#include "specs/vps/definition_yaml.h"

namespace vps::daemon {

std::vector<std::string> restart_required(const ContainerFacts& facts) {
  std::vector<std::string> keys;
  if (!facts.active || !is_running(facts.state)) return keys;
  for (auto& change : diff_definitions(*facts.active, facts.definition)) keys.push_back(std::move(change.key));
  return keys;
}

}  // namespace vps::daemon
