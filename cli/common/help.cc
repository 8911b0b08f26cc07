// --help and the man pages: the command table as text for people.
#include <algorithm>
#include <cstdint>

#include "cli/common/command.h"

namespace vps::cli {
namespace {

constexpr std::string_view kHelpOption = "show this help";

struct ExitCode {
  int code;
  std::string_view meaning;
};
constexpr ExitCode kExitCodes[] = {
    {0, "done"},
    {1, "failed"},
    {2, "bad usage or bad value"},
    {3, "not found"},
    {4, "exists already"},
    {5, "wrong state"},
    {6, "not allowed"},
    {7, "busy"},
    {8, "timed out"},
    {9, "no room, or not supported by this host"},
};

std::vector<std::string_view> paragraphs(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    auto end = text.find("\n\n");
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 2);
  }
  return parts;
}

// Words of `text` in lines of `columns`; every line but the first begins with `indent` blanks, the first with what stands
// there already (`used` columns).
std::string wrapped(std::string_view text, std::size_t indent, std::size_t used, std::size_t columns) {
  std::string out;
  std::string flat(text);
  std::ranges::replace(flat, '\n', ' ');
  for (auto word : split_words(flat)) {
    if (used > indent && used + 1 + word.size() > columns) {
      out += '\n';
      out.append(indent, ' ');
      used = indent;
    } else if (used > indent) {
      out += ' ';
      ++used;
    }
    out += word;
    used += word.size();
  }
  return out;
}

std::string option_label(const OptionSpec& option) {
  std::string label = option.letter != 0 ? fmt::format("-{}, ", option.letter) : "    ";
  label += fmt::format("--{}", option.name);
  if (!option.value.empty()) label += fmt::format(" {}", option.value);
  return label;
}

std::string entry(const std::string& label, std::string_view help, std::size_t indent, std::size_t columns) {
  std::string out = "  " + label;
  if (out.size() + 2 > indent) {
    out += '\n';
    out.append(indent, ' ');
  } else {
    out.append(indent - out.size(), ' ');
  }
  return out + wrapped(help, indent, indent, columns) + '\n';
}

std::string option_help(const OptionSpec& option) {
  std::string help(option.help);
  if (option.repeated) help += "; may be given several times";
  return help;
}

std::string list_options(std::span<const OptionSpec> options, std::size_t columns) {
  std::string out;
  constexpr std::size_t kIndent = 30;
  for (const auto& option : options) out += entry(option_label(option), option_help(option), kIndent, columns);
  return out;
}

std::string positional_usage(const PositionalSpec& positional) {
  std::string text(positional.name);
  if (positional.most > 1) text += "...";
  return positional.least == 0 ? "[" + text + "]" : text;
}

std::string list_commands(std::span<const CommandSpec* const> commands, std::size_t columns) {
  std::string out;
  constexpr std::size_t kIndent = 16;
  for (const auto* command : commands)
    if (!command->hidden) out += entry(std::string(command->name), command->summary, kIndent, columns);
  return out;
}

// mdoc(7): a backslash begins an escape, "-" would become a hyphen, and the shell's signs would be typeset.
std::string roff_char(char c) {
  switch (c) {
    case '\\': return "\\e";
    case '-': return "\\-";
    case '~': return "\\(ti";
    case '^': return "\\(ha";
    default: return std::string(1, c);
  }
}

// A line of text: a dot or a quote at its begin would make it a request.
std::string roff(std::string_view text) {
  std::string out = text.starts_with('.') || text.starts_with('\'') ? "\\&" : "";
  for (char c : text) out += roff_char(c);
  return out;
}

// One argument of a macro: quoted where it has blanks; what would be punctuation or a macro itself is made harmless.
std::string roff_argument(std::string_view text) {
  std::string out;
  for (char c : text) out += c == '"' ? "\\(dq" : roff_char(c);
  constexpr std::string_view kPunctuation = ".,:;()[]?!|";
  bool punctuation = text.size() == 1 && kPunctuation.find(text[0]) != std::string_view::npos;
  bool macro = !text.empty() && text.size() <= 3 && text[0] >= 'A' && text[0] <= 'Z';
  if (punctuation || macro) out.insert(0, "\\&");
  return text.empty() || text.find(' ') != std::string_view::npos ? "\"" + out + "\"" : out;
}

std::string capitalised(std::string_view text) {
  std::string out(text);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out;
}

// Lines of input that fit a screen, none of them a request by accident.
std::string roff_lines(std::string_view text) {
  constexpr std::size_t kColumns = 70;  // escapes make some longer
  std::string lines = wrapped(text, 0, 0, kColumns);
  std::string out;
  for (std::size_t begin = 0; begin <= lines.size();) {
    auto end = std::min(lines.find('\n', begin), lines.size());
    out += roff(std::string_view(lines).substr(begin, end - begin)) + '\n';
    begin = end + 1;
  }
  return out;
}

// Text as sentences, each beginning a line as mdoc wants it.
std::string roff_paragraphs(std::string_view text) {
  std::string out;
  for (auto paragraph : paragraphs(text)) {
    if (!out.empty()) out += ".Pp\n";
    std::string flat = wrapped(paragraph, 0, 0, SIZE_MAX / 2);
    std::size_t begin = 0;
    while (begin < flat.size()) {
      auto end = flat.find(". ", begin);
      auto sentence = flat.substr(begin, end == std::string::npos ? end : end + 1 - begin);
      out += roff_lines(sentence);
      if (end == std::string::npos) break;
      begin = end + 2;
    }
  }
  return out;
}

std::string man_option(const OptionSpec& option) {
  std::string out = ".It ";
  if (option.letter != 0) out += fmt::format("Fl {} , ", option.letter);
  out += fmt::format("Fl \\-{}", roff_argument(option.name));
  if (!option.value.empty()) out += fmt::format(" Ar {}", roff_argument(option.value));
  return out + "\n" + roff_lines(capitalised(option_help(option)) + ".");
}

std::string man_options(std::span<const OptionSpec> options) {
  std::string out = ".Bl -tag -width Ds\n";
  for (const auto& option : options) out += man_option(option);
  return out + ".El\n";
}

std::string page_name(const CommandSpec& program, std::string_view path) {
  std::string name(program.name);
  for (auto word : split_words(path)) name += fmt::format("-{}", word);
  return name;
}

std::string man_synopsis(const CommandSpec& program, const CommandSpec& command, std::string_view path) {
  std::string out = fmt::format(".Nm {}\n", program.name);
  out += ".Op Ar global options\n";
  if (&command == &program) return out + ".Ar command\n.Op Ar argument ...\n";
  out += fmt::format(".Cm {}\n", roff_argument(path));
  for (const auto& option : command.options) {
    out += ".Op ";
    out += option.letter != 0 ? fmt::format("Fl {}", option.letter) : fmt::format("Fl \\-{}", roff_argument(option.name));
    if (!option.value.empty()) out += fmt::format(" Ar {}", roff_argument(option.value));
    out += '\n';
  }
  if (!command.commands.empty()) out += ".Ar command\n.Op Ar argument ...\n";
  for (const auto& positional : command.positionals) {
    out += positional.least == 0 ? ".Op Ar " : ".Ar ";
    out += roff_argument(positional.name) + (positional.most > 1 ? " ...\n" : "\n");
  }
  return out;
}

std::string man_positionals(std::span<const PositionalSpec> positionals) {
  std::string out = ".Bl -tag -width Ds\n";
  for (const auto& positional : positionals)
    out += fmt::format(".It Ar {}\n{}", roff_argument(positional.name), roff_lines(capitalised(positional.help) + "."));
  return out + ".El\n";
}

std::string man_subcommand(const CommandSpec& program, const CommandSpec& parent, const CommandSpec& command) {
  std::string path = fmt::format("{} {}", parent.name, command.name);
  std::string out = fmt::format(".Ss {}\n{}.Pp\n{}", path, man_synopsis(program, command, path), roff_paragraphs(command.description));
  if (!command.positionals.empty()) out += man_positionals(command.positionals);
  if (!command.options.empty()) out += man_options(command.options);
  return out;
}

std::string man_exit_status(const CommandSpec& program, const CommandSpec& command) {
  std::string out = ".Sh EXIT STATUS\n";
  if (!command.exits.empty()) out += roff_paragraphs(command.exits);
  if (command.failure_exit != 0) return out;
  if (!command.exits.empty()) out += ".Pp\n";
  if (&command != &program)
    return out + "0 when all was done, else the code of the first failure; the codes are listed in\n.Xr vpsctl 1 .\n";
  out += ".Bl -tag -width Ds -compact\n";
  for (const auto& exit : kExitCodes) out += fmt::format(".It {}\n{}\n", exit.code, exit.meaning);
  return out + ".El\n";
}

}  // namespace

std::string usage_line(const CommandSpec& program, const CommandSpec& command, std::string_view path) {
  std::string out = fmt::format("{}{}{}", program.name, path.empty() ? "" : " ", path);
  if (!command.options.empty()) out += " [OPTION]...";
  if (!command.commands.empty()) out += " COMMAND ...";
  for (const auto& positional : command.positionals) out += ' ' + positional_usage(positional);
  return out;
}

std::string help_text(const CommandSpec& program, const CommandSpec& command, std::string_view path, std::size_t columns) {
  columns = std::clamp<std::size_t>(columns, 60, 120);
  std::string out = fmt::format("Usage: {}\n", usage_line(program, command, path));
  for (auto paragraph : paragraphs(command.description)) out += '\n' + wrapped(paragraph, 0, 0, columns) + '\n';
  if (!command.commands.empty()) out += "\nCommands:\n" + list_commands(command.commands, columns);
  if (!command.positionals.empty()) {
    out += "\nArguments:\n";
    for (const auto& positional : command.positionals) out += entry(std::string(positional.name), positional.help, 16, columns);
  }
  if (&command != &program && !command.options.empty()) out += "\nOptions:\n" + list_options(command.options, columns);
  out += "\nGlobal options:\n" + list_options(program.options, columns);
  out += entry("-h, --help", kHelpOption, 30, columns);
  if (!command.exits.empty()) {
    out += "\nExit status:\n";
    for (auto paragraph : paragraphs(command.exits)) out += "  " + wrapped(paragraph, 2, 2, columns) + '\n';
  }
  if (!command.examples.empty()) {
    out += "\nExamples:\n";
    for (const auto& example : command.examples) out += fmt::format("  # {}\n  {}\n", example.text, example.line);
  }
  return out;
}

std::string man_page(const CommandSpec& program, const CommandSpec& command, std::string_view path, std::string_view date) {
  std::string name = page_name(program, path);
  std::string title = name;
  for (char& c : title)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  std::string out = fmt::format(".Dd {}\n.Dt {} 1\n.Os\n.Sh NAME\n.Nm {}\n.Nd {}\n", date, title, name,
                                roff(command.summary));
  out += ".Sh SYNOPSIS\n" + man_synopsis(program, command, path);
  out += ".Sh DESCRIPTION\n" + roff_paragraphs(command.description);
  if (!command.positionals.empty()) out += ".Pp\nThe arguments are:\n" + man_positionals(command.positionals);
  if (!command.options.empty()) {
    out += &command == &program ? ".Pp\nThe global options may stand before and after the command:\n" : ".Pp\nThe options are:\n";
    out += man_options(command.options);
  }
  if (&command == &program) {
    out += ".Sh COMMANDS\n.Bl -tag -width Ds\n";
    for (const auto* sub : command.commands)
      if (!sub->hidden)
        out += fmt::format(".It Cm {0}\n{1}: see\n.Xr {2}-{0} 1 .\n", sub->name, roff(sub->summary), program.name);
    out += ".El\n";
    out += ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n.It Ev VPS_SOCKET\nthe daemon's socket, where\n.Fl \\-socket\nis not given.\n"
           ".It Ev NO_COLOR\nwhen set and not empty, no colours.\n.It Ev VISUAL , EDITOR\nthe editor of\n.Xr vpsctl-edit 1 .\n.El\n"
           ".Sh FILES\n.Bl -tag -width Ds\n.It Pa /run/vps/vpsd.sock\nthe daemon's socket.\n.El\n";
  } else {
    for (const auto* sub : command.commands)
      if (!sub->hidden) out += man_subcommand(program, command, *sub);
  }
  out += man_exit_status(program, command);
  if (!command.examples.empty()) {
    out += ".Sh EXAMPLES\n";
    for (std::size_t i = 0; i < command.examples.size(); ++i) {
      const auto& example = command.examples[i];
      out += fmt::format("{}{}:\n.Pp\n.Dl {}\n", i > 0 ? ".Pp\n" : "", roff(capitalised(example.text)), roff(example.line));
    }
  }
  out += ".Sh SEE ALSO\n";
  if (&command != &program) out += fmt::format(".Xr {} 1 ,\n", program.name);
  return out + ".Xr vps.yaml 5 ,\n.Xr vpsd 8\n";
}

}  // namespace vps::cli
