// What start, stop, restart, pause, resume and destroy share.
#pragma once

#include <string>
#include <vector>

#include "cli/common/context.h"
#include "cli/common/operations.h"

namespace vps::cli {

// The ids on the command line, without repetitions; "--all" and ids exclude each other, and one of them is needed.
Result<std::vector<std::string>> ids_or_all(const Arguments& arguments);

// Ids of all VPSes for which `wanted` says yes, in groups of one boot order each, lowest first.
Result<std::vector<std::vector<std::string>>> boot_groups(Context& context, bool (*wanted)(std::string_view state));

// An option as milliseconds, checked; empty when it was not given. Returned as the text for the API.
Result<std::string> duration_option(const Arguments& arguments, std::string_view name);

// Prints {steps: [...]} of a dry run, numbered.
Result<> print_steps(Context& context, const Value& answer);

constexpr PositionalSpec kIds{.name = "ID", .help = "id, name or uuid of a VPS", .least = 1, .most = kMany, .completes = Completion::kVps};
constexpr PositionalSpec kOptionalIds{.name = "ID", .help = "id, name or uuid of a VPS", .least = 0, .most = kMany, .completes = Completion::kVps};
constexpr PositionalSpec kOneId{.name = "ID", .help = "id, name or uuid of the VPS", .completes = Completion::kVps};

}  // namespace vps::cli
