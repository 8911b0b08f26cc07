#include "specs/oci/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "specs/oci/json_fields.h"
#include "specs/oci/json_scan.h"

namespace vps::oci {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kSmallest = R"({"ociVersion":"1.3.0"})";

std::string error_of(std::string_view text) {
  auto spec = parse_spec(text);
  if (spec) return "no error";
  EXPECT_EQ(spec.error().code(), Code::kUsage);
  return spec.error().to_string();
}

// One value at a place of an otherwise good config.json.
std::string error_with(std::string_view member) {
  return error_of(R"({"ociVersion":"1.3.0",)" + std::string(member) + "}");
}

TEST(OciJson, SmallestSpec) {
  auto spec = parse_spec(kSmallest);
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_EQ(*spec, Spec{});
  EXPECT_FALSE(spec->process);
  EXPECT_FALSE(spec->linux_);
}

TEST(OciJson, ReadsValuesOfEveryKind) {
  auto spec = parse_spec(R"({
    "ociVersion": "1.0.2-dev",
    "process": {"terminal": true, "consoleSize": {"height": 25, "width": 80}, "user": {"uid": 7, "gid": 8, "umask": 18, "additionalGids": [5, 6]},
      "args": ["sh", "-c", "é"], "env": ["A=b"], "cwd": "/", "oomScoreAdj": -5,
      "capabilities": {"bounding": ["CAP_CHOWN"], "ambient": null},
      "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 18446744073709551615, "hard": 1}]},
    "linux": {"resources": {"memory": {"limit": -1, "disableOOMKiller": false}, "unified": {"memory.high": "1"},
        "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": -1}]},
      "timeOffsets": {"monotonic": {"secs": -9, "nanosecs": 3}}, "netDevices": {"eth1": {}, "eth2": {"name": "lan"}},
      "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [{"names": ["clone"], "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}]}},
    "annotations": {"a.b/c": "d"}})");
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_EQ(spec->oci_version, "1.0.2-dev");
  const auto& process = spec->process.value();
  EXPECT_TRUE(process.terminal);
  EXPECT_EQ(process.console_size.value().width, 80U);
  EXPECT_EQ(process.user.umask, 18U);
  EXPECT_THAT(process.user.additional_gids, ElementsAre(5, 6));
  EXPECT_THAT(process.args, ElementsAre("sh", "-c", "é"));
  EXPECT_EQ(process.oom_score_adj, -5);
  EXPECT_TRUE(process.capabilities.value().ambient.empty());
  EXPECT_EQ(process.rlimits.at(0).soft, UINT64_MAX);
  const auto& lx = spec->linux_.value();
  const auto& resources = lx.resources.value();
  EXPECT_EQ(resources.memory.value().limit, -1);
  EXPECT_EQ(resources.memory.value().disable_oom_killer, false);  // present, unlike use_hierarchy
  EXPECT_EQ(resources.memory.value().use_hierarchy, std::nullopt);
  EXPECT_EQ(resources.devices.at(0).major, std::nullopt);
  EXPECT_EQ(resources.devices.at(1).minor, -1);
  EXPECT_EQ(resources.unified.at("memory.high"), "1");
  EXPECT_EQ(lx.time_offsets.at("monotonic").secs, -9);
  EXPECT_EQ(lx.net_devices.at("eth1").name, "");
  EXPECT_EQ(lx.net_devices.at("eth2").name, "lan");
  EXPECT_EQ(lx.seccomp.value().syscalls.at(0).args.at(0).value, 2114060288U);
  EXPECT_EQ(spec->annotations.at("a.b/c"), "d");
}

TEST(OciJson, UnknownKeysAreIgnoredAndNullIsAbsent) {
  auto spec = parse_spec(R"({"ociVersion":"1.3.0","zos":{"x":[1,{"y":2.5}]},"process":null,"linux":null,"mounts":null,"hostname":null})");
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_EQ(*spec, Spec{});
}

TEST(OciJson, WrongTypesNameTheirPath) {
  EXPECT_EQ(error_of("[]"), "expected an object, found an array");
  EXPECT_EQ(error_of(R"({"ociVersion":1})"), "ociVersion: expected a string, found a number");
  EXPECT_EQ(error_with(R"("process":{"cwd":"/","rlimits":[{"type":"RLIMIT_CPU","soft":"x","hard":1}]})"),
            "process.rlimits[0].soft: expected an unsigned number, found a string");
  EXPECT_EQ(error_with(R"("process":{"cwd":"/","terminal":1})"), "process.terminal: expected true or false, found a number");
  EXPECT_EQ(error_with(R"("process":{"cwd":"/","args":"sh"})"), "process.args: expected an array, found a string");
  EXPECT_EQ(error_with(R"("process":{"cwd":"/","args":["a",{}]})"), "process.args[1]: expected a string, found an object");
  EXPECT_EQ(error_with(R"("mounts":[{"destination":"/"},[]])"), "mounts[1]: expected an object, found an array");
  EXPECT_EQ(error_with(R"("annotations":{"k":1})"), "annotations.k: expected a string, found a number");
  EXPECT_EQ(error_with(R"("annotations":[])"), "annotations: expected an object, found an array");
  EXPECT_EQ(error_with(R"("linux":{"resources":{"cpu":{"quota":1.5}}})"),
            "linux.resources.cpu.quota: expected a whole number, found a number with a fraction or exponent");
}

TEST(OciJson, NumbersOutOfRangeAreRefused) {
  EXPECT_EQ(error_with(R"("process":{"cwd":"/","user":{"uid":-1,"gid":0}})"), "process.user.uid: -1 is not within 0..4294967295");
  EXPECT_EQ(error_with(R"("process":{"cwd":"/","user":{"uid":4294967296,"gid":0}})"),
            "process.user.uid: 4294967296 is not within 0..4294967295");
  EXPECT_EQ(error_with(R"("process":{"cwd":"/","user":{"uid":4294967295,"gid":0}})"), "no error");
  EXPECT_EQ(error_with(R"("linux":{"resources":{"memory":{"limit":9223372036854775808}}})"),
            "linux.resources.memory.limit: 9223372036854775808 is not within -9223372036854775808..9223372036854775807");
  EXPECT_EQ(error_with(R"("linux":{"resources":{"memory":{"limit":9223372036854775807}}})"), "no error");
  EXPECT_EQ(error_with(R"("linux":{"resources":{"blockIO":{"weight":65536}}})"),
            "linux.resources.blockIO.weight: 65536 is not within 0..65535");
  EXPECT_THAT(error_with(R"("linux":{"resources":{"cpu":{"shares":18446744073709551616}}})"),
              HasSubstr("linux.resources.cpu.shares: expected an unsigned number"));
}

TEST(OciJson, RequiredKeysAreMissed) {
  EXPECT_EQ(error_of("{}"), "ociVersion: missing");
  EXPECT_EQ(error_of(R"({"ociVersion":null})"), "ociVersion: missing");
  EXPECT_EQ(error_with(R"("process":{"args":["a"]})"), "process.cwd: missing");
  EXPECT_EQ(error_with(R"("root":{})"), "root.path: missing");
  EXPECT_EQ(error_with(R"("mounts":[{}])"), "mounts[0].destination: missing");
  EXPECT_EQ(error_with(R"("hooks":{"poststop":[{"args":["x"]}]})"), "hooks.poststop[0].path: missing");
  EXPECT_EQ(error_with(R"("linux":{"namespaces":[{"path":"/x"}]})"), "linux.namespaces[0].type: missing");
  EXPECT_EQ(error_with(R"("linux":{"uidMappings":[{"containerID":0,"hostID":1}]})"), "linux.uidMappings[0].size: missing");
  EXPECT_EQ(error_with(R"("linux":{"seccomp":{}})"), "linux.seccomp.defaultAction: missing");
  EXPECT_EQ(error_with(R"("linux":{"resources":{"devices":[{}]}})"), "linux.resources.devices[0].allow: missing");
}

TEST(OciJson, TextThatIsNotJson) {
  EXPECT_THAT(error_of(""), HasSubstr("not JSON: parse error at line 1"));
  EXPECT_THAT(error_of("{\n\"ociVersion\": }"), HasSubstr("line 2"));
  EXPECT_THAT(error_of(R"({"ociVersion":"1.3.0"} x)"), HasSubstr("not JSON"));
  EXPECT_THAT(error_of(R"({"ociVersion":"1.3.0)"), HasSubstr("not JSON"));
  EXPECT_THAT(error_of("{\"ociVersion\":\"\xff\"}"), HasSubstr("not JSON"));
  EXPECT_THAT(error_of(R"({"ociVersion":1e999})"), HasSubstr("not JSON"));
  EXPECT_LT(error_of("\"" + std::string(100000, 'x')).size(), 300U);
}

// The reader of our own and the library's must agree on every text, floating point aside, which ours leaves to the library.
TEST(OciJson, ScannerAgreesWithTheLibrary) {
  const std::string sample = R"({"a":[1,-2,0,18446744073709551615,-9223372036854775808,true,false,null,"x\"\\\/\b\f\n\r\t"],
      "\u0041\u00e9\u20ac\ud83d\ude00":"é€😀",  "" : { } , "b" :[ ]})";
  auto agree = [](const std::string& text) {
    nlohmann::json ours;
    nlohmann::detail::json_sax_dom_parser<nlohmann::json> handler(ours, false);
    bool accepted = JsonScanner(text, handler).run();
    auto library = nlohmann::json::parse(text, nullptr, false);
    EXPECT_TRUE(!accepted || (!library.is_discarded() && ours == library)) << text;
    bool number = text.find_first_of(".eE0123456789") != std::string::npos;
    EXPECT_TRUE(accepted || number || library.is_discarded()) << text;
    return accepted;
  };
  ASSERT_TRUE(agree(sample));
  for (const char* text : {"", " ", "[", "]", "{\"a\"}", "{\"a\":}", "[1,]", "[01]", "[-]", "[1 2]", "tru", "nul", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"",
                           "\"\\ud800\\u0041\"", "\"\\x\"", "\"a", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\x01\"", "1x", "{} {}", "\"\\"})
    EXPECT_FALSE(agree(text)) << text;
  for (const char* text : {"1.5", "1e3", "18446744073709551616", "-9223372036854775809"}) EXPECT_FALSE(agree(text)) << text;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    (void)agree(sample.substr(0, i));
    for (char c : {'"', '\\', '{', '}', '[', ']', ',', ':', ' ', 'x', '\0', '\x80', '\xff'}) {
      std::string changed = sample;
      changed[i] = c;
      (void)agree(changed);
    }
  }
}

TEST(OciJson, NulCharactersAreRefused) {
  EXPECT_EQ(error_with(R"("process":{"cwd":"/","args":["sh\u0000evil"]})"), "process.args[0]: contains a NUL character");
  EXPECT_EQ(error_with(R"("annotations":{"a\u0000":"b"})"), "annotations: a key contains a NUL character");
}

TEST(OciJson, DuplicateKeysAreRefused) {
  EXPECT_EQ(error_of(R"({"ociVersion":"1.3.0","ociVersion":"1.2.0"})"), "key 'ociVersion' stands twice");
  EXPECT_EQ(error_with(R"("process":{"cwd":"/","env":[],"cwd":"/x"})"), "process: key 'cwd' stands twice");
  EXPECT_EQ(error_with(R"("linux":{"namespaces":[{"type":"uts"},{"type":"pid","type":"user"}]})"),
            "linux.namespaces[1]: key 'type' stands twice");
}

std::string nested(std::size_t levels, char open, char close) {
  return std::string(levels, open) + std::string(levels, close);
}

TEST(OciJson, DepthLimit) {
  // The document itself is level 1.
  EXPECT_EQ(error_with(R"("extra":)" + nested(63, '[', ']')), "no error");
  EXPECT_THAT(error_with(R"("extra":)" + nested(64, '[', ']')), HasSubstr("extra[0][0]"));
  EXPECT_THAT(error_with(R"("extra":)" + nested(64, '[', ']')), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(error_of(nested(1'000'000, '[', ']')), HasSubstr("nested deeper than 64 levels"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
  EXPECT_THAT(error_of(objects), HasSubstr("nested deeper than 64 levels"));
}

TEST(OciJson, SizeLimit) {
  std::string text = R"({"ociVersion":"1.3.0"})";
  text.append((16u << 20) - text.size(), ' ');
  EXPECT_TRUE(parse_spec(text));
  text += ' ';
  EXPECT_EQ(error_of(text), "larger than the limit of 16 MiB (16777217 bytes)");
}

TEST(OciJson, LongPathsAreClipped) {
  EXPECT_LT(error_with(R"("annotations":{")" + std::string(5000, 'k') + R"(":1})").size(), 300U);
}

TEST(OciJson, PartsHaveTheirOwnReaders) {
  auto process = parse_process(R"({"args":["id"],"cwd":"/tmp","user":{"uid":3}})");
  ASSERT_TRUE(process) << process.error().to_string();
  EXPECT_EQ(process->user.uid, 3U);
  EXPECT_EQ(parse_process(format_process(*process)).value(), *process);
  EXPECT_EQ(parse_process("{}").error().to_string(), "process.cwd: missing");

  auto resources = parse_resources(R"({"memory":{"limit":5},"pids":{"limit":9},"rdma":{"mlx":{"hcaHandles":3}}})");
  ASSERT_TRUE(resources) << resources.error().to_string();
  EXPECT_EQ(resources->pids.value().limit, 9);
  EXPECT_EQ(parse_resources(format_resources(*resources)).value(), *resources);
  EXPECT_EQ(parse_resources(R"({"memory":{"limit":"5"}})").error().to_string(),
            "resources.memory.limit: expected a whole number, found a string");

  auto seccomp = parse_seccomp(R"({"defaultAction":"SCMP_ACT_ALLOW"})");
  ASSERT_TRUE(seccomp) << seccomp.error().to_string();
  EXPECT_EQ(parse_seccomp(format_seccomp(*seccomp)).value(), *seccomp);
  EXPECT_EQ(parse_seccomp("3").error().to_string(), "seccomp: expected an object, found a number");
}

TEST(OciJson, PresentButEmptyStaysPresent) {
  Spec spec;
  spec.process.emplace();
  spec.linux_.emplace();
  spec.linux_->resources.emplace();
  spec.linux_->resources->memory.emplace().limit = 0;
  spec.hooks.emplace();
  auto again = parse_spec(format_spec(spec));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(*again, spec);
  EXPECT_NE(*again, Spec{});
}

TEST(OciJson, TextThatIsNotUtf8IsReplacedOnWriting) {
  Spec spec;
  spec.hostname = "a\xff";
  EXPECT_EQ(parse_spec(format_spec(spec)).value().hostname, "a\xef\xbf\xbd");
}

// Every file of specs/examples reads, and says the same after a round trip.
TEST(OciJson, ExamplesRoundTrip) {
  const std::string dir = "../../../specs/examples";
  auto names = list_dir(dir);
  ASSERT_TRUE(names);
  int seen = 0;
  for (const auto& name : *names) {
    if (!name.ends_with(".json")) continue;
    ++seen;
    auto spec = parse_spec(read_file(dir + "/" + name).value());
    ASSERT_TRUE(spec) << name << ": " << spec.error().to_string();
    auto again = parse_spec(format_spec(*spec));
    ASSERT_TRUE(again) << name << ": " << again.error().to_string();
    EXPECT_EQ(*again, *spec) << name;
  }
  EXPECT_GE(seen, 4);
}

// everything.json has a value other than the default for every key, so a key that reading or writing forgets is missed.
TEST(OciJson, EveryKeySurvives) {
  auto text = read_file("../../../specs/examples/everything.json").value();
  auto spec = parse_spec(text);
  ASSERT_TRUE(spec) << spec.error().to_string();
  auto before = nlohmann::json::parse(text);
  auto after = nlohmann::json::parse(format_spec(*spec));
  EXPECT_EQ(before, after) << nlohmann::json::diff(before, after).dump(2);
}

template <class T>
struct Inner {
  using Type = T;
};
template <class T>
struct Inner<std::optional<T>> : Inner<T> {};
template <class T>
struct Inner<std::vector<T>> : Inner<T> {};
template <class T>
struct Inner<std::map<std::string, T>> : Inner<T> {};

// Looks up every key of the table in any object that stands in that place of the document.
template <class T>
void expect_keys(const std::vector<nlohmann::json>& places, const std::string& path) {
  auto check = [&]<class M>(const Field<T, M>& field) {
    std::vector<nlohmann::json> found;
    for (const auto& place : places)
      if (place.contains(field.key)) found.push_back(place[field.key]);
    auto here = path + "." + field.key;
    EXPECT_FALSE(found.empty()) << here << " stands nowhere in everything.json";
    using Member = typename Inner<M>::Type;
    if constexpr (HasFields<Member>) {
      std::vector<nlohmann::json> inside;
      for (const auto& value : found) {
        if (std::is_same_v<M, Member> || std::is_same_v<M, std::optional<Member>>)
          inside.push_back(value);
        else
          for (const auto& element : value) inside.push_back(element);
      }
      expect_keys<Member>(inside, here);
    }
  };
  std::apply([&](const auto&... fields) { (check(fields), ...); }, kFields<T>);
}

TEST(OciJson, TheExampleHasEveryKey) {
  expect_keys<Spec>({nlohmann::json::parse(read_file("../../../specs/examples/everything.json").value())}, "");
}

}  // namespace
}  // namespace vps::oci
