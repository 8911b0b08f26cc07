#include <poll.h>

#include <chrono>

#include "base/units.h"
#include "cli/common/operations.h"
#include "cli/common/text.h"
#include "cli/vpsctl/commands.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "follow", .letter = 'f', .help = "wait for new events and print them, until Ctrl-C"},
    {.name = "since", .value = "SEQ|DURATION|TIME", .help = "only events after this number, of the last 10m, or from 2026-11-22T10:00:00Z on; default: all that are kept, with --follow only new ones"},
    {.name = "vps", .value = "ID", .help = "only events of this VPS", .completes = Completion::kVps},
    {.name = "type", .value = "TYPE", .help = "only events of this type, like vps.started; a type that ends in a dot stands for all that begin with it", .repeated = true},
};
constexpr ExampleSpec kExamples[] = {
    {"wait for out-of-memory kills", "vpsctl events -f --type vps.oom -o json"},
    {"what happened to a VPS in the last hour", "vpsctl events --vps 101 --since 1h"},
};

struct Choice {
  std::uint64_t after = 0;       // sequence number
  std::int64_t from_ms = 0;      // milliseconds since the epoch
  std::vector<std::string> types;
};

Result<> read_since(const std::string& text, Choice& choice) {
  if (text.find_first_not_of("0123456789") == std::string::npos) {
    choice.after = VPS_TRY_CTX("--since", parse_u64(text));
    return {};
  }
  if (auto duration = parse_duration(text)) {
    auto now = std::chrono::system_clock::now().time_since_epoch();
    choice.from_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now - *duration).count();
    return {};
  }
  auto time = parse_rfc3339(text);
  if (!time) return fail(Code::kUsage, "--since {}: expected a sequence number, a duration like 10m or a time like 2026-11-22T10:00:00Z", text);
  choice.from_ms = *time;
  return {};
}

bool wanted(const Choice& choice, const Value& event) {
  if (choice.from_ms != 0) {
    auto time = parse_rfc3339(event.get("time").string());
    if (time && *time < choice.from_ms) return false;
  }
  const auto& type = event.get("type").string();
  for (const auto& each : choice.types)
    if (type == each || (each.ends_with('.') && type.starts_with(each))) return true;
  return choice.types.empty();
}

void print(Output& output, const Value& event) {
  switch (output.format()) {
    case Format::kJson: output.write_raw(format_json(event, 0) + "\n"); break;
    case Format::kYaml: output.write_raw("---\n" + format_yaml(event)); break;
    case Format::kName: output.write_raw(visible(event.get("type").string()) + "\n"); break;
    case Format::kCsv:  // refused before
    case Format::kTable: {
      const auto& vps = event.get("vps").string();
      output.write_raw(fmt::format("{:>6}  {}  {:<18} {:<10} {}\n", event.get("seq").text(), visible(short_time(event.get("time").string())),
                                   visible(event.get("type").string()), visible(vps.empty() ? "-" : vps),
                                   visible(event.get("message").string())));
    }
  }
}

class Reader {
 public:
  Reader(Context& context, Choice choice, std::string vps, bool follow)
      : context_(context), choice_(std::move(choice)), vps_(std::move(vps)), follow_(follow) {}

  Result<int> run() {
    while (true) {
      auto done = read_stream();
      if (done && !follow_) return 0;
      if (!done && (!follow_ || !began_ || malformed_)) return std::unexpected(std::move(done).error());
      // vpsd went away: its numbers go on where they were, so nothing is missed.
      if (!told_) context_.output.note("vpsd is away; waiting for it");
      told_ = true;
      constexpr int kPause = 1000;  // ms
      ::poll(nullptr, 0, kPause);
    }
  }

 private:
  Result<> read_stream() {
    std::string after = fmt::format("{}", choice_.after);
    auto stream = VPS_TRY(context_.api.stream(api_path({"events"}, {{"since", after}, {"follow", follow_ ? "1" : ""}, {"vps", vps_}})));
    began_ = true;
    told_ = false;
    Wait wait;
    if (follow_) wait.timeout = std::chrono::milliseconds(-1);
    std::string text;
    while (true) {
      auto part = VPS_TRY(stream.read(wait));
      if (part) text += *part;
      for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
        VPS_TRY(take_line(text.substr(0, end)));
        text.erase(0, end + 1);
      }
      VPS_TRY(context_.output.flush());
      if (!part) return {};
    }
  }

  Result<> take_line(std::string_view line) {
    if (line.empty()) return {};
    auto event = parse_json(line, "event from vpsd");
    auto seq = event ? event->get("seq").u64() : std::nullopt;
    if (!seq) {
      malformed_ = true;
      return fail(Code::kFailed, "vpsd's answer is malformed: an event is no object with a number");
    }
    choice_.after = *seq;
    if (wanted(choice_, *event)) print(context_.output, *event);
    return {};
  }

  Context& context_;
  Choice choice_;
  std::string vps_;
  bool follow_, began_ = false, told_ = false, malformed_ = false;
};

Result<int> run(Context& context, const Arguments& arguments) {
  Choice choice{.types = arguments.values("type")};
  bool follow = arguments.flag("follow");
  const auto* since = arguments.value("since");
  if (since != nullptr) VPS_TRY(read_since(*since, choice));
  std::string vps = arguments.value_or("vps", "");
  if (arguments.value("vps") != nullptr) VPS_TRY(check_ids({vps}));
  if (follow && since == nullptr) {
    auto answer = VPS_TRY(context.api.get(api_path({"host"})));
    auto host = VPS_TRY(expect_object(std::move(answer), "the host"));
    choice.after = host.path("events.last").u64().value_or(0);
  }
  return Reader(context, std::move(choice), std::move(vps), follow).run();
}

}  // namespace

constinit const CommandSpec kEvents = {
    .name = "events",
    .summary = "what happened to VPSes, and what happens",
    .description =
        "Prints events in their order: starts, stops, out-of-memory kills and other limits that were hit, changes, failures. Each "
        "has a number that grows by one and stays the same over restarts of vpsd, so that a reader can go on with --since where it "
        "stopped. With -o json it is one object a line. When vpsd is restarted, -f waits for it and goes on.",
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace vps::cli
