#include "cli/oci/record.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <nlohmann/json.hpp>

#include "cli/oci/json_number.h"

namespace vps::vpsrun {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;

std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json listed_json(const Record& record, std::string_view status) {
  bool running = status != "stopped";
  return {{"ociVersion", record.oci_version}, {"id", record.id},           {"pid", running ? record.pid : 0},
          {"status", status},                 {"bundle", record.bundle},   {"rootfs", record.rootfs},
          {"created", record.created}};
}

}  // namespace

std::string format_record(const Record& record) {
  Json json{{"version", kVersion},
            {"id", record.id},
            {"ociVersion", record.oci_version},
            {"bundle", record.bundle},
            {"rootfs", record.rootfs},
            {"created", record.created},
            {"owner", record.owner},
            {"pid", record.pid},
            {"startTime", record.start_time},
            {"cgroup", record.cgroup},
            {"unit", record.unit},
            {"netDevices", record.net_devices},
            {"intelRdt", record.intel_rdt},
            {"ownPidNamespace", record.own_pid_namespace},
            {"complete", record.complete},
            {"poststart", record.poststart},
            {"poststop", record.poststop}};
  json["annotations"] = record.annotations;
  return dump(json, -1);
}

Result<Record> parse_record(std::string_view text) {
  try {
    auto json = Json::parse(text);
    if (VPS_TRY_CTX("state.json", number_at<int>(json, "version")) != kVersion) return fail(Code::kUsage, "state.json: another version's");
    Record record;
    record.id = json.at("id").get<std::string>();
    record.oci_version = json.at("ociVersion").get<std::string>();
    record.bundle = json.at("bundle").get<std::string>();
    record.rootfs = json.at("rootfs").get<std::string>();
    record.created = json.at("created").get<std::string>();
    record.owner = VPS_TRY_CTX("state.json", number_at<std::uint32_t>(json, "owner"));
    record.pid = VPS_TRY_CTX("state.json", number_at<pid_t>(json, "pid"));
    record.start_time = VPS_TRY_CTX("state.json", number_at<std::uint64_t>(json, "startTime"));
    record.cgroup = json.at("cgroup").get<std::string>();
    record.unit = json.value("unit", "");  // of an earlier release: absent
    record.net_devices = json.value("netDevices", false);
    record.intel_rdt = json.value("intelRdt", false);
    record.own_pid_namespace = json.at("ownPidNamespace").get<bool>();
    record.complete = json.at("complete").get<bool>();
    record.poststart = json.at("poststart").get<bool>();
    record.poststop = json.at("poststop").get<bool>();
    record.annotations = json.at("annotations").get<oci::StringMap>();
    VPS_TRY_CTX("state.json", check_id(record.id));
    if (record.pid < 0) return fail(Code::kUsage, "state.json: pid {}", record.pid);
    return record;
  } catch (const nlohmann::json::exception& e) {
    return fail(Code::kUsage, "state.json: {}", e.what());
  }
}

std::string state_json(const Record& record, std::string_view status) {
  auto json = listed_json(record, status);
  if (!record.annotations.empty()) json["annotations"] = record.annotations;
  json["owner"] = "";
  return dump(json, 2) + "\n";
}

std::string list_json(const std::vector<Listed>& containers) {
  if (containers.empty()) return "null\n";  // as runc: the list of a Go program that has found nothing
  Json list = Json::array();
  for (const auto& entry : containers) {
    auto json = listed_json(entry.record, entry.status);
    if (!entry.record.annotations.empty()) json["annotations"] = entry.record.annotations;
    json["owner"] = entry.owner;
    list.push_back(std::move(json));
  }
  return dump(list, -1) + "\n";
}

std::string list_table(const std::vector<Listed>& containers) {
  using Row = std::array<std::string, 6>;
  std::vector<Row> rows{{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
  for (const auto& entry : containers)
    rows.push_back({entry.record.id, std::to_string(entry.status == "stopped" ? 0 : entry.record.pid), entry.status,
                    entry.record.bundle, entry.record.created, entry.owner});
  std::array<std::size_t, 6> widths{};
  constexpr std::size_t kLeast = 12;  // runc's table has minimal widths as well
  for (std::size_t i = 0; i < widths.size(); ++i) {
    widths[i] = kLeast;
    for (const auto& row : rows) widths[i] = std::max(widths[i], row[i].size() + 1);
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) text += fmt::format("{:<{}}", row[i], widths[i]);
    text += row.back() + "\n";
  }
  return text;
}

Result<> check_id(std::string_view id) {
  constexpr std::size_t kMost = 255;
  auto good = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '+' || c == '-' || c == '.';
  };
  if (id.empty()) return fail(Code::kUsage, "container id cannot be empty");
  if (id.size() > kMost) return fail(Code::kUsage, "container id is longer than {} characters", kMost);
  if (id == "." || id == ".." || !std::all_of(id.begin(), id.end(), good))
    return fail(Code::kUsage, "invalid container id '{}': letters, digits and _+-. only", id);
  return {};
}

}  // namespace vps::vpsrun
