#include "cli/common/command.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace vps::cli {
namespace {

// Edit distance with swaps of neighbours as one step.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t same = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + same});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = std::exchange(last, row);
  }
  return last[b.size()];
}

const OptionSpec* find_option(std::span<const OptionSpec> options, std::string_view name) {
  auto found = std::ranges::find(options, name, &OptionSpec::name);
  return found == options.end() ? nullptr : &*found;
}

const OptionSpec* find_option(std::span<const OptionSpec> options, char letter) {
  auto found = std::ranges::find(options, letter, &OptionSpec::letter);
  return found == options.end() ? nullptr : &*found;
}

std::string joined(const std::vector<std::string_view>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

}  // namespace

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    auto end = std::min(text.find(' '), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> names) {
  constexpr std::size_t kLongest = 64;
  if (word.empty() || word.size() > kLongest) return {};
  std::string_view best;
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (auto name : names) {
    bool begins = word.size() >= 3 && name.starts_with(word);
    std::size_t cost = begins ? 1 : distance(word, name);
    if (cost < least) {
      least = cost;
      best = name;
    }
  }
  return best;
}

const CommandSpec* find_command(std::span<const CommandSpec* const> commands, std::string_view name) {
  auto found = std::ranges::find(commands, name, &CommandSpec::name);
  return found == commands.end() ? nullptr : *found;
}

// One walk over the words; members are where it stands.
class Parser {
 public:
  Parser(const CommandSpec& program, std::span<const std::string> words) : program_(program), words_(words) {
    result_.command_ = &program;
    result_.globals_ = program.options;
  }

  Result<> run() {
    for (at_ = 0; at_ < words_.size(); ++at_) {
      const std::string& word = words_[at_];
      bool option = !literal_ && word.size() > 1 && word[0] == '-';
      if (option && word == "--") {
        literal_ = true;
      } else if (option && word[1] == '-') {
        VPS_TRY(long_option(std::string_view(word).substr(2)));
      } else if (option) {
        VPS_TRY(letters(std::string_view(word).substr(1)));
      } else {
        VPS_TRY(plain(word));
      }
    }
    if (result_.help_) return {};
    return check();
  }

  Arguments take() { return std::move(result_); }

 private:
  [[nodiscard]] std::string where() const { return result_.path_.empty() ? "" : result_.path_ + ": "; }

  template <class... Args>
  std::unexpected<Error> wrong(fmt::format_string<Args...> format, Args&&... args) const {
    std::string hint = result_.path_.empty() ? "" : " " + result_.path_;
    return fail(Code::kUsage, "{} (see {}{} --help)", fmt::format(format, std::forward<Args>(args)...), program_.name, hint);
  }

  template <class Key>
  const OptionSpec* find(Key key) const {
    if (const auto* own = find_option(result_.command_->options, key)) return own;
    return find_option(program_.options, key);
  }

  Result<> long_option(std::string_view text) {
    auto equals = text.find('=');
    auto name = text.substr(0, equals);
    if (name == "help") {
      result_.help_ = true;
      return {};
    }
    const auto* spec = find(name);
    if (spec == nullptr) {
      std::vector<std::string_view> names;
      for (const auto& option : result_.command_->options) names.push_back(option.name);
      for (const auto& option : program_.options) names.push_back(option.name);
      auto near = nearest(name, names);
      if (!near.empty()) return wrong("unknown option --{}, did you mean --{}?", name, near);
      return wrong("unknown option --{}", name);
    }
    std::string shown = fmt::format("--{}", name);
    if (equals == std::string_view::npos) return take_value(*spec, shown, std::nullopt);
    if (spec->value.empty()) return wrong("{} takes no value", shown);
    return take_value(*spec, shown, text.substr(equals + 1));
  }

  Result<> letters(std::string_view text) {
    while (!text.empty()) {
      char letter = text[0];
      text.remove_prefix(1);
      if (letter == 'h' && find('h') == nullptr) {
        result_.help_ = true;
        continue;
      }
      const auto* spec = find(letter);
      if (spec == nullptr) return wrong("unknown option -{}", letter);
      std::string shown = fmt::format("-{}", letter);
      if (!spec->value.empty() && !text.empty()) return take_value(*spec, shown, text);
      VPS_TRY(take_value(*spec, shown, std::nullopt));
    }
    return {};
  }

  Result<> take_value(const OptionSpec& spec, const std::string& shown, std::optional<std::string_view> attached) {
    std::string value;
    if (!spec.value.empty()) {
      if (attached) {
        value = *attached;
      } else {
        if (at_ + 1 >= words_.size()) return wrong("{} needs a value: {}", shown, spec.value);
        value = words_[++at_];
      }
      auto choices = split_words(spec.choices);
      if (!choices.empty() && std::ranges::find(choices, value) == choices.end())
        return wrong("{} {}: expected {}", shown, value, joined(choices));
    }
    auto& values = result_.options_[std::string(spec.name)];
    if (!values.empty() && !spec.repeated && !spec.value.empty() && values.back() != value)
      return wrong("{} is given twice", shown);
    values.push_back(std::move(value));
    return {};
  }

  Result<> plain(const std::string& word) {
    if (!result_.command_->commands.empty()) return enter_command(word);
    result_.positionals_.push_back(word);
    // "exec 101 -t ls -l": from the second word on all belongs to the other program.
    if (result_.command_->passthrough && result_.positionals_.size() > 1) literal_ = true;
    if (result_.command_->options_first) literal_ = true;
    return {};
  }

  Result<> enter_command(const std::string& word) {
    const auto* found = find_command(result_.command_->commands, word);
    if (found == nullptr) {
      std::vector<std::string_view> names;
      for (const auto* command : result_.command_->commands)
        if (!command->hidden) names.push_back(command->name);
      auto near = nearest(word, names);
      if (near.empty()) return wrong("unknown command '{}'", word);
      return wrong("unknown command '{}', did you mean {}?", word, near);
    }
    result_.command_ = found;
    if (!result_.path_.empty()) result_.path_ += ' ';
    result_.path_ += word;
    if (found->literal) literal_ = true;
    return {};
  }

  Result<> check() {
    const CommandSpec& command = *result_.command_;
    if (!command.commands.empty()) {
      std::vector<std::string_view> names;
      for (const auto* sub : command.commands)
        if (!sub->hidden) names.push_back(sub->name);
      if (result_.path_.empty()) return wrong("no command given");
      return wrong("expected {}", joined(names));
    }
    std::size_t least = 0;
    std::size_t most = 0;
    for (const auto& positional : command.positionals) {
      if (result_.positionals_.size() < least + static_cast<std::size_t>(positional.least))
        return wrong("missing {}", positional.name);
      least += static_cast<std::size_t>(positional.least);
      most += static_cast<std::size_t>(positional.most);
    }
    if (result_.positionals_.size() > most) return wrong("unexpected argument '{}'", result_.positionals_[most]);
    for (std::size_t i = 0; i < result_.positionals_.size() && i < command.positionals.size(); ++i) {
      auto choices = split_words(command.positionals[i].choices);
      if (!choices.empty() && std::ranges::find(choices, result_.positionals_[i]) == choices.end())
        return wrong("'{}': expected {}", result_.positionals_[i], joined(choices));
    }
    for (const auto& a : command.options)
      for (const auto& b : command.options)
        if (&a < &b && !a.group.empty() && a.group == b.group && result_.options_.contains(a.name) &&
            result_.options_.contains(b.name))
          return wrong("--{} and --{} exclude each other", a.name, b.name);
    return {};
  }

  const CommandSpec& program_;
  std::span<const std::string> words_;
  std::size_t at_ = 0;
  bool literal_ = false;
  Arguments result_;
};

Result<Arguments> parse_command_line(const CommandSpec& program, std::span<const std::string> words, Arguments* so_far) {
  Parser parser(program, words);
  auto done = parser.run();
  if (!done) {
    if (so_far != nullptr) *so_far = parser.take();
    return std::unexpected(std::move(done).error());
  }
  return parser.take();
}

namespace {
void require_known(const CommandSpec& command, std::span<const OptionSpec> globals, std::string_view name) {
  if (find_option(command.options, name) == nullptr && find_option(globals, name) == nullptr) std::abort();
}
}  // namespace

bool Arguments::flag(std::string_view name) const {
  require_known(*command_, globals_, name);
  return options_.contains(name);
}

const std::vector<std::string>& Arguments::values(std::string_view name) const {
  static const std::vector<std::string> kNone;
  require_known(*command_, globals_, name);
  auto found = options_.find(name);
  return found == options_.end() ? kNone : found->second;
}

const std::string* Arguments::value(std::string_view name) const {
  const auto& all = values(name);
  return all.empty() ? nullptr : &all.back();
}

std::string Arguments::value_or(std::string_view name, std::string_view otherwise) const {
  const auto* given = value(name);
  return given != nullptr ? *given : std::string(otherwise);
}

Candidates complete(const CommandSpec& program, std::span<const std::string> words) {
  Candidates result;
  if (words.empty()) return result;
  result.prefix = words.back();
  const CommandSpec* command = &program;
  std::size_t positional = 0;
  const OptionSpec* pending = nullptr;  // an option that waits for its value
  bool literal = false;
  auto find = [&](auto key) {
    const auto* own = find_option(command->options, key);
    return own != nullptr ? own : find_option(program.options, key);
  };
  for (const auto& word : words.first(words.size() - 1)) {
    if (pending != nullptr) {
      pending = nullptr;
    } else if (!literal && word == "--") {
      literal = true;
    } else if (!literal && word.size() > 2 && word.starts_with("--")) {
      const auto* spec = word.find('=') == std::string::npos ? find(std::string_view(word).substr(2)) : nullptr;
      if (spec != nullptr && !spec->value.empty()) pending = spec;
    } else if (!literal && word.size() > 1 && word[0] == '-') {
      const auto* spec = find(word.back());
      if (spec != nullptr && !spec->value.empty()) pending = spec;
    } else if (!command->commands.empty()) {
      const auto* found = find_command(command->commands, word);
      if (found == nullptr) return result;
      command = found;
    } else {
      ++positional;
    }
  }
  auto add = [&](std::string text, std::string_view help) {
    if (text.starts_with(result.prefix)) result.known.push_back({std::move(text), std::string(help)});
  };
  auto add_choices = [&](std::string_view choices) {
    for (auto choice : split_words(choices)) add(std::string(choice), "");
  };
  if (pending == nullptr && !literal && result.prefix.starts_with("--") && result.prefix.find('=') != std::string::npos) {
    auto equals = result.prefix.find('=');
    pending = find(std::string_view(result.prefix).substr(2, equals - 2));
    result.prefix.erase(0, equals + 1);
    if (pending == nullptr) return result;
  }
  if (pending != nullptr) {
    add_choices(pending->choices);
    result.ask = pending->completes;
    return result;
  }
  if (!literal && result.prefix.starts_with("-")) {
    for (const auto& option : command->options) add(fmt::format("--{}", option.name), option.help);
    for (const auto& option : program.options) add(fmt::format("--{}", option.name), option.help);
    add("--help", "show help");
    return result;
  }
  for (const auto* sub : command->commands)
    if (!sub->hidden) add(std::string(sub->name), sub->summary);
  for (std::size_t i = 0, begin = 0; i < command->positionals.size(); ++i) {
    const auto& spec = command->positionals[i];
    if (positional < begin + static_cast<std::size_t>(spec.most)) {
      add_choices(spec.choices);
      result.ask = spec.completes;
      break;
    }
    begin += static_cast<std::size_t>(spec.most);
  }
  return result;
}

}  // namespace vps::cli
