// vps.yaml <-> Definition (../../docs/man/vps.yaml.5). Unknown keys, duplicate keys, wrong types and bad values are kUsage
// errors of one line: "vps.yaml:7: resources.memory.limit: expected a size like 512M, found '12 apples'".
// Limits: 256 KiB of text, 16 levels, no aliases or anchors (a bomb needs them).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specs/vps/definition.h"

namespace vps {

Result<Definition> parse_definition(std::string_view yaml, std::string_view file_name);
std::string format_definition(const Definition& definition);  // parse_definition reads it back equal
// Checks that need more than one key (and ids, names, host names, addresses, paths), each error naming its key.
Result<> validate_definition(const Definition& definition);

// "KEY=VALUE" as `vpsctl set` and `create --set` take it: dotted keys ("resources.memory.limit=512M"), lists as YAML
// flow ("security.features=[tun, fuse]"), the short names of create's options ("ram=512M", "cpus=1.5", "swap", "disk",
// "hostname", "onboot" ...) and an empty value to unset ("resources.cpu.limit="). id, uuid and template cannot be set.
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

}  // namespace vps
