// The network part of plan.json: what the launch worker and whoever cleans up need of a net::VpsPlan. The JSON header is heavy.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "base/error.h"
#include "specs/net/plan.h"

namespace vps::supervisor {

nlohmann::json network_json(const net::VpsPlan& plan);
// Throws nlohmann::json::exception on a missing or mistyped member; the caller catches.
Result<net::VpsPlan> parse_network(const nlohmann::json& value);

}  // namespace vps::supervisor
