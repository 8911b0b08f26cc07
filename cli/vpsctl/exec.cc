#include <stdlib.h>
#include <unistd.h>

#include "base/files.h"
#include "cli/common/operations.h"
#include "cli/common/session.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr int kOwnFailure = 125;

constexpr OptionSpec kOptions[] = {
    {.name = "tty", .letter = 't', .help = "give the command a terminal; its output is one stream then"},
    {.name = "interactive", .letter = 'i', .help = "hand our standard input to it; without this (and -t) it reads nothing"},
    {.name = "user", .letter = 'u', .value = "USER", .help = "as this user of the VPS: a name, a uid or uid:gid; default: root"},
    {.name = "workdir", .letter = 'w', .value = "DIR", .help = "in this directory of the VPS; default: /"},
    {.name = "env", .letter = 'e', .value = "KEY=VALUE", .help = "an environment variable; KEY alone passes ours on", .repeated = true},
    {.name = "detach", .letter = 'd', .help = "return as soon as it runs, and leave it running without input and output"},
};
constexpr PositionalSpec kPositionals[] = {
    kOneId,
    {.name = "COMMAND", .help = "a program of the VPS and its arguments; no shell reads them", .most = kMany},
};
constexpr ExampleSpec kExamples[] = {
    {"the state of its services", "vpsctl exec 101 -- systemctl is-system-running"},
    {"a file into it, as a user", "vpsctl exec -i -u www-data 101 -- tee /srv/index.html < index.html"},
};

Result<Value> environment(const Arguments& arguments) {
  Value env = Value::object();
  const char* term = ::getenv("TERM");
  if (arguments.flag("tty") && term != nullptr) env.set("TERM", term);
  for (const auto& text : arguments.values("env")) {
    auto equals = text.find('=');
    if (text.empty() || equals == 0) return fail(Code::kUsage, "--env '{}': expected KEY=VALUE or KEY", text);
    if (equals != std::string::npos)
      env.set(text.substr(0, equals), text.substr(equals + 1));
    else if (const char* own = ::getenv(text.c_str()))
      env.set(text, own);
  }
  return env;
}

Result<int> run_attached(Context& context, const Value& answer, bool interactive) {
  UniqueFd null;
  if (!interactive) null = VPS_TRY(open_path("/dev/null", O_RDONLY));
  std::array<int, 3> fds{interactive ? STDIN_FILENO : null.get(), STDOUT_FILENO, STDERR_FILENO};
  auto session = VPS_TRY(attach_session(answer, fds));
  return run_plain_session(context, session);
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& words = arguments.positionals();
  context.subject = words[0];
  VPS_TRY(check_ids({words[0]}));
  bool tty = arguments.flag("tty");
  bool detach = arguments.flag("detach");
  if (detach && (tty || arguments.flag("interactive"))) return fail(Code::kUsage, "--detach excludes --tty and --interactive");
  if (words[1].empty()) return fail(Code::kUsage, "the command is empty");
  Value body = Value::object();
  body.set("argv", Value::strings({words.begin() + 1, words.end()}));
  auto env = VPS_TRY(environment(arguments));
  if (!env.members().empty()) body.set("env", std::move(env));
  if (const auto* dir = arguments.value("workdir")) body.set("cwd", *dir);
  if (const auto* user = arguments.value("user")) body.set("user", *user);
  if (tty) body.set("tty", true);
  if (detach) body.set("detach", true);
  auto answer = VPS_TRY(context.api.post(api_path({"containers", words[0], "exec"}), body));
  if (!tty && !detach) return run_attached(context, answer, arguments.flag("interactive"));
  auto session = VPS_TRY(attach_session(answer, {}));
  if (detach) return run_detached_session(context, session);
  return run_tty_session(context, session, STDIN_FILENO, STDOUT_FILENO);
}

}  // namespace

constinit const CommandSpec kExec = {
    .name = "exec",
    .summary = "run a command in a VPS",
    .description =
        "Runs a program inside a running VPS, in its namespaces and under its limits. Without -t the program gets our own standard "
        "output and error, and with -i our standard input: the descriptors themselves, so that nothing is copied and pipes stay "
        "pipes. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGWINCH are passed on to it.\n\n"
        "With -t it gets a terminal of its own; ours is in raw mode meanwhile, and changes of the window's size are passed on.\n\n"
        "Of the environment it has PATH, HOME, USER, LOGNAME and SHELL of its user inside, and what -e says; nothing of ours.",
    .options = kOptions,
    .positionals = kPositionals,
    .examples = kExamples,
    .exits =
        "The exit code of the command, or 128 + n when signal n ended it. 125 when vpsctl or the VPS failed (also bad usage), 126 "
        "when the command cannot be executed, 127 when it was not found.",
    .run = run,
    .passthrough = true,
    .failure_exit = kOwnFailure,
};

}  // namespace vps::cli
