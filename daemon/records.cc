#include "daemon/records.h"

#include <fcntl.h>
#include <stdio.h>

#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"

namespace vps::daemon {
namespace {

using nlohmann::json;
constexpr int kSchema = 1;
constexpr std::size_t kMaxRecord = 16u << 20;  // beyond what the addresses of the largest definition take

json json_of(const Lease& lease) {
  return {{"network", lease.network}, {"interface", lease.interface}, {"address", format_prefix(lease.address)}, {"fixed", lease.fixed}};
}

Result<Lease> lease_from(const json& value, const std::string& vps) {
  auto address = VPS_TRY_CTX("record.json: addresses", parse_prefix(value.at("address").get<std::string>()));
  return Lease{value.at("network").get<std::string>(), vps, value.at("interface").get<std::string>(), address, value.at("fixed").get<bool>()};
}

Result<Record> record_from(const json& value) {
  static const std::set<std::string> kKnown = {"schema", "id", "uuid", "template", "templateDigest", "created", "ids", "addresses"};
  for (const auto& [key, ignored] : value.items())
    if (!kKnown.contains(key)) return fail(Code::kUsage, "record.json: unknown member '{}'", key);
  if (value.at("schema").get<int>() != kSchema)
    return fail(Code::kUsage, "record.json: unknown schema version {}", value.at("schema").get<int>());
  Record record;
  value.at("id").get_to(record.id);
  value.at("uuid").get_to(record.uuid);
  value.at("template").get_to(record.template_name);
  value.at("templateDigest").get_to(record.template_digest);
  value.at("created").get_to(record.created);
  for (auto [key, target] : {std::pair("base", &record.ids.base), std::pair("size", &record.ids.size)}) {
    const json& number = value.at("ids").at(key);
    if (!number.is_number_unsigned() || number.get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max())
      return fail(Code::kUsage, "record.json: ids.{} is not a 32-bit number", key);
    *target = number.get<std::uint32_t>();
  }
  if (std::uint64_t{record.ids.base} + record.ids.size > std::uint64_t{1} << 32)
    return fail(Code::kUsage, "record.json: the id range {}:{} ends above 2^32", record.ids.base, record.ids.size);
  if (auto good = validate_id(record.id); !good) return std::unexpected(std::move(good).error().wrap("record.json"));
  const json addresses = value.value("addresses", json::array());
  if (!addresses.is_array()) return fail(Code::kUsage, "record.json: addresses is not a list");
  for (const json& each : addresses) record.addresses.push_back(VPS_TRY(lease_from(each, record.id)));
  return record;
}

}  // namespace

std::string format_record(const Record& record) {
  json value{{"schema", kSchema},
             {"id", record.id},
             {"uuid", record.uuid},
             {"template", record.template_name},
             {"templateDigest", record.template_digest},
             {"created", record.created},
             {"ids", {{"base", record.ids.base}, {"size", record.ids.size}}},
             {"addresses", json::array()}};
  for (const auto& lease : record.addresses) value["addresses"].push_back(json_of(lease));
  return value.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<Record> parse_record(std::string_view text) {
  try {
    auto value = json::parse(text, nullptr, false);
    if (!value.is_object()) return fail(Code::kUsage, "record.json: not a JSON object");
    return record_from(value);
  } catch (const json::exception& e) {
    return fail(Code::kUsage, "record.json: {}", e.what());
  }
}

std::string marker_path(const VpsPaths& paths, Marker marker) {
  return paths.state_dir + (marker == Marker::kCreating ? "/creating" : "/destroying");
}

Result<> set_marker(const VpsPaths& paths, Marker marker) {
  // Empty: that it is there says all, so that one sync will do.
  auto made = open_path(marker_path(paths, marker), O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
  if (!made) return std::unexpected(std::move(made).error());
  return fsync_dir(paths.state_dir);
}

Result<> clear_marker(const VpsPaths& paths, Marker marker) {
  VPS_TRY(remove_file(marker_path(paths, marker)));
  return fsync_dir(paths.state_dir);
}

Result<> save_record(const VpsPaths& paths, const Record& record) {
  return write_file_atomic(paths.record, format_record(record), 0600);
}

Result<Record> load_record(const VpsPaths& paths) {
  return parse_record(VPS_TRY(read_file(paths.record, kMaxRecord)));
}

Result<std::vector<std::string>> list_container_dirs(const Roots& roots, std::vector<std::string>* strangers) {
  const std::string directory = roots.state + "/containers";
  if (!path_exists(directory)) return std::vector<std::string>();
  std::vector<std::string> ids;
  for (auto& name : VPS_TRY(list_dir(directory))) {
    if (validate_id(name)) {
      ids.push_back(std::move(name));
    } else if (strangers != nullptr) {
      strangers->push_back(std::move(name));
    }
  }
  return ids;
}

Result<std::string> quarantine_file(const Roots& roots, const std::string& id, const std::string& path) {
  const std::string directory = roots.state + "/quarantine";
  VPS_TRY(make_dirs(directory, 0700));
  constexpr std::size_t kUnique = 4;
  std::string target =
      fmt::format("{}/{}.{}.{}", directory, id, path.substr(path.rfind('/') + 1), random_hex(kUnique));
  if (::rename(path.c_str(), target.c_str()) != 0) return fail_errno(errno, "set aside {} as {}", path, target);
  VPS_TRY(fsync_dir(directory));
  return target;
}

}  // namespace vps::daemon
