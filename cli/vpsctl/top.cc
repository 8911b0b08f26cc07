#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/files.h"
#include "base/units.h"
#include "cli/common/operations.h"
#include "cli/common/terminal.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"
#include "cli/vpsctl/sampler.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "interval", .letter = 'i', .value = "DURATION", .help = "time between updates; default 2s"},
    {.name = "sort", .letter = 's', .value = "KEY", .help = "cpu (the default), memory, io or id", .choices = "cpu memory io id"},
};
constexpr PositionalSpec kPositionals[] = {kOptionalIds};

// The alternate screen, so that what stood on the terminal comes back.
class Screen {
 public:
  explicit Screen(int fd) : fd_(fd) { (void)write_all(fd_, "\x1b[?1049h\x1b[?25l"); }
  ~Screen() { (void)write_all(fd_, "\x1b[?25h\x1b[?1049l"); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void draw(std::string_view text) const {
    auto size = window_size(fd_);
    std::size_t rows = size ? size->rows : 24;
    std::string out = "\x1b[H";
    for (std::size_t row = 0; row + 1 < rows && !text.empty(); ++row) {
      auto end = std::min(text.find('\n'), text.size());
      out += text.substr(0, end);
      out += "\x1b[K\r\n";
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    (void)write_all(fd_, out + "\x1b[J");
  }

 private:
  int fd_;
};

SortBy sort_from_key(char key, SortBy now) {
  switch (key) {
    case 'c': return SortBy::kCpu;
    case 'm': return SortBy::kMemory;
    case 'i': return SortBy::kIo;
    case 'n': return SortBy::kId;
    default: return now;
  }
}

SortBy sort_from_name(std::string_view name) {
  return name == "memory" ? SortBy::kMemory : name == "io" ? SortBy::kIo : name == "id" ? SortBy::kId : SortBy::kCpu;
}

Result<int> run(Context& context, const Arguments& arguments) {
  if (!is_terminal(STDIN_FILENO) || !is_terminal(STDOUT_FILENO)) return fail(Code::kUsage, "top needs a terminal; see vpsctl stats");
  auto ids = unique_ids(arguments.positionals());
  VPS_TRY(check_ids(ids));
  auto interval = VPS_TRY_CTX("--interval", parse_duration(arguments.value_or("interval", "2s")));
  constexpr Milliseconds kShortest{100};
  constexpr Milliseconds kLongest{86'400'000};
  if (interval < kShortest || interval > kLongest) return fail(Code::kUsage, "--interval: expected between 100ms and 1d");
  auto sort = sort_from_name(arguments.value_or("sort", "cpu"));
  Sampler sampler(context, ids);
  auto rows = VPS_TRY(sampler.round());
  auto signals = VPS_TRY(Signals::take({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}));
  auto raw = VPS_TRY(RawMode::enter(STDIN_FILENO));
  Screen screen(STDOUT_FILENO);
  auto due = std::chrono::steady_clock::now() + kShortest;  // the first rates soon
  while (true) {
    sort_measured(rows, sort);
    screen.draw(fmt::format("{} running; q quits, c m i n sort by CPU, memory, io, id\n\n{}", rows.size(), render_stats(rows, context.output)));
    std::array<pollfd, 2> items{{{signals.fd(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
    auto left = std::chrono::ceil<Milliseconds>(due - std::chrono::steady_clock::now()).count();
    int n = ::poll(items.data(), items.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (n < 0 && errno != EINTR) return fail_errno(errno, "poll");
    while (auto signo = signals.next())
      if (*signo != SIGWINCH) return *signo == SIGINT ? 0 : 128 + *signo;
    if (n > 0 && items[1].revents != 0) {
      char key = 'q';
      if (::read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 3) return 0;
      sort = sort_from_key(key, sort);
    }
    if (std::chrono::steady_clock::now() < due) continue;
    rows = VPS_TRY(sampler.round());
    due = std::chrono::steady_clock::now() + interval;
  }
}

}  // namespace

constinit const CommandSpec kTop = {
    .name = "top",
    .summary = "what VPSes use, on the whole screen",
    .description =
        "Shows what vpsctl stats prints, the busiest first, again and again. The keys c, m, i and n sort by CPU, memory, disk "
        "traffic and id; q or Ctrl-C ends.",
    .options = kOptions,
    .positionals = kPositionals,
    .run = run,
};

}  // namespace vps::cli
