// compile_vps against golden files: golden/NAME.json is the config.json (its seccomp section is compared apart, it has a test
// of its own), golden/NAME.steps what --dry-run prints. VPS_UPDATE_GOLDEN=1 writes them anew.
#include "specs/vps/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/files.h"
#include "definition_sample.h"
#include "specs/oci/json.h"
#include "specs/oci/validate.h"

namespace vps {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

CompileInput input_of(Definition definition) {
  CompileInput input;
  input.definition = std::move(definition);
  input.ids = {1'000'000, 65536};
  input.rootfs.lower = {"/var/lib/vps/templates/busybox/rootfs"};
  input.rootfs.upper = "/var/lib/vps/containers/101/disk/upper";
  input.rootfs.work = "/var/lib/vps/containers/101/disk/work";
  input.host.cpus = 4;
  input.host.disk_device = {254, 0, true};
  return input;
}

CompileInput small() { return input_of(test::small_definition()); }

CompileInput full() {
  auto input = input_of(test::full_definition());
  input.definition.security.seccomp = "default";
  input.host.monotonic_seconds = 5000;
  input.host.boottime_seconds = 6000;
  return input;
}

Compiled compiled(const CompileInput& input) {
  auto result = compile_vps(input);
  if (!result) {
    ADD_FAILURE() << result.error().to_string();
    return {};
  }
  return std::move(*result);
}

std::string error_of(const CompileInput& input) {
  auto result = compile_vps(input);
  if (result) return "no error";
  EXPECT_EQ(result.error().code(), Code::kUsage);
  return result.error().to_string();
}

std::string error_with(void (*change)(CompileInput&)) {
  auto input = small();
  change(input);
  return error_of(input);
}

void expect_golden(const std::string& file, const std::string& text) {
  const std::string path = "golden/" + file;
  if (std::getenv("VPS_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(write_file_atomic(path, text));
    return;
  }
  auto golden = read_file(path);
  ASSERT_TRUE(golden) << golden.error().to_string();
  EXPECT_EQ(text, *golden) << path << " differs";
}

void expect_golden_vps(const std::string& name, const CompileInput& input) {
  auto result = compiled(input);
  ASSERT_TRUE(result.spec.linux_);
  std::string steps;
  for (const auto& line : describe_start(result)) steps += line + "\n";
  expect_golden(name + ".steps", steps);
  if (input.definition.security.seccomp == "default")
    EXPECT_EQ(result.spec.linux_->seccomp, default_seccomp_profile());
  else
    EXPECT_FALSE(result.spec.linux_->seccomp);
  result.spec.linux_->seccomp.reset();
  expect_golden(name + ".json", oci::format_spec(result.spec));
}

TEST(CompileVps, GoldenMinimal) { expect_golden_vps("minimal", small()); }

TEST(CompileVps, GoldenFull) { expect_golden_vps("full", full()); }

TEST(CompileVps, GoldenFeatures) {
  auto input = small();
  input.definition.security.features = {"nesting", "fuse", "tun"};
  expect_golden_vps("features", input);
}

TEST(CompileVps, GoldenIdmapHost) {
  auto input = small();
  input.definition.security.idmap = "host";
  input.definition.security.seccomp = "unconfined";
  input.definition.mounts = {{"/srv", "/srv", true}};
  input.ids = {};
  expect_golden_vps("idmap_host", input);
}

TEST(CompileVps, GoldenLimits) {
  auto input = small();
  input.definition.id = "db-1";
  input.definition.resources.cpu = {.limit = 0.25, .weight = 10000, .count = 2, .set = ""};
  input.definition.resources.memory = {.limit = Bytes{1ull << 30}, .swap = Bytes{512ull << 20}, .guarantee = Bytes{1ull << 28}};
  input.definition.resources.pids_limit = 100;
  input.definition.resources.io = {.weight = 50, .read = Bytes{1 << 20}, .write = Bytes{2 << 20}, .read_iops = 30, .write_iops = 40};
  expect_golden_vps("limits", input);
}

TEST(CompileVps, SpecsAreValidAndRoundTrip) {
  for (const auto& input : {small(), full()}) {
    auto result = compiled(input);
    EXPECT_TRUE(oci::validate(result.spec));
    auto again = oci::parse_spec(oci::format_spec(result.spec));
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(*again, result.spec);
  }
}

TEST(CompileVps, IsAFunctionOfItsInput) {
  EXPECT_EQ(compiled(full()).spec, compiled(full()).spec);
}

TEST(CompileVps, UserNamespace) {
  auto with = compiled(small());
  EXPECT_TRUE(with.rootfs.idmapped);
  EXPECT_EQ(with.spec.linux_->uid_mappings, (std::vector<oci::IdMapping>{{0, 1'000'000, 65536}}));
  EXPECT_EQ(with.spec.linux_->gid_mappings, with.spec.linux_->uid_mappings);
  EXPECT_THAT(with.warnings, IsEmpty());
  auto input = small();
  input.ids = {};
  auto without = compiled(input);
  EXPECT_FALSE(without.rootfs.idmapped);
  EXPECT_THAT(without.spec.linux_->uid_mappings, IsEmpty());
  EXPECT_THAT(without.warnings, ElementsAre(StartsWith("security.idmap: no user namespace")));
}

TEST(CompileVps, EnvironmentOfTheInit) {
  auto input = small();
  input.definition.uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
  input.definition.environment = {{"TERM", "vt220"}, {"LANG", "C.UTF-8"}};
  EXPECT_THAT(compiled(input).spec.process->env,
              ElementsAre("NOTIFY_SOCKET=/run/host/notify", "container=vpsd", "container_uuid=0f8fad5b-d9cb-469f-a165-70867728950e",
                          "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TERM=vt220"));
  EXPECT_EQ(error_with([](CompileInput& i) { i.definition.environment = {{"NOTIFY_SOCKET", "/x"}}; }),
            "environment.NOTIFY_SOCKET: is set by the system itself");
  EXPECT_EQ(error_with([](CompileInput& i) { i.definition.environment = {{"container", "x"}}; }),
            "environment.container: is set by the system itself");
  EXPECT_EQ(error_with([](CompileInput& i) { i.definition.environment = {{"container_uuid", "x"}}; }),
            "environment.container_uuid: is set by the system itself");
}

TEST(CompileVps, InitProgram) {
  EXPECT_THAT(compiled(small()).spec.process->args, ElementsAre("/sbin/init"));
  auto input = small();
  input.definition.init = {"/bin/app", "-v"};
  EXPECT_THAT(compiled(input).spec.process->args, ElementsAre("/bin/app", "-v"));
}

TEST(CompileVps, Capabilities) {
  auto input = small();
  input.definition.security.capabilities = {"+sys_nice", "-net_raw", "+chown", "-sys_time"};
  auto sets = compiled(input).spec.process->capabilities.value();
  EXPECT_THAT(sets.bounding, AllOf(Contains("CAP_SYS_NICE"), Not(Contains("CAP_NET_RAW"))));
  EXPECT_EQ(sets.bounding.size(), default_capabilities().size());  // one more, one less; chown was there, sys_time was not
  EXPECT_EQ(sets.permitted, sets.bounding);
  EXPECT_EQ(sets.effective, sets.bounding);
  EXPECT_THAT(sets.inheritable, IsEmpty());
  EXPECT_THAT(sets.ambient, IsEmpty());
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.security.capabilities = {"+sys_nce"}; }),
              HasSubstr("security.capabilities: no capability 'sys_nce'"));
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.security.capabilities = {"sys_nice"}; }),
              HasSubstr("security.capabilities"));
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.security.capabilities = {""}; }), HasSubstr("security.capabilities"));
}

TEST(CompileVps, UnknownWordsAreRefused) {
  EXPECT_EQ(error_with([](CompileInput& i) { i.definition.security.features = {"tun", "gpu"}; }),
            "security.features: expected tun, fuse or nesting, found 'gpu'");
  EXPECT_EQ(error_with([](CompileInput& i) { i.definition.security.seccomp = "none"; }),
            "security.seccomp: expected default or unconfined, found 'none'");
  EXPECT_EQ(error_with([](CompileInput& i) { i.definition.hooks.programs = {{"prestop", {"/x"}}}; }),
            "hooks: expected prestart, poststart or poststop, found 'prestop'");
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.id = "A/B"; }), StartsWith("id: "));
}

TEST(CompileVps, WhatTheRuntimeWouldRefuseIsRefusedHere) {
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.hooks.programs = {{"prestart", {"announce"}}}; }),
              HasSubstr("hooks.prestart[0].path: 'announce' is not an absolute path"));
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.hostname = std::string(65, 'h'); }), HasSubstr("hostname"));
}

TEST(CompileVps, CpuLimit) {
  auto input = small();
  input.definition.resources.cpu.limit = 1.5;
  auto cpu = compiled(input).spec.linux_->resources->cpu.value();
  EXPECT_EQ(cpu.quota, 150'000);
  EXPECT_EQ(cpu.period, 100'000U);
  input.definition.resources.cpu.limit = 0.01;
  EXPECT_EQ(compiled(input).spec.linux_->resources->cpu->quota, 1000);
  input.definition.resources.cpu.limit = 5;
  EXPECT_THAT(compiled(input).warnings, ElementsAre("resources.cpu.limit: 5 is more than the 4 CPUs of this host"));
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.resources.cpu.limit = 0.001; }), HasSubstr("resources.cpu.limit"));
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.resources.cpu.limit = -1; }), HasSubstr("resources.cpu.limit"));
}

std::string cpus_of(const char* id, std::optional<std::uint32_t> count, const char* set, std::uint32_t host = 4) {
  auto input = small();
  input.definition.id = id;
  input.definition.resources.cpu.count = count;
  input.definition.resources.cpu.set = set;
  input.host.cpus = host;
  auto result = compiled(input);
  const auto& cpu = result.spec.linux_->resources->cpu;
  return cpu ? cpu->cpus : "none";
}

TEST(CompileVps, CpusAreSpreadById) {
  EXPECT_EQ(cpus_of("101", {}, ""), "none");
  EXPECT_EQ(cpus_of("100", 2, ""), "0-1");
  EXPECT_EQ(cpus_of("101", 2, ""), "1-2");
  EXPECT_EQ(cpus_of("103", 2, ""), "0,3");  // round the corner
  EXPECT_EQ(cpus_of("101", 4, ""), "0-3");
  EXPECT_EQ(cpus_of("101", 1, "", 1), "0");
  EXPECT_EQ(cpus_of("101", {}, "0,2-3"), "0,2-3");
  EXPECT_EQ(cpus_of("101", {}, "1,2"), "1-2");
  EXPECT_EQ(cpus_of("101", 1, "0,2-3"), "3");  // the (101 mod 3)rd of three
  std::map<std::string, int> seen;
  for (int i = 0; i < 200; ++i) ++seen[cpus_of(fmt::format("vps-{}", i).c_str(), 1, "")];
  EXPECT_EQ(seen.size(), 4U);
  for (const auto& [cpus, times] : seen) EXPECT_GT(times, 20) << cpus;
}

TEST(CompileVps, MoreCpusThanThereAre) {
  auto input = small();
  input.definition.resources.cpu.count = 9;
  auto result = compiled(input);
  EXPECT_EQ(result.spec.linux_->resources->cpu->cpus, "0-3");
  EXPECT_THAT(result.warnings, ElementsAre("resources.cpu.count: 9 asked, all 4 given"));
  input.definition.resources.cpu = {};
  input.definition.resources.cpu.set = "2-7";
  EXPECT_THAT(compiled(input).warnings, ElementsAre("resources.cpu.set: '2-7' names CPU 7, and this host has 4 CPUs"));
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.resources.cpu.set = "3-1"; }), HasSubstr("resources.cpu.set"));
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.resources.cpu.count = 0; }), HasSubstr("resources.cpu.count"));
}

TEST(CompileVps, MemoryAndSwap) {
  auto input = small();
  auto& memory = input.definition.resources.memory;
  memory.limit = Bytes{1 << 20};
  EXPECT_FALSE(compiled(input).spec.linux_->resources->memory->swap);
  memory.swap = Bytes{0};
  EXPECT_EQ(compiled(input).spec.linux_->resources->memory->swap, 1 << 20);
  memory.swap = Bytes{5};
  EXPECT_EQ(compiled(input).spec.linux_->resources->memory->swap, (1 << 20) + 5);
  memory.limit.reset();  // the specification has no swap without memory
  auto resources = compiled(input).spec.linux_->resources.value();
  EXPECT_FALSE(resources.memory);
  EXPECT_EQ(resources.unified.at("memory.swap.max"), "5");
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.resources.memory.limit = Bytes{0}; }), HasSubstr("resources.memory.limit"));
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.resources.memory.limit = Bytes{UINT64_MAX}; }),
              HasSubstr("resources.memory.limit"));
  EXPECT_THAT(error_with([](CompileInput& i) {
                i.definition.resources.memory.limit = Bytes{INT64_MAX};
                i.definition.resources.memory.swap = Bytes{1};
              }),
              HasSubstr("resources.memory.swap"));
  EXPECT_THAT(error_with([](CompileInput& i) {
                i.definition.resources.memory.limit = Bytes{1 << 20};
                i.definition.resources.memory.swap = Bytes{UINT64_MAX};
              }),
              HasSubstr("resources.memory.swap"));
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.resources.pids_limit = 0; }), HasSubstr("resources.pids.limit"));
  EXPECT_THAT(error_with([](CompileInput& i) { i.definition.resources.pids_limit = 5'000'000; }), HasSubstr("resources.pids.limit"));
}

oci::Mount mount_at(const CompileInput& input, std::string_view destination) {
  for (const auto& mount : compiled(input).spec.mounts)
    if (mount.destination == destination) return mount;
  ADD_FAILURE() << "no mount on " << destination;
  return {};
}

TEST(CompileVps, TmpfsSizesFollowTheMemoryLimit) {
  auto input = small();
  EXPECT_THAT(mount_at(input, "/run").options, Not(Contains(StartsWith("size="))));
  input.definition.resources.memory.limit = Bytes{1000ull << 20};
  EXPECT_THAT(mount_at(input, "/run").options, Contains("size=209715200"));
  EXPECT_THAT(mount_at(input, "/dev/shm").options, Contains("size=524288000"));
  input.definition.resources.memory.limit = Bytes{5ull << 20};
  EXPECT_THAT(mount_at(input, "/run").options, Contains("size=4194304"));
}

TEST(CompileVps, IoLimitsWithoutABlockDevice) {
  auto input = small();
  input.definition.resources.io.read = Bytes{1000};
  input.definition.resources.io.write_iops = 7;
  input.host.disk_device = {};
  auto result = compiled(input);
  EXPECT_FALSE(result.spec.linux_->resources->block_io);
  EXPECT_THAT(result.warnings, ElementsAre(StartsWith("resources.io.read: not enforced"), StartsWith("resources.io.writeIops: not enforced")));
}

TEST(CompileVps, TimeNamespace) {
  auto input = small();
  input.definition.security.time_namespace = true;
  auto unknown = compiled(input);
  EXPECT_THAT(unknown.spec.linux_->time_offsets, IsEmpty());
  EXPECT_EQ(unknown.warnings.size(), 2U);
  input.host.monotonic_seconds = 70;
  input.host.boottime_seconds = 90;
  auto known = compiled(input);
  EXPECT_EQ(known.spec.linux_->time_offsets.at("monotonic").secs, -70);
  EXPECT_EQ(known.spec.linux_->time_offsets.at("boottime").secs, -90);
  EXPECT_THAT(known.warnings, IsEmpty());
}

TEST(CompileVps, OnlyOwnKernelParametersAreWritable) {
  auto own = [](const CompileInput& input) {
    std::vector<std::string> paths;
    for (const auto& mount : compiled(input).spec.mounts)
      if (mount.type == "bind" && mount.source == mount.destination) paths.push_back(mount.destination);
    return paths;
  };
  auto host = small();
  host.ids = {};
  EXPECT_THAT(own(small()), AllOf(Contains("/proc/sys/net"), Not(Contains("/proc/sys/kernel/hostname"))));
  EXPECT_THAT(own(host), AllOf(Contains("/proc/sys/net"), Contains("/proc/sys/kernel/hostname")));
  // The mount that turns read-only, and what is in it.
  auto paths = own(host);
  ASSERT_THAT(paths, Not(testing::IsEmpty()));
  EXPECT_EQ(paths.front(), "/proc/sys");
  EXPECT_THAT(compiled(host).spec.linux_->readonly_paths, Contains("/proc/sys"));
  paths.erase(paths.begin());
  for (const auto& path : paths) EXPECT_THAT(path, StartsWith("/proc/sys/"));
}

TEST(CompileVps, NestingNeedsAUserNamespace) {
  auto uncovered = [](const CompileInput& input) {
    int count = 0;
    for (const auto& mount : compiled(input).spec.mounts) count += mount.destination.starts_with("/dev/.nesting/") ? 1 : 0;
    return count;
  };
  auto input = small();
  input.definition.security.features = {"nesting"};
  EXPECT_EQ(uncovered(input), 2);
  EXPECT_THAT(compiled(input).warnings, IsEmpty());
  input.ids = {};
  EXPECT_EQ(uncovered(input), 0);
  EXPECT_THAT(compiled(input).warnings, Contains(StartsWith("security.features: nesting needs a user namespace")));
}

TEST(CompileVps, PlainDirectoryAsRoot) {
  auto input = small();
  input.rootfs.upper = input.rootfs.work = "";
  auto result = compiled(input);
  EXPECT_EQ(result.spec.root->path, "/var/lib/vps/templates/busybox/rootfs");
  EXPECT_THAT(describe_start(result), Contains("root: /var/lib/vps/templates/busybox/rootfs, ids mapped"));
  input.rootfs.lower.clear();
  EXPECT_EQ(compile_vps(input).error().to_string(), "no root file system was planned");
}

}  // namespace
}  // namespace vps
