#include "cli/common/completion.h"

#include "cli/common/context.h"
#include "cli/vpsctl/commands.h"

namespace vps::cli {
namespace {

constexpr PositionalSpec kShell[] = {{.name = "SHELL", .help = "bash, zsh or fish", .choices = "bash zsh fish"}};
constexpr PositionalSpec kWords[] = {{.name = "WORD", .help = "the words so far", .least = 0, .most = kMany}};
constexpr ExampleSpec kExamples[] = {
    {"in this bash", "source <(vpsctl completion bash)"},
};

Result<int> run(Context& context, const Arguments& arguments) {
  context.output.write_raw(completion_script(arguments.positionals()[0], context.program.name));
  return 0;
}

// The socket that the words themselves name, if they do.
std::string named_socket(const std::vector<std::string>& words, const std::string& otherwise) {
  constexpr std::string_view kOption = "--socket";
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == kOption && i + 2 < words.size()) return words[i + 1];
    if (words[i].starts_with("--socket=")) return words[i].substr(kOption.size() + 1);
  }
  return otherwise;
}

// Completion must be quick and silent: whatever cannot be asked is just not offered.
void add_known(Context& context, const std::vector<std::string>& words, Candidates& candidates) {
  auto add = [&](const Value& list, std::string_view key, std::string_view help) {
    for (const auto& item : list.items()) {
      const auto& text = item.get(key).string();
      if (!text.empty() && text.starts_with(candidates.prefix)) candidates.known.push_back({text, item.get(help).text()});
    }
  };
  constexpr Wait kBrief{.timeout = std::chrono::milliseconds(2000)};
  std::string path;
  switch (candidates.ask) {
    case Completion::kVps: path = api_path({"containers"}, {{"all", "1"}}); break;
    case Completion::kTemplate: path = api_path({"templates"}); break;
    case Completion::kNetwork: path = api_path({"networks"}); break;
    case Completion::kOperation: path = api_path({"operations"}); break;
    case Completion::kCommand:
      for (const auto* command : context.program.commands)
        if (!command->hidden && command->name.starts_with(candidates.prefix))
          candidates.known.push_back({std::string(command->name), std::string(command->summary)});
      return;
    default: return;
  }
  Api api(named_socket(words, context.api.socket_path()), context.output);
  auto list = api.get(path, kBrief);
  if (!list) return;
  if (candidates.ask == Completion::kVps) {
    add(*list, "id", "state");
    add(*list, "name", "state");
  } else if (candidates.ask == Completion::kTemplate) {
    add(*list, "name", "distribution");
  } else if (candidates.ask == Completion::kNetwork) {
    add(*list, "name", "mode");
  } else {
    add(*list, "id", "kind");
  }
}

Result<int> run_complete(Context& context, const Arguments& arguments) {
  std::vector<std::string> words = arguments.positionals();
  if (words.empty()) words.emplace_back();
  auto candidates = complete(context.program, words);
  add_known(context, words, candidates);
  for (const auto& candidate : candidates.known)
    context.output.write_raw(fmt::format("{}\t{}\n", visible(candidate.text), visible(candidate.help)));
  context.output.write_raw(candidates.ask == Completion::kFile ? ":file\n" : candidates.ask == Completion::kDirectory ? ":dir\n" : ":none\n");
  return 0;
}

}  // namespace

constinit const CommandSpec kCompletion = {
    .name = "completion",
    .summary = "print the completion script of a shell",
    .description =
        "Prints a script that completes commands, options, ids and names of VPSes and templates. The packages install it; this is for "
        "other places.",
    .positionals = kShell,
    .examples = kExamples,
    .run = run,
};

constinit const CommandSpec kComplete = {
    .name = "__complete",
    .summary = "what may stand at the end of a command line",
    .description = "For the completion scripts: one candidate a line, and what else the shell may offer.",
    .positionals = kWords,
    .run = run_complete,
    .hidden = true,
    .literal = true,
};

}  // namespace vps::cli
