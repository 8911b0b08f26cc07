// vps.yaml <-> Definition (../../docs/man/vps.yaml.5). Unknown keys, duplicate keys, wrong types and bad values are kUsage
// errors of one line: "vps.yaml:7: resources.memory.limit: expected a size like 512M, found '12 apples'".
// Limits: 256 KiB of text, 16 levels, no aliases or anchors (a bomb needs them), no tags, one document.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specs/vps/definition.h"

namespace vps {

// Every value that is there is checked, and what must hold between them; that id and template are there is
// validate_definition's affair, since a file given to `create` may leave them to the command line. An empty `file_name` leaves
// file and line out of the errors: the JSON form of a definition (one line, as sent to the API) is read with it.
Result<Definition> parse_definition(std::string_view yaml, std::string_view file_name);
// Only what is set, in the order of vps.yaml(5); parse_definition reads it back equal.
std::string format_definition(const Definition& definition);
std::string format_definition_json(const Definition& definition);  // one line; numbers and booleans are bare
// All checks, each error naming its key. kUnavailable: well-formed, but beyond this version.
Result<> validate_definition(const Definition& definition);
// Gives a number of its own, never used before, to each rule and forward that has none yet.
void number_firewall(Definition& definition);

// One entry of network.firewall.rules or network.firewall.forwards, as a mapping in YAML or JSON.
Result<net::FirewallRule> parse_firewall_rule(std::string_view yaml);
Result<Forward> parse_forward(std::string_view yaml);

// "KEY=VALUE" as `vpsctl set` and `create --set` take it: dotted keys ("resources.memory.limit=512M"), lists as YAML
// flow ("security.features=[tun, fuse]"), the short names of create's options ("ram=512M", "cpus=1.5", "swap", "disk",
// "hostname", "onboot", and of the first interface "ip", "rateIn", "rateOut" ...), keys of an interface by its name
// ("network.interfaces.eth0.mtu=1400"), single entries of mappings ("labels.customer=42"), and an empty value to unset
// ("resources.cpu.limit="). id, uuid and template cannot be set. On error nothing has changed. What must hold between keys
// is not looked at, as several assignments may follow each other: call validate_definition after the last.
Result<> set_key(Definition& definition, std::string_view assignment);

enum class ChangeEffect {
  kLive,         // takes effect at once on a running VPS (limits, labels, policies)
  kNextStart,    // needs a restart
};
struct Change {
  std::string key;  // dotted, as in the file
  std::string from, to;
  ChangeEffect effect = ChangeEffect::kLive;
};
// Which keys differ; sorted by key.
std::vector<Change> diff_definitions(const Definition& from, const Definition& to);
// `in_force` with every key of `wanted` that takes effect at once; the others stay as they are until the next start.
Definition with_live_keys(Definition in_force, const Definition& wanted);

// Every key, in the order of the file: for completion and documentation.
struct KeyInfo {
  std::string key;  // dotted
  std::vector<std::string> short_names;
  ChangeEffect effect = ChangeEffect::kLive;
  bool settable = true;
};
std::vector<KeyInfo> definition_keys();

}  // namespace vps
