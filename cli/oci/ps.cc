#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "base/pidfd.h"
#include "base/units.h"
#include "cli/oci/commands.h"
#include "cli/oci/container.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "format", .letter = 'f', .value = "FORMAT", .help = "table (the default) or json: a list of pids", .choices = "table json"},
};
constexpr PositionalSpec kPositionals[] = {
    kOneContainer,
    {.name = "OPTION", .help = "options of ps(1); default: -ef", .least = 0, .most = cli::kMany},
};

Result<std::string> output_of_ps(std::vector<std::string> args) {
  args.insert(args.begin(), "ps");
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  UniqueFd ours(pipe[0]);
  UniqueFd theirs(pipe[1]);
  posix_spawn_file_actions_t actions{};
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDOUT_FILENO);
  std::vector<char*> argv;
  for (auto& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  pid_t pid = -1;
  int err = ::posix_spawnp(&pid, "ps", &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (err != 0) return fail_errno(err, "execute ps");
  theirs.reset();
  auto text = read_fd(ours.get());
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  if (!text) return text;
  if (status != 0) return fail(Code::kFailed, "ps failed");
  return text;
}

std::vector<std::string_view> fields(std::string_view line) {
  std::vector<std::string_view> result;
  for (auto word : cli::split_words(line)) result.push_back(word);
  return result;
}

// The lines of the processes asked for, by the column that the header calls PID.
Result<std::string> filtered(std::string_view text, const std::vector<pid_t>& pids) {
  std::string out;
  std::size_t column = 0;
  bool header = true;
  while (!text.empty()) {
    auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    auto words = fields(line);
    if (header) {
      auto found = std::ranges::find(words, "PID");
      if (found == words.end()) return fail(Code::kUsage, "ps shows no PID column with these options");
      column = static_cast<std::size_t>(found - words.begin());
      header = false;
    } else {
      auto pid = column < words.size() ? parse_i64(words[column]) : parse_i64("");
      if (!pid || std::ranges::find(pids, static_cast<pid_t>(*pid)) == pids.end()) continue;
    }
    out += std::string(line) + "\n";
  }
  return out;
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& words = arguments.positionals();
  auto container = VPS_TRY(Container::open(context, words[0]));
  auto group = VPS_TRY(container.group());
  if (!group) return fail(Code::kUnavailable, "container '{}' has no cgroup to list the processes of", container.id());
  auto pids = VPS_TRY(group->processes());
  if (arguments.value_or("format", "table") == "json") {
    std::string text;
    for (pid_t pid : pids) text += fmt::format("{}{}", text.empty() ? "" : ",", pid);
    VPS_TRY(print(pids.empty() ? "null\n" : "[" + text + "]\n"));
    return 0;
  }
  std::vector<std::string> options(words.begin() + 1, words.end());
  if (options.empty()) options = {"-ef"};
  auto text = VPS_TRY(output_of_ps(std::move(options)));
  auto lines = VPS_TRY(filtered(text, pids));
  VPS_TRY(print(lines));
  return 0;
}

}  // namespace

constinit const CommandSpec kPs = {
    .name = "ps",
    .summary = "list the processes of a container",
    .description = "Pids are the host's. The table is made by the host's ps(1).",
    .options = kOptions,
    .positionals = kPositionals,
    .run = run,
    .options_first = true,
};

}  // namespace vps::vpsrun
