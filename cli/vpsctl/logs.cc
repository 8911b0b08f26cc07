

#include "base/units.h"
#include "cli/common/operations.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr std::string_view kAll = "1152921504606846976";  // more than any log holds

constexpr OptionSpec kOptions[] = {
    {.name = "follow", .letter = 'f', .help = "go on printing what is added, until Ctrl-C"},
    {.name = "lines", .letter = 'n', .value = "N", .help = "only the last N lines", .group = "tail"},
    {.name = "tail", .value = "SIZE", .help = "only the last SIZE bytes, like 16K", .group = "tail"},
};
constexpr PositionalSpec kPositionals[] = {kOneId};

// Bytes of the last `lines` lines; a last line without newline counts.
std::size_t tail_bytes(std::string_view text, std::uint64_t lines) {
  std::size_t at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;
  for (; at > 0; --at)
    if (text[at - 1] == '\n' && --lines == 0) break;
  return text.size() - at;
}

Result<std::string> tail_option(Context& context, const std::string& id, const Arguments& arguments) {
  if (const auto* size = arguments.value("tail"))
    return fmt::format("{}", VPS_TRY_CTX("--tail", parse_size(*size)).value);
  const auto* lines = arguments.value("lines");
  if (lines == nullptr) return std::string(kAll);
  auto count = VPS_TRY_CTX("--lines", parse_u64(*lines));
  if (count == 0) return std::string("0");
  auto text = VPS_TRY(context.api.get_text(api_path({"containers", id, "log"}, {{"tail", kAll}})));
  return fmt::format("{}", tail_bytes(text, count));
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& id = arguments.positionals()[0];
  context.subject = id;
  VPS_TRY(check_ids({id}));
  auto tail = VPS_TRY(tail_option(context, id, arguments));
  bool follow = arguments.flag("follow");
  auto path = api_path({"containers", id, "log"}, {{"tail", tail}, {"follow", follow ? "1" : ""}});
  auto stream = VPS_TRY(context.api.stream(path));
  Wait wait;
  if (follow) wait.timeout = std::chrono::milliseconds(-1);
  while (true) {
    auto part = VPS_TRY(stream.read(wait));
    if (!part) return 0;
    context.output.write_raw(*part);
    VPS_TRY(context.output.flush());
  }
}

}  // namespace

constinit const CommandSpec kLogs = {
    .name = "logs",
    .summary = "print the console log of a VPS",
    .description =
        "Prints what the VPS has written to its console, as it was written, also of earlier runs as far as the log reaches back. "
        "With -f it goes on with what is added, over stops and starts.",
    .options = kOptions,
    .positionals = kPositionals,
    .run = run,
};

}  // namespace vps::cli
