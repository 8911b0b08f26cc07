// Values of the daemon as the API's JSON objects (docs/design/api.md). Only for daemon/api/*.cc: the JSON header is heavy.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "daemon/change.h"
#include "daemon/container.h"
#include "daemon/ledger.h"
#include "daemon/operations.h"
#include "daemon/services.h"
#include "storage/templates.h"

namespace vps::daemon::api {

using nlohmann::json;

std::string dump(const json& value);  // bytes that are not UTF-8 are replaced
json describe_error(const Error& error);
json describe_operation(const OperationView& view);
json describe_summary(const Container& container, const ContainerFacts& facts, const std::vector<Lease>& leases);
json describe_status(const Container& container, const ContainerFacts& facts);
json describe_security(const ContainerFacts& facts, const Compiled& compiled);
json describe_sample(const std::string& id, const Sample& sample);
json describe_event(const Event& event);
json describe_template(const storage::Template& info, const std::vector<std::string>& used_by);
json describe_limits(const std::vector<cgroups::Enforcement>& limits);
json describe_limits(const std::vector<std::string>& limits);  // JSON objects as text, as a supervisor reports them
json describe_limit(const netns::LimitReport& limit);
json describe_interfaces(const net::VpsPlan& plan);
json describe_network(const Network& network, const std::vector<std::string>& users, const std::vector<Lease>& leases);
json describe_changes(const ChangeResult& result);

}  // namespace vps::daemon::api
