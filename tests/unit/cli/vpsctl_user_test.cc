// vpsctl with an editor, on a terminal, and under completion.
#include <gmock/gmock.h>

#include "base/files.h"
#include "tests/support/pty.h"
#include "tests/unit/cli/vpsctl_fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// An editor for tests: appends a line, or does what its name says.
std::string make_editor(const FakeVpsd& fake, const std::string& script) {
  auto path = fake.dir() / "editor";
  EXPECT_TRUE(write_file_atomic(path, "#!/bin/sh\n" + script + "\n", 0755));
  return path;
}

CommandResult edit(const FakeVpsd& fake, const std::string& editor) {
  auto options = options_for(fake);
  options.env["VISUAL"] = editor;
  auto ran = run({VPSCTL_PROGRAM, "edit", "101"}, options);
  EXPECT_TRUE(ran);
  return ran ? *ran : CommandResult{};
}

std::vector<std::string> leftovers(const FakeVpsd& fake) {
  std::vector<std::string> found;
  for (const auto& name : list_dir(fake.dir().path()).value_or(std::vector<std::string>{}))
    if (name.starts_with("vps-101-")) found.push_back(name);
  return found;
}

TEST(VpsctlEdit, AppliesWhatWasSaved) {
  FakeVpsd fake;
  fake.on("GET /v1/containers/101?format=yaml", "id: \"101\"\n");
  fake.on("PUT /v1/containers/101", R"({"changes":[{"key":"name","from":"","to":"x","effect":"live"}]})");
  auto ran = edit(fake, make_editor(fake, "test \"$1\" = -w && echo 'name: x' >> \"$2\"") + " -w");  // with an argument of its own
  EXPECT_EQ(ran.code, 0) << ran.describe();
  EXPECT_EQ(ran.out, "101: changed\n  name: (not set) -> x (live)\n");
  EXPECT_THAT(fake.requests().back(), StartsWith(R"(PUT /v1/containers/101 {"yaml":"id: \"101\"\nname: x\n","file":")"));
  EXPECT_THAT(leftovers(fake), IsEmpty());
}

TEST(VpsctlEdit, UnchangedIsNothing) {
  FakeVpsd fake;
  fake.on("GET /v1/containers/101?format=yaml", "id: \"101\"\n");
  EXPECT_EQ(edit(fake, make_editor(fake, "true")).out, "101: not changed\n");
  EXPECT_EQ(fake.requests().size(), 1u);
  EXPECT_THAT(leftovers(fake), IsEmpty());
}

TEST(VpsctlEdit, AFailedEditorChangesNothing) {
  FakeVpsd fake;
  fake.on("GET /v1/containers/101?format=yaml", "id: \"101\"\n");
  EXPECT_EQ(edit(fake, make_editor(fake, "echo x >> $1; exit 3")).code, 1);
  EXPECT_EQ(edit(fake, "/nonexistent/editor").err, "vpsctl: edit 101: start the editor /nonexistent/editor: No such file or directory\n");
  EXPECT_EQ(fake.requests().size(), 2u);
  EXPECT_THAT(leftovers(fake), IsEmpty());
}

TEST(VpsctlEdit, AnErrorKeepsTheText) {
  FakeVpsd fake;
  fake.on("GET /v1/containers/101?format=yaml", "id: \"101\"\n");
  fake.on("PUT /v1/containers/101", Answer{.status = 400, .body = error_json("usage", "x.yaml:2: nmae: unknown key")});
  auto ran = edit(fake, make_editor(fake, "echo 'nmae: x' >> $1"));
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("vpsctl: edit 101: x.yaml:2: nmae: unknown key\nvpsctl: nothing is changed; your text is kept in "));
  ASSERT_EQ(leftovers(fake).size(), 1u);
  EXPECT_EQ(read_file(fake.dir() / leftovers(fake)[0]).value_or(""), "id: \"101\"\nnmae: x\n");
}

TEST(VpsctlEdit, SomebodyElsesChangeIsNotUndone) {
  FakeVpsd fake;
  fake.on("GET /v1/containers/101?format=yaml", "id: \"101\"\n");
  fake.on("GET /v1/containers/101?format=yaml", "id: \"101\"\nname: other\n");
  auto ran = edit(fake, make_editor(fake, "echo 'name: x' >> $1"));
  EXPECT_EQ(ran.code, 7);
  EXPECT_EQ(leftovers(fake).size(), 1u);
}

TEST(VpsctlEdit, OnATerminalTheEditorOpensAgain) {
  FakeVpsd fake;
  fake.on("GET /v1/containers/101?format=yaml", "id: \"101\"\n");
  fake.on("PUT /v1/containers/101", Answer{.status = 400, .body = error_json("usage", "no such key")});
  fake.on("PUT /v1/containers/101", R"({"changes":[{"key":"name","from":"","to":"x","effect":"live"}]})");
  auto options = options_for(fake);
  options.env["EDITOR"] = make_editor(fake, "echo 'name: x' >> $1");
  auto pty = Pty::start({VPSCTL_PROGRAM, "edit", "101"}, {}, options);
  ASSERT_TRUE(pty);
  auto asked = pty->read_until("Edit again? [Y/n] ");
  ASSERT_TRUE(asked) << asked.error().to_string();
  EXPECT_THAT(*asked, HasSubstr("no such key"));
  ASSERT_TRUE(pty->write("\n"));
  auto status = pty->finish();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 0) << pty->transcript();
  EXPECT_THAT(fake.requests().back(), HasSubstr("name: x\\nname: x\\n"));
}

TEST(VpsctlCompletion, KnowsIdsAndTemplates) {
  FakeVpsd fake;
  fake.on("GET /v1/containers?all=1", R"([{"id":"101","name":"web","state":"running"},{"id":"102","name":"","state":"stopped"}])");
  fake.on("GET /v1/templates", R"([{"name":"debian-12","distribution":"debian 12"}])");
  EXPECT_EQ(vpsctl(fake, {"__complete", "start", "10"}).out, "101\trunning\n102\tstopped\n:none\n");
  EXPECT_EQ(vpsctl(fake, {"__complete", "start", "w"}).out, "web\trunning\n:none\n");
  EXPECT_EQ(vpsctl(fake, {"__complete", "create", "--template", ""}).out, "debian-12\tdebian 12\n:none\n");
  EXPECT_EQ(vpsctl(fake, {"__complete", "apply", "-f", "/"}).out, ":file\n");
  FakeVpsd away;
  away.stop();
  auto silent = vpsctl(away, {"__complete", "start", ""});
  EXPECT_EQ(silent.out, ":none\n");
  EXPECT_EQ(silent.err, "");
}

TEST(VpsctlCompletion, BashCompletes) {
  FakeVpsd fake;
  fake.on("GET /v1/containers?all=1", R"([{"id":"101","state":"running"}])");
  auto script = fake.dir() / "complete.sh";
  auto program = std::string(VPSCTL_PROGRAM);
  ASSERT_TRUE(write_file_atomic(script, "PATH=" + program.substr(0, program.rfind('/')) +
                                            ":$PATH\nsource <(vpsctl completion bash)\ncompopt() { :; }\n"
                                            "try() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _vpsctl; echo \"${COMPREPLY[*]}\"; }\n"
                                            "try vpsctl res\ntry vpsctl start 1\ntry vpsctl -o y\ntry vpsctl stop --ti\n"));
  auto ran = run({"bash", script}, options_for(fake));
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->out, "restart resume\n101\nyaml\n--timeout\n") << ran->describe();
}

// A shell script's directory and first words: the program under test by its name.
std::string path_to_vpsctl() {
  std::string program = VPSCTL_PROGRAM;
  return "PATH=" + program.substr(0, program.rfind('/')) + ":$PATH\n";
}

TEST(VpsctlCompletion, FishCompletes) {
  FakeVpsd fake;
  fake.on("GET /v1/containers?all=1", R"([{"id":"101","state":"running"}])");
  auto script = fake.dir() / "fish.sh";
  ASSERT_TRUE(write_file_atomic(script, path_to_vpsctl() + "command -v fish >/dev/null || exit 99\nexport HOME=" + fake.dir().path() +
                                            "\nvpsctl completion fish > $HOME/c.fish\n"
                                            "exec fish -c \"source $HOME/c.fish; complete -C 'vpsctl start 1'; complete -C 'vpsctl res'\"\n"));
  auto ran = run({"/bin/sh", script}, options_for(fake));
  ASSERT_TRUE(ran);
  if (ran->code == 99) GTEST_SKIP() << "fish is not installed";
  EXPECT_EQ(ran->out, "101\trunning\nrestart\tstop VPSes and start them again\nresume\tlet the processes of paused VPSes go on\n") << ran->describe();
}

TEST(VpsctlCompletion, ZshCompletes) {
  FakeVpsd fake;
  fake.on("GET /v1/containers?all=1", R"([{"id":"101","state":"running"}])");
  auto script = fake.dir() / "zsh.sh";
  ASSERT_TRUE(write_file_atomic(script, path_to_vpsctl() + "export PATH\ncommand -v zsh >/dev/null || exit 99\nvpsctl completion zsh > $TMPDIR/_vpsctl\nexec zsh -f -i\n"));
  auto pty = Pty::start({"/bin/sh", script}, {}, options_for(fake));
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->write("autoload -U compinit; compinit -u -D; source $TMPDIR/_vpsctl; PS1=; echo rea''dy\n"));
  auto ready = pty->read_until("ready\r\n");
  if (!ready && pty->finish().value_or(ExitStatus{}).code == 99) GTEST_SKIP() << "zsh is not installed";
  ASSERT_TRUE(ready);
  ASSERT_TRUE(pty->write("vpsctl start 1\t"));
  EXPECT_TRUE(pty->read_until("start 101"));
  ASSERT_TRUE(pty->write("\x15vpsctl stop --ti\t"));
  EXPECT_TRUE(pty->read_until("--timeout"));
}

TEST(VpsctlCompletion, AsksTheSocketThatTheWordsName) {
  FakeVpsd named;
  FakeVpsd other;
  named.on("GET /v1/containers?all=1", R"([{"id":"101","state":"running"}])");
  EXPECT_EQ(vpsctl(other, {"__complete", "--socket", named.socket(), "start", ""}).out, "101\trunning\n:none\n");
  EXPECT_EQ(vpsctl(other, {"__complete", "--socket=" + named.socket(), "start", ""}).out, "101\trunning\n:none\n");
}

TEST(VpsctlTerminal, ProgressOnlyThere) {
  FakeVpsd fake;
  fake.on("POST /v1/containers/101/start", R"({"id":"op-1","status":"running","percent":40,"step":"unpack"})");
  fake.on("GET /v1/operations/op-1?wait=60&percent=40&step=unpack", R"({"id":"op-1","status":"done"})");
  auto pty = Pty::start({VPSCTL_PROGRAM, "start", "101"}, {}, options_for(fake));
  ASSERT_TRUE(pty);
  auto status = pty->finish();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 0);
  EXPECT_EQ(pty->transcript(), "\rstart 101: 40% unpack\x1b[K\r\x1b[K101: started\r\n");
}

TEST(VpsctlTerminal, ColoursUnlessUnwanted) {
  FakeVpsd fake;
  fake.on("GET /v1/containers", R"([{"id":"101","state":"running"}])");
  auto options = options_for(fake);
  auto transcript = [&](const std::string& term = "TERM=xterm") {
    auto pty = Pty::start({"env", term, VPSCTL_PROGRAM, "list", "-H", "-c", "id,state"}, {}, options);
    EXPECT_TRUE(pty && pty->finish());
    return pty ? pty->transcript() : "";
  };
  EXPECT_EQ(transcript(), "101  \x1b[32mrunning\x1b[0m\r\n");
  options.env["NO_COLOR"] = "1";
  EXPECT_EQ(transcript(), "101  running\r\n");
  options.env["NO_COLOR"] = "";
  EXPECT_EQ(transcript("TERM=dumb"), "101  running\r\n");
}

TEST(VpsctlTerminal, TopEndsWithTheTerminalAsItWas) {
  FakeVpsd fake;
  fake.on("GET /v1/stats", R"([{"id":"101","time":"2026-11-22T10:00:00Z","cpu":{"usageUsec":0},"memory":{"current":1048576},"pids":{"current":3}}])");
  auto pty = Pty::start({VPSCTL_PROGRAM, "top", "--interval", "100ms"}, {}, options_for(fake));
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("1.0 MiB"));
  EXPECT_TRUE(pty->raw());
  ASSERT_TRUE(pty->write("q"));
  auto status = pty->finish();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 0);
  EXPECT_FALSE(pty->raw());
  EXPECT_TRUE(pty->transcript().ends_with("\x1b[?25h\x1b[?1049l")) << pty->transcript();
}

}  // namespace
}  // namespace vps::test
