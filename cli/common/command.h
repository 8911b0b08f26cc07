// A command line as one constexpr table: parsing, --help, the man pages and completion are all made from it, so that none of
// them can say what another does not. The parser is our own: CLI11 brings iostream and its locale initialisation into the
// program, which costs more at every start (a quarter to a third of a bare process) than all else that vpsctl does before
// its first request.
//
// Accepted forms: --name value, --name=value, -n value, -nvalue, grouped flags (-it), options before and after the
// positionals, "--" ends them. An unknown option, a missing value or a surplus argument is a kUsage error of one line.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace vps::cli {

struct Context;  // what the program hands to its commands: context.h of the API's clients, cli/oci/context.h of vpsrun
class Arguments;

enum class Completion { kNone, kFile, kDirectory, kVps, kTemplate, kNetwork, kOperation, kCommand };

struct OptionSpec {
  std::string_view name{};       // "timeout", without the dashes
  char letter = 0;             // 't', or none
  std::string_view value{};      // "S"; empty for a flag
  std::string_view help{};       // one sentence, lower case, no full stop
  bool repeated = false;
  std::string_view choices{};    // "bash zsh fish": anything else is refused
  Completion completes = Completion::kNone;
  std::string_view group{};      // options of one group exclude each other
};

constexpr int kMany = 1 << 20;

struct PositionalSpec {
  std::string_view name{};       // "ID", "KEY=VALUE"
  std::string_view help{};
  int least = 1, most = 1;
  Completion completes = Completion::kNone;
  std::string_view choices{};
};

struct ExampleSpec {
  std::string_view text{};       // what it does
  std::string_view line{};       // the command line
};

struct CommandSpec {
  std::string_view name{};
  std::string_view summary{};      // one line, lower case
  std::string_view description{};  // paragraphs separated by an empty line
  std::span<const OptionSpec> options{};
  std::span<const PositionalSpec> positionals{};
  std::span<const CommandSpec* const> commands{};  // of "template": build, import ...
  std::span<const ExampleSpec> examples{};
  std::string_view exits{};      // exit codes beyond those that all commands share; paragraphs
  Result<int> (*run)(Context&, const Arguments&) = nullptr;
  bool hidden = false;
  // All that follows the first positional belongs to the command that is named there: "exec 101 ls -l".
  bool passthrough = false;
  // Options of our own stand before the first positional, as runc has it: "exec ID -x" names a program "-x".
  bool options_first = false;
  bool literal = false;  // all words are positionals, whatever they look like
  // Exit code of errors of our own, where the code proper belongs to another program; 0: the code of the error.
  int failure_exit = 0;
};

class Arguments {
 public:
  [[nodiscard]] const CommandSpec& command() const { return *command_; }
  // "template build"
  [[nodiscard]] const std::string& command_path() const { return path_; }

  // Asking for a name that the table does not have is a mistake in the program and aborts.
  [[nodiscard]] bool flag(std::string_view name) const;
  [[nodiscard]] const std::string* value(std::string_view name) const;  // the last one given; null: none
  [[nodiscard]] std::string value_or(std::string_view name, std::string_view otherwise) const;
  [[nodiscard]] const std::vector<std::string>& values(std::string_view name) const;
  [[nodiscard]] const std::vector<std::string>& positionals() const { return positionals_; }
  [[nodiscard]] bool help() const { return help_; }

 private:
  friend class Parser;
  const CommandSpec* command_ = nullptr;
  std::span<const OptionSpec> globals_;
  std::string path_;
  std::map<std::string, std::vector<std::string>, std::less<>> options_;
  std::vector<std::string> positionals_;
  bool help_ = false;
};

// `program` holds the global options and the commands. On an error `so_far` (if given) holds what was understood before it,
// the global options among them, so that the error can be printed in the form that was asked for.
Result<Arguments> parse_command_line(const CommandSpec& program, std::span<const std::string> words, Arguments* so_far = nullptr);

const CommandSpec* find_command(std::span<const CommandSpec* const> commands, std::string_view name);
// The nearest of the names when it is near enough to be a slip of the keyboard, else empty.
std::string_view nearest(std::string_view word, std::span<const std::string_view> names);

std::string usage_line(const CommandSpec& program, const CommandSpec& command, std::string_view path);
// --help of one command (or of the program itself when `command` is `program`).
std::string help_text(const CommandSpec& program, const CommandSpec& command, std::string_view path, std::size_t columns);
// The page in section 1, in mdoc(7). `date` as mdoc wants it: "January 2, 2027".
std::string man_page(const CommandSpec& program, const CommandSpec& command, std::string_view path, std::string_view date);

// What may stand at the end of `words` (the last of them is the beginning of what is completed, perhaps empty).
struct Candidate {
  std::string text, help;
};
struct Candidates {
  std::vector<Candidate> known;
  Completion ask = Completion::kNone;  // and these, which the table does not know
  std::string prefix;                  // of what is completed; candidates begin with it
};
Candidates complete(const CommandSpec& program, std::span<const std::string> words);

std::vector<std::string_view> split_words(std::string_view text);

}  // namespace vps::cli
