#include <gmock/gmock.h>

#include "cli/common/escape.h"
#include "cli/common/rates.h"
#include "cli/common/source.h"
#include "cli/common/table.h"
#include "cli/common/text.h"
#include "cli/vpsctl/list_view.h"
#include "cli/vpsctl/show_view.h"

namespace vps::cli {
namespace {

using Words = std::vector<std::string>;

Value json(std::string_view text) { return parse_json(text, "test").value_or(Value("broken test")); }

TEST(Table, AlignsByCharactersNotBytes) {
  Output output(-1, -1);
  Table table({{"NAME"}, {"N", Align::kRight}, {"LAST"}});
  table.add({{"é"}, {"5"}, {"x"}});
  table.add({{"longer"}, {"1000"}, {""}});
  EXPECT_EQ(table.render(output), "NAME       N  LAST\né          5  x\nlonger  1000  -\n");
  EXPECT_EQ(table.render(output, false), "é          5  x\nlonger  1000  -\n");
}

TEST(Table, ShowsControlCharacters) {
  EXPECT_EQ(visible("a\x1b[31mb\nc\x7f\xc2\x9b!"), "a\\x1b[31mb\\x0ac\\x7f\\x9b!");
  EXPECT_EQ(visible("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

TEST(Natural, NumbersInTextCompareAsNumbers) {
  EXPECT_TRUE(natural_less("9", "101"));
  EXPECT_TRUE(natural_less("web-2", "web-10"));
  EXPECT_TRUE(natural_less("101", "web"));
  EXPECT_TRUE(natural_less("a", "a1"));
  EXPECT_FALSE(natural_less("a", "a"));
  EXPECT_TRUE(natural_less("1", "01") != natural_less("01", "1"));
  EXPECT_TRUE(natural_less("99999999999999999999999998", "99999999999999999999999999"));
}

TEST(Text, Durations) {
  EXPECT_EQ(human_duration(0), "0s");
  EXPECT_EQ(human_duration(59.9), "59s");
  EXPECT_EQ(human_duration(60), "1m00s");
  EXPECT_EQ(human_duration(3599), "59m59s");
  EXPECT_EQ(human_duration(3600 + 7 * 60), "1h07m");
  EXPECT_EQ(human_duration(86'400 * 12 + 4 * 3600), "12d04h");
  EXPECT_EQ(human_duration(-1), "-");
}

TEST(Text, Rfc3339) {
  EXPECT_EQ(parse_rfc3339("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_rfc3339("2026-11-22T19:36:47.5Z"), 1'795'376'207'500);
  EXPECT_EQ(parse_rfc3339("2026-11-22T20:36:47.500+01:00"), 1'795'376'207'500);
  EXPECT_EQ(parse_rfc3339("2024-02-29T00:00:00-00:30"), 1'709'166'600'000);
  for (const char* bad : {"", "now", "2026-11-22", "2026-13-01T00:00:00Z", "2025-02-29T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T10:00:00",
                          "2026-11-22T10:00:00Zx", "2026-11-22T10:00:00.Z", "2026-11-22T10:00:00+25:00", "-026-11-22T10:00:00Z"})
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
  EXPECT_EQ(short_time("2026-11-22T19:36:47.5Z"), "2026-11-22 19:36:47");
  EXPECT_EQ(short_time("soon"), "soon");
}

TEST(Rates, BetweenTwoSamples) {
  auto earlier = json(R"({"time":"2026-11-22T10:00:00Z","cpu":{"usageUsec":1000000,"throttledUsec":0},"io":{"readBytes":0,"writeBytes":4096,"readOps":1,"writeOps":2}})");
  auto later = json(R"({"time":"2026-11-22T10:00:02Z","cpu":{"usageUsec":4000000,"throttledUsec":1000000},"io":{"readBytes":2048,"writeBytes":4096,"readOps":5,"writeOps":2}})");
  auto rates = rates_between(earlier, later);
  ASSERT_TRUE(rates);
  EXPECT_DOUBLE_EQ(rates->seconds, 2);
  EXPECT_DOUBLE_EQ(rates->cpu_percent, 150);
  EXPECT_DOUBLE_EQ(rates->throttled_percent, 50);
  EXPECT_DOUBLE_EQ(rates->read, 1024);
  EXPECT_DOUBLE_EQ(rates->written, 0);
  EXPECT_DOUBLE_EQ(rates->read_ops, 2);
  EXPECT_FALSE(rates_between(later, earlier));    // time goes back
  EXPECT_FALSE(rates_between(earlier, earlier));  // none has passed
  auto restarted = json(R"({"time":"2026-11-22T10:00:03Z","cpu":{"usageUsec":5}})");
  EXPECT_FALSE(rates_between(later, restarted));
}

TEST(Escape, OnlyAtTheBeginOfALine) {
  EscapeMachine machine;
  auto step = machine.feed("ls ~.\r");
  EXPECT_EQ(step.forward, "ls ~.\r");
  EXPECT_FALSE(step.leave);
  step = machine.feed("~");
  EXPECT_EQ(step.forward, "");  // not yet known
  step = machine.feed(".rest");
  EXPECT_TRUE(step.leave);
  EXPECT_EQ(step.forward, "");
}

TEST(Escape, AtTheVeryBegin) { EXPECT_TRUE(EscapeMachine().feed("~.").leave); }

TEST(Escape, TildesAndHelp) {
  EscapeMachine machine;
  EXPECT_EQ(machine.feed("~~.").forward, "~.");
  auto step = machine.feed("\n~?~?~x");
  EXPECT_TRUE(step.help);
  EXPECT_EQ(step.forward, "\n~x");
  EXPECT_EQ(machine.feed("\r~\r~.").forward, "\r~\r");
}

TEST(Escape, EveryOtherByteGoesThrough) {
  EscapeMachine machine;
  std::string all;
  for (int c = 0; c < 256; ++c)
    if (c != '~') all += static_cast<char>(c);
  EXPECT_EQ(machine.feed(all).forward, all);
}

TEST(Replay, ShowsOnlyWhatIsNew) {
  EXPECT_EQ(unseen_part("old stuff|new", "stuff|"), "new");
  EXPECT_EQ(unseen_part("a|b|a|c", "a|"), "c");
  EXPECT_EQ(unseen_part("other", "stuff"), "other");
  EXPECT_EQ(unseen_part("all", ""), "all");
  EXPECT_EQ(unseen_part("same", "same"), "");
}

TEST(Source, TopLevelKeys) {
  EXPECT_EQ(top_level_key("# id: 1\nname: x\nid: \"101\" # the id\n", "id"), "101");
  EXPECT_EQ(top_level_key("a:\n  id: 7\n'id' : web-1\n", "id"), "web-1");
  EXPECT_EQ(top_level_key("{\"id\": \"9\"}", "id"), "9");
  EXPECT_EQ(top_level_key("{id: 9}", "id"), std::nullopt);
  EXPECT_EQ(top_level_key("name: x", "id"), std::nullopt);
  EXPECT_EQ(top_level_key("id:\n", "id"), std::nullopt);
}

TEST(Source, WithKeyKeepsAllOtherLinesWhereTheyAre) {
  EXPECT_EQ(with_key("# c\nid: 1 # x\nname: y\n", "id", "2"), "# c\nid: \"2\"\nname: y\n");
  EXPECT_EQ(with_key("name: y", "id", "2"), "name: y\nid: \"2\"\n");
  EXPECT_EQ(with_key("{\"id\":\"1\",\"a\":[]}", "id", "2"), "{\n  \"id\": \"2\",\n  \"a\": []\n}");
  EXPECT_FALSE(with_key("{id: 1}", "id", "2"));
}

std::vector<Value> rows() {
  return json(R"([{"id":"101","name":"web","state":"running","uptime":10,"labels":{"customer":"42"},"addresses":["10.0.0.1","fd00::1"],"memory":1048576,"pid":77},
                  {"id":"9","state":"stopped","uptime":null,"labels":{},"memory":null,"pid":0},
                  {"id":"20","state":"paused","uptime":100,"labels":{"customer":"7"},"memory":{"current":2048}}])")
      .items();
}

Words ids(const std::vector<Value>& list) {
  Words out;
  for (const auto& row : list) out.push_back(row.get("id").string());
  return out;
}

TEST(ListView, Sorts) {
  auto list = rows();
  ASSERT_TRUE(sort_rows(list, "id"));
  EXPECT_EQ(ids(list), (Words{"9", "20", "101"}));
  ASSERT_TRUE(sort_rows(list, "-uptime"));
  EXPECT_EQ(ids(list), (Words{"20", "101", "9"}));  // what is absent comes last in both directions
  ASSERT_TRUE(sort_rows(list, "uptime"));
  EXPECT_EQ(ids(list), (Words{"101", "20", "9"}));
  EXPECT_EQ(sort_rows(list, "colour").error().code(), Code::kUsage);
}

TEST(ListView, Filters) {
  auto matching = [](std::string_view text) {
    auto filter = parse_filter(text);
    EXPECT_TRUE(filter) << text;
    Words out;
    for (const auto& row : rows())
      if (matches(*filter, row)) out.push_back(row.get("id").string());
    return out;
  };
  EXPECT_EQ(matching("state=running"), Words{"101"});
  EXPECT_EQ(matching("state!=running"), (Words{"9", "20"}));
  EXPECT_EQ(matching("labels.customer=4*"), Words{"101"});
  EXPECT_EQ(matching("addresses=fd00*"), Words{"101"});
  EXPECT_EQ(matching("name="), (Words{"9", "20"}));
  EXPECT_FALSE(parse_filter("state"));
  EXPECT_FALSE(parse_filter("=x"));
  EXPECT_FALSE(parse_filter("colour=red"));
}

TEST(ListView, Columns) {
  Output output(-1, -1);
  auto columns = parse_columns("id,state,memory,uptime,pid,labels.customer");
  ASSERT_TRUE(columns);
  EXPECT_EQ(render_list(rows(), *columns, output, true),
            "ID   STATE     MEMORY  UPTIME  PID  labels.customer\n"
            "101  running  1.0 MiB     10s   77  42\n"
            "9    stopped        -       -    -  -\n"
            "20   paused   2.0 KiB   1m40s    -  7\n");
  EXPECT_FALSE(parse_columns("id,,state"));
  EXPECT_FALSE(parse_columns(""));
  EXPECT_FALSE(parse_columns("colour"));
}

TEST(ShowView, SaysWhatEnforcesEachLimitOrWhyNothingDoes) {
  Output output(-1, -1);
  auto text = render_show(json(R"({"definition":{"id":"101","template":"debian-12","onboot":true},
    "status":{"state":"running","ready":true,"pid":4242,"uptime":61,"restartRequired":["hostname"],"exit":null,"error":null},
    "limits":[{"limit":"memory.limit","value":"512M","state":"enforced","file":"memory.max","reason":""},
              {"limit":"io.read","value":"50M","state":"unavailable","file":"","reason":"no io controller"}],
    "usage":{"cpu":{"usageUsec":2000000},"memory":{"current":1048576,"peak":2097152},"pids":{"current":3}},
    "security":{"userNamespace":true,"idmap":{"base":100000,"size":65536},"seccomp":{"profile":"default","allowed":300},"capabilities":["CAP_CHOWN"]},
    "init":{"kind":"systemd","path":"/lib/systemd/systemd"}})"),
                          output);
  for (const char* part : {"VPS 101\n", "state           running, ready\n", "pid             4242\n", "uptime          1m01s\n",
                           "restart needed  hostname\n", "memory.limit  512M   enforced     memory.max\n", "io.read       50M    unavailable  no io controller\n",
                           "memory          1.0 MiB (peak 2.0 MiB)\n", "0-65535 inside are 100000-165535 on the host", "default (300 calls allowed)",
                           "/lib/systemd/systemd (systemd)"})
    EXPECT_THAT(text, testing::HasSubstr(part));
}

TEST(ShowView, SurvivesAnEmptyAnswer) {
  Output output(-1, -1);
  EXPECT_THAT(render_show(Value::object(), output), testing::HasSubstr("none are set"));
}

}  // namespace
}  // namespace vps::cli
