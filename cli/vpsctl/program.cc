#include <signal.h>
#include <unistd.h>

#include <cstdlib>

#include "cli/common/context.h"
#include "cli/common/terminal.h"
#include "cli/vpsctl/commands.h"

namespace vps::cli {
namespace {

constexpr std::string_view kDefaultSocket = "/run/vps/vpsd.sock";

constexpr OptionSpec kOptions[] = {
    {.name = "output", .letter = 'o', .value = "FORMAT", .help = "table (the default), json, yaml or name; of usage also csv", .choices = "table json yaml name csv"},
    {.name = "quiet", .letter = 'q', .help = "no result lines, notes, warnings and progress; errors stay"},
    {.name = "verbose", .letter = 'v', .help = "show the requests to vpsd on standard error"},
    {.name = "socket", .value = "PATH", .help = "the socket of vpsd, instead of $VPS_SOCKET or /run/vps/vpsd.sock", .completes = Completion::kFile},
    {.name = "version", .help = "print the version of vpsctl and end"},
};

constexpr const CommandSpec* kCommands[] = {
    &kCreate,  &kStart,   &kStop,  &kRestart, &kPause,    &kResume,  &kDestroy, &kEnter,  &kExec,
    &kConsole, &kLogs,    &kList,  &kShow,    &kSet,      &kEdit,    &kApply,   &kRename, &kEvents,
    &kStats,   &kTop,     &kUsage,     &kFirewall, &kPasswd, &kTemplate, &kNetwork, &kOperation, &kDoctor, &kVersion, &kCompletion, &kHelp, &kComplete,
};

constexpr ExampleSpec kExamples[] = {
    {"make and start a VPS", "vpsctl create 101 --template debian-12 --ram 512M --cpus 1.5 --start"},
    {"a shell in it", "vpsctl enter 101"},
    {"all VPSes, also those that do not run", "vpsctl list -a"},
};

std::string socket_path(const Arguments& arguments) {
  if (const auto* given = arguments.value("socket")) return *given;
  const char* variable = ::getenv("VPS_SOCKET");
  return variable != nullptr && *variable != '\0' ? variable : std::string(kDefaultSocket);
}

void configure(Output& output, const Arguments& arguments) {
  auto format = format_from_name(arguments.value_or("output", "table"));
  output.configure(format ? *format : Format::kTable, arguments.flag("quiet"), arguments.flag("verbose"));
}

std::size_t help_columns(int fd) {
  auto size = window_size(fd);
  return size ? size->columns : 80;
}

// Whoever started us should see that a signal ended us: a shell's loop over ids then ends as well.
[[noreturn]] void end_by_signal(int signo) {
  ::signal(signo, SIG_DFL);
  ::raise(signo);
  ::_exit(128 + signo);
}

int finish(Output& output, int code) {
  auto flushed = output.flush();
  if (flushed) return code;
  output.error("", flushed.error(), {}, static_cast<int>(Code::kFailed));
  return code != 0 ? code : static_cast<int>(Code::kFailed);
}

int usage_error(Output& output, const Arguments& so_far, const Error& error) {
  configure(output, so_far);
  // The table knows where an error of our own must not look like one of the command that was to be run.
  int code = so_far.command().failure_exit != 0 ? so_far.command().failure_exit : static_cast<int>(error.code());
  output.error(so_far.command_path(), error, {}, code);
  return code;
}

int run_command(Context& context, const Arguments& arguments) {
  const CommandSpec& command = arguments.command();
  auto result = context.output.format() == Format::kCsv && &command != &kUsage
                    ? Result<int>(fail(Code::kUsage, "-o csv: only usage prints that"))
                    : command.run(context, arguments);
  if (result) return finish(context.output, *result);
  context.output.end_progress();
  if (is_interrupt(result.error())) {
    (void)context.output.flush();
    end_by_signal(SIGINT);
  }
  return finish(context.output, report_error(context, context.action, context.subject, result.error(), command.failure_exit));
}

}  // namespace

constinit const CommandSpec kProgram = {
    .name = "vpsctl",
    .summary = "make, run and look after the VPSes of this host",
    .description =
        "vpsctl talks to the daemon vpsd over its unix socket. A VPS is named by its id, its name or its uuid.\n\n"
        "Results go to standard output, everything about them to standard error. Errors are one line, "
        "\"vpsctl: start 101: reason\"; with -o json they are one JSON object a line {code, message, details} on standard "
        "error, so that standard output holds either the whole document or nothing. Colours and progress appear only on a "
        "terminal.",
    .options = kOptions,
    .commands = kCommands,
    .examples = kExamples,
};

int run_vpsctl(std::span<const std::string> words, int out_fd, int err_fd) {
  Output output(out_fd, err_fd);
  Arguments so_far;
  auto arguments = parse_command_line(kProgram, words, &so_far);
  if (!arguments) {
    if (so_far.flag("version")) {
      output.write_raw("vpsctl " VPS_VERSION "\n");
      return finish(output, 0);
    }
    return usage_error(output, so_far, arguments.error());
  }
  if (arguments->help()) {
    output.write_raw(help_text(kProgram, arguments->command(), arguments->command_path(), help_columns(out_fd)));
    return finish(output, 0);
  }
  configure(output, *arguments);
  Api api(socket_path(*arguments), output);
  Context context{.program = kProgram, .output = output, .api = api, .subject = {}, .action = arguments->command_path()};
  return run_command(context, *arguments);
}

}  // namespace vps::cli
