#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "cli/common/operations.h"
#include "cli/common/source.h"
#include "cli/common/terminal.h"
#include "cli/vpsctl/changes.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr PositionalSpec kPositionals[] = {kOneId};

// "$VISUAL" may have arguments of its own ("code --wait"); no shell reads it.
std::vector<std::string> editor_words() {
  for (const char* name : {"VISUAL", "EDITOR"}) {
    const char* value = ::getenv(name);
    if (value == nullptr) continue;
    auto words = split_words(value);
    if (!words.empty()) return {words.begin(), words.end()};
  }
  for (const char* path : {"/usr/bin/editor", "/usr/bin/nano", "/usr/bin/vi"})
    if (::access(path, X_OK) == 0) return {path};
  return {"vi"};
}

// The terminal's Ctrl-C and Ctrl-\ are the editor's while it runs.
class IgnoredSignals {
 public:
  IgnoredSignals() : interrupt_(::signal(SIGINT, SIG_IGN)), quit_(::signal(SIGQUIT, SIG_IGN)) {}
  ~IgnoredSignals() {
    ::signal(SIGINT, interrupt_);
    ::signal(SIGQUIT, quit_);
  }
  IgnoredSignals(const IgnoredSignals&) = delete;
  IgnoredSignals& operator=(const IgnoredSignals&) = delete;

 private:
  void (*interrupt_)(int);
  void (*quit_)(int);
};

Result<> run_editor(const std::string& path) {
  auto words = editor_words();
  words.push_back(path);
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  IgnoredSignals ignored;
  posix_spawnattr_t attributes;
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGINT);
  sigaddset(&defaults, SIGQUIT);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  int err = ::posix_spawnp(&pid, argv[0], nullptr, &attributes, argv.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  if (err != 0) return std::unexpected(Error(Code::kFailed, err, fmt::format("start the editor {}", words[0])));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return fail_errno(errno, "wait for the editor");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return fail(Code::kFailed, "the editor {} failed; nothing is changed", words[0]);
  return {};
}

Result<std::string> make_file(const std::string& id, const std::string& text) {
  const char* directory = ::getenv("TMPDIR");
  std::string safe;
  for (char c : id) safe += (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
  std::string path = fmt::format("{}/vps-{}-XXXXXX.yaml", directory != nullptr && *directory != '\0' ? directory : "/tmp", safe);
  UniqueFd fd(::mkostemps(path.data(), 5, O_CLOEXEC));
  if (!fd) return std::unexpected(Error(Code::kFailed, errno, fmt::format("make a temporary file {}", path)));
  VPS_TRY(write_all(fd.get(), text));
  return path;
}

bool ask_again(Context& context) {
  if (!is_terminal(STDIN_FILENO) || !is_terminal(STDERR_FILENO)) return false;
  context.output.end_progress();
  (void)write_all(STDERR_FILENO, "Edit again? [Y/n] ");
  char first = 0;
  char c = 0;
  while (::read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
    if (first == 0 && c != ' ') first = c;
  return c == '\n' && first != 'n' && first != 'N';
}

Result<Value> save(Context& context, const std::string& id, const std::string& before, const Source& edited) {
  // Somebody else's change must not be undone by ours without a word.
  auto now = VPS_TRY(context.api.get_text(api_path({"containers", id}, {{"format", "yaml"}})));
  if (now != before) return fail(Code::kBusy, "its definition was changed meanwhile by somebody else");
  Value body = Value::object();
  body.set("yaml", edited.text).set("file", edited.name);
  return context.api.send("PUT", api_path({"containers", id}), body);
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& id = arguments.positionals()[0];
  context.subject = id;
  VPS_TRY(check_ids({id}));
  auto before = VPS_TRY(context.api.get_text(api_path({"containers", id}, {{"format", "yaml"}})));
  auto path = VPS_TRY(make_file(id, before));
  while (true) {
    auto ran = run_editor(path);
    if (!ran) {
      (void)remove_file(path);
      return std::unexpected(std::move(ran).error());
    }
    auto edited = VPS_TRY(read_source(path));
    if (edited.text == before) {
      (void)remove_file(path);
      context.output.line(fmt::format("{}: not changed", visible(id)));
      return 0;
    }
    auto answer = save(context, id, before, edited);
    if (answer) {
      (void)remove_file(path);
      return print_changes(context, id, *answer, "changed");
    }
    bool mendable = answer.error().code() == Code::kUsage;
    if (mendable) {
      int code = report_error(context, "edit", id, answer.error());
      if (ask_again(context)) continue;
      context.output.note(fmt::format("nothing is changed; your text is kept in {}", path));
      return code;
    }
    context.output.note(fmt::format("nothing is changed; your text is kept in {}", path));
    return std::unexpected(std::move(answer).error());
  }
}

}  // namespace

constinit const CommandSpec kEdit = {
    .name = "edit",
    .summary = "change a VPS's definition in an editor",
    .description =
        "Opens the definition in $VISUAL, $EDITOR or the system's editor and applies what was saved there, as vpsctl apply does. "
        "When it has an error, the editor can be opened again (on a terminal); otherwise nothing is changed and the text is kept "
        "in the file that is named.",
    .positionals = kPositionals,
    .run = run,
};

}  // namespace vps::cli
