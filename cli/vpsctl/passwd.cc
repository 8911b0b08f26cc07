#include <unistd.h>

#include <cstdio>

#include "cli/common/context.h"
#include "cli/common/operations.h"
#include "cli/common/source.h"
#include "cli/common/terminal.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

#include <termios.h>

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "user", .letter = 'u', .value = "USER", .help = "whose password; default: root"},
};
constexpr PositionalSpec kPositionals[] = {kOneId};
constexpr ExampleSpec kExamples[] = {
    {"from a provisioning script", "printf '%s\\n' \"$PASSWORD\" | vpsctl passwd 101"},
};

// Without echo where a person types it.
class QuietTerminal {
 public:
  explicit QuietTerminal(int fd) : fd_(fd) {
    if (::tcgetattr(fd, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    active_ = ::tcsetattr(fd, TCSAFLUSH, &quiet) == 0;
  }
  ~QuietTerminal() {
    if (active_) (void)::tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
  [[nodiscard]] bool active() const { return active_; }

 private:
  int fd_;
  termios before_{};
  bool active_ = false;
};

// One line of standard input, read byte by byte so that nothing behind it is taken.
Result<std::string> read_line() {
  constexpr std::size_t kMost = 4096;
  std::string line;
  char c = 0;
  while (line.size() < kMost) {
    ssize_t n = ::read(STDIN_FILENO, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "standard input");
    if (n == 0 || c == '\n') return line;
    line += c;
  }
  return fail(Code::kUsage, "the password is longer than {} bytes", kMost);
}

Result<std::string> read_password() {
  QuietTerminal quiet(STDIN_FILENO);
  if (!quiet.active()) return read_line();
  (void)::write(STDERR_FILENO, "New password: ", 14);
  auto first = read_line();
  (void)::write(STDERR_FILENO, "\nAgain: ", 8);
  auto second = read_line();
  (void)::write(STDERR_FILENO, "\n", 1);
  if (!first) return first;
  if (!second) return second;
  if (*first != *second) return fail(Code::kUsage, "the two passwords differ");
  return first;
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& id = arguments.positionals()[0];
  context.subject = id;
  VPS_TRY(check_ids({id}));
  auto password = VPS_TRY(read_password());
  Value body = Value::object();
  body.set("user", arguments.value_or("user", "root")).set("password", std::move(password));
  VPS_TRY(context.api.post(api_path({"containers", id, "password"}), body));
  context.output.line(context.output.format() == Format::kTable ? visible(fmt::format("{}: password set", id)) : visible(id));
  return 0;
}

}  // namespace

constinit const CommandSpec kPasswd = {
    .name = "passwd",
    .summary = "set the password of root inside",
    .description =
        "Sets the password of root, or of another user, of a VPS that runs or not. It is read from standard input, one line, and asked for "
        "twice without echo on a terminal; never from the command line, which others can see.",
    .options = kOptions,
    .positionals = kPositionals,
    .examples = kExamples,
    .run = run,
};

}  // namespace vps::cli
