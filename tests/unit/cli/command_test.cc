#include <gmock/gmock.h>

#include "cli/common/command.h"
#include "cli/common/completion.h"
#include "cli/common/context.h"
#include "cli/vpsctl/commands.h"
#include "base/files.h"
#include "tests/support/command.h"
#include "tests/support/temp_dir.h"

namespace vps::cli {
namespace {

using Words = std::vector<std::string>;

Arguments good(const Words& words) {
  auto parsed = parse_command_line(kProgram, words);
  EXPECT_TRUE(parsed) << testing::PrintToString(words) << ": " << (parsed ? "" : parsed.error().to_string());
  return parsed ? *parsed : Arguments();
}

std::string bad(const Words& words) {
  auto parsed = parse_command_line(kProgram, words);
  EXPECT_FALSE(parsed) << testing::PrintToString(words);
  if (parsed) return {};
  EXPECT_EQ(parsed.error().code(), Code::kUsage);
  EXPECT_EQ(parsed.error().message().find('\n'), std::string::npos);
  return parsed.error().message();
}

TEST(CommandLine, AllFormsOfAValue) {
  for (const Words& words : {Words{"stop", "--timeout", "5s", "101"}, Words{"stop", "--timeout=5s", "101"}, Words{"stop", "101", "--timeout", "5s"}}) {
    auto arguments = good(words);
    EXPECT_EQ(*arguments.value("timeout"), "5s");
    EXPECT_EQ(arguments.positionals(), Words{"101"});
  }
  EXPECT_EQ(*good({"exec", "-uwww", "101", "id"}).value("user"), "www");
  EXPECT_EQ(*good({"stop", "--timeout=", "101"}).value("timeout"), "");
}

TEST(CommandLine, GlobalOptionsStandAnywhere) {
  for (const Words& words : {Words{"-o", "json", "list"}, Words{"list", "-ojson"}, Words{"--output=json", "list"}, Words{"list", "--output", "json"}})
    EXPECT_EQ(*good(words).value("output"), "json") << testing::PrintToString(words);
}

TEST(CommandLine, GroupedFlagsAndRepeatedOptions) {
  auto arguments = good({"exec", "-tie", "A=1", "-e", "B=2", "101", "sh"});
  EXPECT_TRUE(arguments.flag("tty"));
  EXPECT_TRUE(arguments.flag("interactive"));
  EXPECT_EQ(arguments.values("env"), (Words{"A=1", "B=2"}));
}

TEST(CommandLine, WhatFollowsTheVpsBelongsToTheCommandInIt) {
  EXPECT_EQ(good({"exec", "101", "ls", "-l", "--help"}).positionals(), (Words{"101", "ls", "-l", "--help"}));
  EXPECT_EQ(good({"exec", "101", "--", "ls", "--", "-t"}).positionals(), (Words{"101", "ls", "--", "-t"}));
  auto late = good({"exec", "101", "-t", "sh", "-c", "id"});
  EXPECT_TRUE(late.flag("tty"));
  EXPECT_EQ(late.positionals(), (Words{"101", "sh", "-c", "id"}));
  EXPECT_EQ(good({"exec", "101", "--", "--", "x"}).positionals(), (Words{"101", "--", "x"}));
}

TEST(CommandLine, DashesEndOptions) { EXPECT_EQ(good({"show", "--", "-x"}).positionals(), Words{"-x"}); }

TEST(CommandLine, HelpNeedsNothingElse) {
  auto arguments = good({"create", "--help"});
  EXPECT_TRUE(arguments.help());
  EXPECT_EQ(arguments.command_path(), "create");
  EXPECT_EQ(good({"template", "build", "-h"}).command_path(), "template build");
}

TEST(CommandLine, EveryMistakeIsOneClearLine) {
  EXPECT_EQ(bad({}), "no command given (see vpsctl --help)");
  EXPECT_EQ(bad({"strat"}), "unknown command 'strat', did you mean start? (see vpsctl --help)");
  EXPECT_EQ(bad({"frobnicate"}), "unknown command 'frobnicate' (see vpsctl --help)");
  EXPECT_EQ(bad({"stop", "--tiemout", "5", "1"}), "unknown option --tiemout, did you mean --timeout? (see vpsctl stop --help)");
  EXPECT_EQ(bad({"stop", "-Z", "1"}), "unknown option -Z (see vpsctl stop --help)");
  EXPECT_EQ(bad({"stop", "--force=yes", "1"}), "--force takes no value (see vpsctl stop --help)");
  EXPECT_EQ(bad({"stop", "1", "--timeout"}), "--timeout needs a value: DURATION (see vpsctl stop --help)");
  EXPECT_EQ(bad({"list", "-o", "xml"}), "-o xml: expected table, json, yaml, name or csv (see vpsctl list --help)");
  EXPECT_EQ(bad({"stop", "--timeout", "1s", "--timeout", "2s", "1"}), "--timeout is given twice (see vpsctl stop --help)");
  EXPECT_EQ(bad({"show"}), "missing ID (see vpsctl show --help)");
  EXPECT_EQ(bad({"set", "1"}), "missing KEY=VALUE (see vpsctl set --help)");
  EXPECT_EQ(bad({"show", "1", "2"}), "unexpected argument '2' (see vpsctl show --help)");
  EXPECT_EQ(bad({"set", "1", "a=b", "--live", "--saved"}), "--live and --saved exclude each other (see vpsctl set --help)");
  EXPECT_EQ(bad({"completion", "tcsh"}), "'tcsh': expected bash, zsh or fish (see vpsctl completion --help)");
  EXPECT_EQ(bad({"template"}), "expected build, import, list, show or remove (see vpsctl template --help)");
  EXPECT_EQ(bad({"exec", "101"}), "missing COMMAND (see vpsctl exec --help)");
}

TEST(CommandLine, AnErrorStillTellsTheFormatThatWasAskedFor) {
  Arguments so_far;
  EXPECT_FALSE(parse_command_line(kProgram, Words{"-o", "json", "stop", "--nope"}, &so_far));
  EXPECT_EQ(so_far.value_or("output", ""), "json");
  EXPECT_EQ(so_far.command().name, "stop");
}

Words completed(const Words& words) {
  Words texts;
  for (const auto& candidate : complete(kProgram, words).known) texts.push_back(candidate.text);
  return texts;
}

TEST(Complete, FollowsTheTable) {
  EXPECT_EQ(completed({"res"}), (Words{"restart", "resume"}));
  EXPECT_THAT(completed({""}), testing::Not(testing::Contains("__complete")));
  EXPECT_EQ(completed({"template", "s"}), Words{"show"});
  EXPECT_EQ(completed({"stop", "--ti"}), Words{"--timeout"});
  EXPECT_EQ(completed({"-o", "j"}), Words{"json"});
  EXPECT_EQ(completed({"list", "--output=y"}), Words{"yaml"});
  EXPECT_EQ(completed({"completion", ""}), (Words{"bash", "zsh", "fish"}));
  EXPECT_EQ(completed({"nonsense", ""}), Words{});
}

TEST(Complete, AsksForWhatTheTableDoesNotKnow) {
  EXPECT_EQ(complete(kProgram, Words{"start", ""}).ask, Completion::kVps);
  EXPECT_EQ(complete(kProgram, Words{"start", "101", ""}).ask, Completion::kVps);
  EXPECT_EQ(complete(kProgram, Words{"show", "101", ""}).ask, Completion::kNone);
  EXPECT_EQ(complete(kProgram, Words{"create", "101", "--template", ""}).ask, Completion::kTemplate);
  EXPECT_EQ(complete(kProgram, Words{"create", "101", "-t", ""}).ask, Completion::kTemplate);
  EXPECT_EQ(complete(kProgram, Words{"apply", "--file=/e"}).ask, Completion::kFile);
  EXPECT_EQ(complete(kProgram, Words{"apply", "--file=/e"}).prefix, "/e");
  EXPECT_EQ(complete(kProgram, Words{"exec", "--", ""}).ask, Completion::kVps);
}

TEST(Complete, ScriptsNameTheProgramOnly) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    auto script = completion_script(shell, "vpsctl");
    EXPECT_THAT(script, testing::HasSubstr("vpsctl __complete")) << shell;
    EXPECT_THAT(script, testing::Not(testing::HasSubstr("@"
                                                        "PROGRAM")));
  }
  EXPECT_EQ(completion_script("tcsh", "vpsctl"), "");
}

void check_words(const CommandSpec& command) {
  EXPECT_FALSE(command.summary.empty()) << command.name;
  EXPECT_FALSE(command.description.empty()) << command.name;
  EXPECT_TRUE(command.description.ends_with('.')) << command.name;
  EXPECT_TRUE(command.run != nullptr || !command.commands.empty()) << command.name;
  for (const auto& option : command.options) {
    EXPECT_FALSE(option.help.empty()) << command.name << " --" << option.name;
    EXPECT_FALSE(option.help.ends_with('.')) << command.name << " --" << option.name;
    // A letter or name must not hide a global one.
    for (const auto& global : kProgram.options) {
      EXPECT_NE(option.name, global.name) << command.name;
      if (option.letter != 0) {
        EXPECT_NE(option.letter, global.letter) << command.name << " -" << option.letter;
      }
    }
    EXPECT_NE(option.letter, 'h') << command.name;
  }
  for (const auto* sub : command.commands) check_words(*sub);
}

TEST(Table, EveryCommandAndOptionIsExplained) {
  for (const auto* command : kProgram.commands) check_words(*command);
}

TEST(Table, HelpNamesEveryOptionAndFitsTheScreen) {
  for (const auto* command : kProgram.commands) {
    auto text = help_text(kProgram, *command, command->name, 80);
    for (const auto& option : command->options) EXPECT_THAT(text, testing::HasSubstr(std::string("--") + std::string(option.name)));
    for (std::size_t begin = 0; begin < text.size();) {
      auto end = text.find('\n', begin);
      auto line = text.substr(begin, end - begin);
      if (!line.starts_with("  vpsctl ")) {  // an example stays on its line
        EXPECT_LE(line.size(), 80u) << line;
      }
      begin = end + 1;
    }
  }
}

std::string unescaped(std::string_view page) {
  std::string out;
  for (std::size_t i = 0; i < page.size(); ++i) {
    if (page[i] == '\\' && i + 1 < page.size() && (page[i + 1] == '-' || page[i + 1] == '&')) {
      if (page[i + 1] == '&') ++i;
      continue;
    }
    out += page[i];
  }
  return out;
}

void check_page(const CommandSpec& command, std::string_view page) {
  for (const auto& option : command.options)
    EXPECT_NE(page.find(fmt::format("Fl -{}", option.name)), std::string_view::npos) << command.name << " --" << option.name;
  for (const auto& positional : command.positionals)
    EXPECT_NE(page.find(fmt::format("Ar {}", positional.name)), std::string_view::npos) << command.name << " " << positional.name;
  for (const auto* sub : command.commands) check_page(*sub, page);
}

TEST(ManPages, NameEveryOptionAndArgument) {
  for (const auto* command : kProgram.commands) {
    if (command->hidden) continue;
    check_page(*command, unescaped(man_page(kProgram, *command, command->name, "January 1, 2026")));
    EXPECT_THAT(man_page(kProgram, kProgram, "", "January 1, 2026"), testing::HasSubstr(fmt::format(".Xr vpsctl-{} 1", command->name)));
  }
}

TEST(ManPages, HaveNothingForMandocToSay) {
  test::TempDir dir;
  test::Argv argv{"mandoc", "-Tlint"};
  auto add = [&](const CommandSpec& command, std::string_view path) {
    auto file = dir / fmt::format("{}.1", path.empty() ? "vpsctl" : path);
    ASSERT_TRUE(write_file_atomic(file, man_page(kProgram, command, path, "January 1, 2026")));
    argv.push_back(file);
  };
  add(kProgram, "");
  for (const auto* command : kProgram.commands)
    if (!command->hidden) add(*command, command->name);
  auto ran = test::run(argv);
  if (!ran) GTEST_SKIP() << "mandoc is not installed: " << ran.error().to_string();
  std::string said;
  for (std::size_t begin = 0; begin < ran->out.size();) {
    auto end = std::min(ran->out.find('\n', begin), ran->out.size());
    auto line = ran->out.substr(begin, end - begin);
    // It looks for other pages where they are installed, which ours are not yet.
    if (line.find("referenced manual not found") == std::string::npos) said += line + "\n";
    begin = end + 1;
  }
  EXPECT_EQ(said, "");
}

}  // namespace
}  // namespace vps::cli
