// What vpsd keeps on disk for each VPS, under <state>/containers/<id>/:
//   record.json   uuid, id range, template and its digest, creation time, its addresses: never edited by people
//   vps.yaml      the definition
//   creating      marker: a create is under way; found at start of vpsd, the create is undone
//   destroying    marker: a destroy is under way; found at start of vpsd, the destroy is finished
// Files are replaced whole (temp, fsync, rename). A file that does not parse is moved to <state>/quarantine/.
// Thread-safety: one writer per VPS (its operation slot); different VPSes are independent.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specs/vps/compile.h"
#include "specs/vps/compile_network.h"
#include "specs/vps/id.h"

namespace vps::daemon {

struct Record {
  std::string id, uuid;
  std::string template_name, template_digest;
  std::string created;  // RFC 3339
  IdRange ids;
  // What it holds by the book of addresses, which this outlives (lease_book.h). Records of older versions have none.
  std::vector<Lease> addresses;
  bool operator==(const Record&) const = default;
};

std::string format_record(const Record& record);
// kUsage: not JSON, unknown schema, missing, unknown or mistyped members, an id range or an address that cannot be.
Result<Record> parse_record(std::string_view json);

enum class Marker { kCreating, kDestroying };
std::string marker_path(const VpsPaths& paths, Marker marker);
Result<> set_marker(const VpsPaths& paths, Marker marker);
Result<> clear_marker(const VpsPaths& paths, Marker marker);

Result<> save_record(const VpsPaths& paths, const Record& record);
Result<Record> load_record(const VpsPaths& paths);  // kNotFound: no such file; kUsage: it does not parse

// Ids that have a directory; names that are no ids are listed in `strangers`.
Result<std::vector<std::string>> list_container_dirs(const Roots& roots, std::vector<std::string>* strangers);

// Moves `path` to <state>/quarantine/<id>.<name>.<unique>; the answer is the new path.
Result<std::string> quarantine_file(const Roots& roots, const std::string& id, const std::string& path);

}  // namespace vps::daemon
