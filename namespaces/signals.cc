#include <csignal>

#include "base/units.h"
#include "namespaces/name_table.h"
#include "namespaces/process.h"

namespace vps::namespaces {

namespace {

// The first name of a number is the one that signal_name() gives.
constexpr Named<int> kSignals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"ILL", SIGILL},       {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT}, {"BUS", SIGBUS},   {"FPE", SIGFPE},   {"KILL", SIGKILL},     {"USR1", SIGUSR1},
    {"SEGV", SIGSEGV}, {"USR2", SIGUSR2}, {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},     {"TERM", SIGTERM},
    {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD}, {"CONT", SIGCONT}, {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},
    {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU}, {"URG", SIGURG},   {"XCPU", SIGXCPU},     {"XFSZ", SIGXFSZ},
    {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"POLL", SIGPOLL},   {"PWR", SIGPWR},
    {"SYS", SIGSYS},   {"IOT", SIGIOT},   {"CLD", SIGCHLD},  {"IO", SIGIO},     {"UNUSED", SIGSYS},
};

constexpr std::size_t kMaxName = 16;

// "RTMIN", "RTMIN+3", "RTMAX-1": the C library's numbers, as every init and shell counts them (it keeps two for itself).
Result<int> real_time_signal(std::string_view name) {
  bool from_min = name.starts_with("RTMIN");
  std::string_view offset = name.substr(5);
  std::uint64_t distance = 0;
  if (!offset.empty()) {
    if (offset.size() < 2 || offset[0] != (from_min ? '+' : '-')) return fail(Code::kUsage, "offset");
    distance = VPS_TRY(parse_u64(offset.substr(1)));
  }
  int span = SIGRTMAX - SIGRTMIN;
  if (distance > static_cast<std::uint64_t>(span)) return fail(Code::kUsage, "range");
  return from_min ? SIGRTMIN + static_cast<int>(distance) : SIGRTMAX - static_cast<int>(distance);
}

Result<int> by_name(std::string_view text) {
  if (auto number = parse_u64(text)) {
    if (*number < 1 || *number > static_cast<std::uint64_t>(SIGRTMAX)) return fail(Code::kUsage, "range");
    return static_cast<int>(*number);
  }
  std::string upper;
  for (char c : text) upper += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  std::string_view name = upper;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  if (name.starts_with("RTMIN") || name.starts_with("RTMAX")) return real_time_signal(name);
  return value_of(kSignals, name, "signal");
}

}  // namespace

Result<int> signal_by_name(const std::string& name) {
  auto number = name.size() <= kMaxName ? by_name(name) : fail(Code::kUsage, "length");
  if (number) return number;
  return fail(Code::kUsage, "unknown signal '{}': expected a name like TERM, a number from 1 to {} or RTMIN+3",
              name.substr(0, kMaxName), SIGRTMAX);
}

std::string signal_name(int number) {
  for (const auto& entry : kSignals)
    if (entry.value == number) return "SIG" + std::string(entry.name);
  if (number == SIGRTMIN) return "SIGRTMIN";
  if (number > SIGRTMIN && number <= SIGRTMAX) return "SIGRTMIN+" + std::to_string(number - SIGRTMIN);
  return std::to_string(number);
}

}  // namespace vps::namespaces
