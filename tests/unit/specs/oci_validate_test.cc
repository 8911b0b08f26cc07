#include "specs/oci/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/files.h"
#include "specs/oci/json.h"

namespace vps::oci {
namespace {

using ::testing::HasSubstr;

Spec good_spec() {
  Spec spec;
  spec.root.emplace().path = "rootfs";
  spec.process.emplace().args = {"sh"};
  auto& lx = spec.linux_.emplace();
  for (const char* type : {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"}) lx.namespaces.push_back({type, ""});
  lx.uid_mappings = lx.gid_mappings = {{0, 100000, 65536}};
  return spec;
}

void drop_namespace(Spec& spec, std::string_view type) {
  std::erase_if(spec.linux_->namespaces, [&](const Namespace& entry) { return entry.type == type; });
}

std::string error_of(const Spec& spec) {
  auto result = validate(spec);
  if (result) return "ok";
  EXPECT_EQ(result.error().code(), Code::kUsage);
  return result.error().to_string();
}

struct Case {
  const char* name;
  std::function<void(Spec&)> change;
  std::string expected;  // a part of the error, or "ok"
};

void expect_all(const std::vector<Case>& cases) {
  for (const auto& entry : cases) {
    auto spec = good_spec();
    entry.change(spec);
    if (entry.expected == "ok")
      EXPECT_EQ(error_of(spec), "ok") << entry.name;
    else
      EXPECT_THAT(error_of(spec), HasSubstr(entry.expected)) << entry.name;
  }
}

TEST(OciValidate, GoodSpecsPass) {
  EXPECT_EQ(error_of(good_spec()), "ok");
  Spec smallest;
  smallest.root.emplace().path = "/";
  EXPECT_EQ(error_of(smallest), "ok");  // no process yet: create without start
}

TEST(OciValidate, WhatEnginesWritePasses) {
  for (const char* name : {"docker.json", "podman.json", "containerd.json"}) {
    auto spec = parse_spec(read_file(std::string("../../../specs/examples/") + name).value());
    ASSERT_TRUE(spec) << name;
    EXPECT_EQ(error_of(*spec), "ok") << name;
  }
}

TEST(OciValidate, Versions) {
  for (const char* good : {"1.0.0", "1.0.2-dev", "1.3.0", "1.99.0+build.5", "1.0.0-rc1"}) {
    auto spec = good_spec();
    spec.oci_version = good;
    EXPECT_EQ(error_of(spec), "ok") << good;
  }
  for (const char* wrong : {"", "1", "1.0", "1.0.", "1.0.x", "v1.0.0", "1.0.0-", "1.0.0 ", "1.0.0.0", "-1.0.0", "1..0"}) {
    auto spec = good_spec();
    spec.oci_version = wrong;
    EXPECT_THAT(error_of(spec), HasSubstr("is not a version like 1.3.0")) << wrong;
  }
  for (const char* other : {"0.9.0", "2.0.0"}) {
    auto spec = good_spec();
    spec.oci_version = other;
    EXPECT_THAT(error_of(spec), HasSubstr("is not supported, only 1.x")) << other;
  }
}

TEST(OciValidate, RootAndProcess) {
  expect_all({
      {"no root", [](Spec& s) { s.root.reset(); }, "root: missing"},
      {"empty root", [](Spec& s) { s.root->path = ""; }, "root.path: is empty"},
      {"no args", [](Spec& s) { s.process->args.clear(); }, "process.args: names no program"},
      {"empty program", [](Spec& s) { s.process->args = {"", "x"}; }, "process.args[0]: is empty"},
      {"empty argument", [](Spec& s) { s.process->args = {"x", ""}; }, "ok"},
      {"relative cwd", [](Spec& s) { s.process->cwd = "tmp"; }, "process.cwd: 'tmp' is not an absolute path"},
      {"empty cwd", [](Spec& s) { s.process->cwd = ""; }, "process.cwd"},
      {"env without =", [](Spec& s) { s.process->env = {"A=", "B"}; }, "process.env[1]: 'B' is not NAME=VALUE"},
      {"env without name", [](Spec& s) { s.process->env = {"=x"}; }, "process.env[0]"},
      {"umask", [](Spec& s) { s.process->user.umask = 01000; }, "process.user.umask: 512 is above"},
      {"umask edge", [](Spec& s) { s.process->user.umask = 0777; }, "ok"},
      {"uid -1", [](Spec& s) { s.process->user.uid = UINT32_MAX; }, "process.user.uid"},
      {"gid -1", [](Spec& s) { s.process->user.gid = UINT32_MAX; }, "process.user.gid"},
      {"group -1", [](Spec& s) { s.process->user.additional_gids = {1, UINT32_MAX}; }, "process.user.additionalGids[1]"},
      {"many groups", [](Spec& s) { s.process->user.additional_gids.resize(65537); }, "more than 65536 groups"},
      {"unknown capability", [](Spec& s) { s.process->capabilities.emplace().ambient = {"CAP_FUTURE_9"}; }, "ok"},
      {"bad capability", [](Spec& s) { s.process->capabilities.emplace().ambient = {"CAP_CHOWN", "CAP CHOWN"}; },
       "process.capabilities.ambient[1]: 'CAP CHOWN'"},
      {"empty capability", [](Spec& s) { s.process->capabilities.emplace().bounding = {""}; }, "process.capabilities.bounding[0]"},
      {"rlimit type", [](Spec& s) { s.process->rlimits = {{"RLIMIT_FUN", 1, 1}}; }, "process.rlimits[0].type: 'RLIMIT_FUN' is none of RLIMIT_AS"},
      {"rlimit twice", [](Spec& s) { s.process->rlimits = {{"RLIMIT_CPU", 1, 1}, {"RLIMIT_CPU", 2, 2}}; },
       "process.rlimits[1].type: RLIMIT_CPU stands twice"},
      {"rlimit order", [](Spec& s) { s.process->rlimits = {{"RLIMIT_CPU", 2, 1}}; }, "process.rlimits[0].soft: 2 is above"},
      {"oom low", [](Spec& s) { s.process->oom_score_adj = -1001; }, "process.oomScoreAdj: -1001"},
      {"oom high", [](Spec& s) { s.process->oom_score_adj = 1001; }, "process.oomScoreAdj: 1001"},
      {"oom edge", [](Spec& s) { s.process->oom_score_adj = -1000; }, "ok"},
  });
}

TEST(OciValidate, Scheduling) {
  auto scheduler = [](auto change) {
    return [change](Spec& s) {
      auto& value = s.process->scheduler.emplace();
      value.policy = "SCHED_OTHER";
      change(value);
    };
  };
  expect_all({
      {"other", scheduler([](Scheduler& s) { s.nice = -20; }), "ok"},
      {"policy", scheduler([](Scheduler& s) { s.policy = "SCHED_BEST"; }), "process.scheduler.policy: 'SCHED_BEST' is none of"},
      {"flag", scheduler([](Scheduler& s) { s.flags = {"SCHED_FLAG_RECLAIM", "X"}; }), "process.scheduler.flags[1]: 'X'"},
      {"nice", scheduler([](Scheduler& s) { s.nice = 20; }), "process.scheduler.nice: 20 is not within -20..19"},
      {"nice low", scheduler([](Scheduler& s) { s.nice = -21; }), "process.scheduler.nice"},
      {"fifo", scheduler([](Scheduler& s) { s.policy = "SCHED_FIFO"; s.priority = 99; }), "ok"},
      {"fifo high", scheduler([](Scheduler& s) { s.policy = "SCHED_FIFO"; s.priority = 100; }), "process.scheduler.priority: 100"},
      {"fifo none", scheduler([](Scheduler& s) { s.policy = "SCHED_RR"; }), "process.scheduler.priority: 0"},
      {"other priority", scheduler([](Scheduler& s) { s.priority = 1; }), "is only for SCHED_FIFO and SCHED_RR"},
      {"deadline", scheduler([](Scheduler& s) { s.policy = "SCHED_DEADLINE"; s.runtime = s.deadline = s.period = 5; }), "ok"},
      {"other runtime", scheduler([](Scheduler& s) { s.runtime = 5; }), "are only for SCHED_DEADLINE"},
      {"io class", [](Spec& s) { s.process->io_priority = IoPriority{"IOPRIO_CLASS_NONE", 0}; }, "process.ioPriority.class"},
      {"io priority", [](Spec& s) { s.process->io_priority = IoPriority{"IOPRIO_CLASS_BE", 8}; }, "process.ioPriority.priority: 8"},
      {"io low", [](Spec& s) { s.process->io_priority = IoPriority{"IOPRIO_CLASS_BE", -1}; }, "process.ioPriority.priority: -1"},
      {"affinity", [](Spec& s) { s.process->exec_cpu_affinity = ExecCpuAffinity{"0-3,7", ""}; }, "ok"},
      {"affinity list", [](Spec& s) { s.process->exec_cpu_affinity = ExecCpuAffinity{"0", "3-1"}; }, "process.execCPUAffinity.final"},
      {"affinity end", [](Spec& s) { s.process->exec_cpu_affinity = ExecCpuAffinity{"0,", ""}; }, "process.execCPUAffinity.initial"},
      {"affinity text", [](Spec& s) { s.process->exec_cpu_affinity = ExecCpuAffinity{"all", ""}; }, "is not a list like 0-3,7"},
  });
}

TEST(OciValidate, NamesMountsHooks) {
  expect_all({
      {"host name", [](Spec& s) { s.hostname = std::string(64, 'h'); }, "ok"},
      {"long host name", [](Spec& s) { s.hostname = std::string(65, 'h'); }, "hostname: is longer than 64"},
      {"no uts", [](Spec& s) { s.hostname = "h"; drop_namespace(s, "uts"); }, "hostname: needs a uts namespace"},
      {"no uts domain", [](Spec& s) { s.domainname = "h"; drop_namespace(s, "uts"); }, "domainname: needs a uts namespace"},
      {"relative target", [](Spec& s) { s.mounts = {{"data", "tmpfs", "", {}, {}, {}}}; }, "ok"},
      {"no target", [](Spec& s) { s.mounts = {{"", "tmpfs", "", {}, {}, {}}}; }, "mounts[0].destination: is empty"},
      {"bind type", [](Spec& s) { s.mounts = {{"/a", "bind", "", {}, {}, {}}}; }, "mounts[0].source: a bind mount needs one"},
      {"bind option", [](Spec& s) { s.mounts = {{"/a", "", "", {"ro", "rbind"}, {}, {}}}; }, "mounts[0].source"},
      {"half map", [](Spec& s) { s.mounts = {{"/a", "bind", "/b", {}, {{0, 1, 1}}, {}}}; }, "mounts[0]: uidMappings and gidMappings"},
      {"bad map", [](Spec& s) { s.mounts = {{"/a", "bind", "/b", {}, {{0, 1, 0}}, {{0, 1, 1}}}}; }, "mounts[0].uidMappings[0].size: is zero"},
      {"idmap by userns", [](Spec& s) { s.mounts = {{"/a", "bind", "/b", {"idmap"}, {}, {}}}; }, "ok"},
      {"idmap by nothing",
       [](Spec& s) {
         s.mounts = {{"/a", "bind", "/b", {"ridmap"}, {}, {}}};
         drop_namespace(s, "user");
         s.linux_->uid_mappings = s.linux_->gid_mappings = {};
       },
       "mounts[0].options: idmap needs mappings"},
      {"hook", [](Spec& s) { s.hooks.emplace().poststop = {{"/bin/x", {}, {"A=1"}, 3}}; }, "ok"},
      {"hook path", [](Spec& s) { s.hooks.emplace().prestart = {{"/x", {}, {}, {}}, {"bin/x", {}, {}, {}}}; },
       "hooks.prestart[1].path: 'bin/x' is not an absolute path"},
      {"hook timeout", [](Spec& s) { s.hooks.emplace().create_runtime = {{"/x", {}, {}, 0}}; }, "hooks.createRuntime[0].timeout: 0"},
      {"hook env", [](Spec& s) { s.hooks.emplace().start_container = {{"/x", {}, {"A"}, {}}}; }, "hooks.startContainer[0].env[0]"},
      {"annotation", [](Spec& s) { s.annotations[""] = "x"; }, "annotations: a key is empty"},
  });
}

TEST(OciValidate, Namespaces) {
  expect_all({
      {"unknown", [](Spec& s) { s.linux_->namespaces.push_back({"net", ""}); }, "linux.namespaces[8].type: 'net' is none of pid, network"},
      {"twice", [](Spec& s) { s.linux_->namespaces.push_back({"pid", "/x"}); }, "linux.namespaces[8].type: pid stands twice"},
      {"path", [](Spec& s) { s.linux_->namespaces[1].path = "run/x"; }, "linux.namespaces[1].path: 'run/x' is not an absolute path"},
      {"maps without user", [](Spec& s) { drop_namespace(s, "user"); }, "linux.uidMappings: needs a user namespace"},
      {"gid maps without user", [](Spec& s) { drop_namespace(s, "user"); s.linux_->uid_mappings.clear(); }, "linux.gidMappings: needs a user"},
      {"user without maps", [](Spec& s) { s.linux_->uid_mappings.clear(); }, "linux.uidMappings: is empty"},
      {"user without gid maps", [](Spec& s) { s.linux_->gid_mappings.clear(); }, "linux.gidMappings: is empty"},
      {"joined user without maps",
       [](Spec& s) {
         s.linux_->namespaces[5].path = "/proc/1/ns/user";
         s.linux_->uid_mappings = s.linux_->gid_mappings = {};
       },
       "ok"},
      {"size zero", [](Spec& s) { s.linux_->uid_mappings = {{0, 5, 0}}; }, "linux.uidMappings[0].size: is zero"},
      {"32 bits", [](Spec& s) { s.linux_->uid_mappings = {{0, UINT32_MAX - 1, 2}}; }, "linux.uidMappings[0]: leaves the 32-bit ids"},
      {"overlap inside", [](Spec& s) { s.linux_->uid_mappings = {{5, 900, 10}, {0, 100, 6}}; }, "two entries share container id 5"},
      {"overlap outside", [](Spec& s) { s.linux_->gid_mappings = {{0, 100, 10}, {50, 109, 6}}; }, "two entries share host id 109"},
      {"touching", [](Spec& s) { s.linux_->gid_mappings = {{0, 100, 10}, {10, 110, 6}}; }, "ok"},
      {"many", [](Spec& s) { for (unsigned i = 0; i < 341; ++i) s.linux_->uid_mappings.push_back({100000 + i, i, 1}); }, "more than 340 entries"},
      {"offsets", [](Spec& s) { s.linux_->time_offsets = {{"boottime", {-5, 999'999'999}}}; }, "ok"},
      {"offsets without time", [](Spec& s) { s.linux_->time_offsets = {{"boottime", {}}}; drop_namespace(s, "time"); },
       "linux.timeOffsets: needs a new time namespace"},
      {"offsets of joined", [](Spec& s) { s.linux_->time_offsets = {{"boottime", {}}}; s.linux_->namespaces[7].path = "/x"; },
       "linux.timeOffsets: needs a new time namespace"},
      {"clock", [](Spec& s) { s.linux_->time_offsets = {{"realtime", {}}}; }, "linux.timeOffsets: 'realtime' is none of monotonic, boottime"},
      {"nanoseconds", [](Spec& s) { s.linux_->time_offsets = {{"monotonic", {0, 1'000'000'000}}}; }, "linux.timeOffsets.monotonic.nanosecs"},
  });
}

TEST(OciValidate, DevicesAndInterfaces) {
  auto device = [](auto change) {
    return [change](Spec& s) {
      Device value;
      value.path = "/dev/fuse";
      value.type = "c";
      value.major = 10;
      value.minor = 229;
      change(value);
      s.linux_->devices = {value};
    };
  };
  expect_all({
      {"device", device([](Device& d) { d.file_mode = 020666; }), "ok"},
      {"path", device([](Device& d) { d.path = "dev/fuse"; }), "linux.devices[0].path"},
      {"type", device([](Device& d) { d.type = "x"; }), "linux.devices[0].type: 'x' is none of c, b, u, p"},
      {"major", device([](Device& d) { d.major = -1; }), "linux.devices[0].major: -1"},
      {"major high", device([](Device& d) { d.major = 4096; }), "linux.devices[0].major: 4096"},
      {"minor", device([](Device& d) { d.minor = 1 << 20; }), "linux.devices[0].minor: 1048576"},
      {"fifo", device([](Device& d) { d.type = "p"; d.major = -1; }), "ok"},
      {"mode", device([](Device& d) { d.file_mode = 0200000; }), "linux.devices[0].fileMode"},
      {"same twice", [=](Spec& s) { device([](Device&) {})(s); s.linux_->devices.push_back(s.linux_->devices[0]); }, "ok"},
      {"other twice",
       [=](Spec& s) {
         device([](Device&) {})(s);
         s.linux_->devices.push_back(s.linux_->devices[0]);
         s.linux_->devices[1].minor = 1;
       },
       "linux.devices[1].path: /dev/fuse stands twice"},
      {"net", [](Spec& s) { s.linux_->net_devices = {{"eth1", {}}, {"eth2", {"lan"}}}; }, "ok"},
      {"net without netns", [](Spec& s) { s.linux_->net_devices = {{"eth1", {}}}; drop_namespace(s, "network"); }, "linux.netDevices: needs a network"},
      {"net name", [](Spec& s) { s.linux_->net_devices = {{"a/b", {}}}; }, "linux.netDevices: 'a/b' is not an interface name"},
      {"net name long", [](Spec& s) { s.linux_->net_devices = {{"abcdefghijklmnop", {}}}; }, "is not an interface name"},
      {"net target", [](Spec& s) { s.linux_->net_devices = {{"eth1", {".."}}}; }, "linux.netDevices.eth1.name: '..'"},
      {"net twice", [](Spec& s) { s.linux_->net_devices = {{"eth1", {}}, {"eth2", {"eth1"}}}; }, "linux.netDevices.eth2.name: eth1 stands twice"},
  });
}

TEST(OciValidate, LinuxRest) {
  expect_all({
      {"cgroup path", [](Spec& s) { s.linux_->cgroups_path = "/a..b/c"; }, "ok"},
      {"systemd path", [](Spec& s) { s.linux_->cgroups_path = "system.slice:cri:abc"; }, "ok"},
      {"cgroup dots", [](Spec& s) { s.linux_->cgroups_path = "/a/../../b"; }, "linux.cgroupsPath: '/a/../../b' contains '..'"},
      {"cgroup dots last", [](Spec& s) { s.linux_->cgroups_path = "a/.."; }, "linux.cgroupsPath"},
      {"rdt", [](Spec& s) { s.linux_->intel_rdt.emplace().clos_id = "a/b"; }, "linux.intelRdt.closID"},
      {"rdt dots", [](Spec& s) { s.linux_->intel_rdt.emplace().clos_id = ".."; }, "linux.intelRdt.closID"},
      {"policy", [](Spec& s) { s.linux_->memory_policy = MemoryPolicy{"MPOL_BIND", "0-1", {"MPOL_F_STATIC_NODES"}}; }, "ok"},
      {"policy mode", [](Spec& s) { s.linux_->memory_policy = MemoryPolicy{"MPOL_FAST", "0", {}}; }, "linux.memoryPolicy.mode: 'MPOL_FAST'"},
      {"policy flag", [](Spec& s) { s.linux_->memory_policy = MemoryPolicy{"MPOL_BIND", "0", {"F"}}; }, "linux.memoryPolicy.flags[0]"},
      {"policy nodes", [](Spec& s) { s.linux_->memory_policy = MemoryPolicy{"MPOL_BIND", "x", {}}; }, "linux.memoryPolicy.nodes: 'x'"},
      {"policy no nodes", [](Spec& s) { s.linux_->memory_policy = MemoryPolicy{"MPOL_BIND", "", {}}; }, "linux.memoryPolicy.nodes: MPOL_BIND needs some"},
      {"policy local", [](Spec& s) { s.linux_->memory_policy = MemoryPolicy{"MPOL_LOCAL", "1", {}}; }, "linux.memoryPolicy.nodes: MPOL_LOCAL takes none"},
      {"propagation", [](Spec& s) { s.linux_->rootfs_propagation = "rslave"; }, "ok"},
      {"propagation value", [](Spec& s) { s.linux_->rootfs_propagation = "loose"; }, "linux.rootfsPropagation: 'loose'"},
      {"masked", [](Spec& s) { s.linux_->masked_paths = {"/a", "b"}; }, "linux.maskedPaths[1]: 'b' is not an absolute path"},
      {"readonly", [](Spec& s) { s.linux_->readonly_paths = {"b"}; }, "linux.readonlyPaths[0]"},
      {"masked without mount", [](Spec& s) { s.linux_->masked_paths = {"/b"}; drop_namespace(s, "mount"); }, "linux.maskedPaths: needs a mount namespace"},
      {"readonly without mount", [](Spec& s) { s.linux_->readonly_paths = {"/b"}; drop_namespace(s, "mount"); }, "linux.readonlyPaths: needs a mount"},
      {"personality", [](Spec& s) { s.linux_->personality = Personality{"LINUX32", {}}; }, "ok"},
      {"personality domain", [](Spec& s) { s.linux_->personality = Personality{"SOLARIS", {}}; }, "linux.personality.domain"},
      {"personality flag", [](Spec& s) { s.linux_->personality = Personality{"LINUX", {"A"}}; }, "linux.personality.flags"},
  });
}

TEST(OciValidate, Sysctl) {
  auto sysctl = [](const char* key) { return [key](Spec& s) { s.linux_->sysctl = {{key, "1"}}; }; };
  auto without = [](const char* key, const char* type) {
    return [key, type](Spec& s) {
      s.linux_->sysctl = {{key, "1"}};
      drop_namespace(s, type);
    };
  };
  expect_all({
      {"net", sysctl("net.ipv4.ip_forward"), "ok"},
      {"net slashes", sysctl("net/ipv4/conf/eth0.1/forwarding"), "ok"},
      {"ipc", sysctl("kernel.shmmax"), "ok"},
      {"mqueue", sysctl("fs.mqueue.msg_max"), "ok"},
      {"uts", sysctl("kernel.domainname"), "ok"},
      {"user", sysctl("user.max_user_namespaces"), "ok"},
      {"net without", without("net.ipv4.ip_forward", "network"), "linux.sysctl.net.ipv4.ip_forward: needs a network namespace"},
      {"slashes without", without("net/ipv4/ip_forward", "network"), "linux.sysctl.net/ipv4/ip_forward: needs a network namespace"},
      {"ipc without", without("kernel.shmmax", "ipc"), "needs a ipc namespace"},
      {"mqueue without", without("fs.mqueue.msg_max", "ipc"), "needs a ipc namespace"},
      {"uts without", without("kernel.domainname", "uts"), "needs a uts namespace"},
      {"host", sysctl("vm.swappiness"), "linux.sysctl.vm.swappiness: belongs to no namespace"},
      {"host kernel", sysctl("kernel.core_pattern"), "belongs to no namespace"},
      {"climbing", sysctl("net/../kernel/core_pattern"), "is not the name of a sysctl"},
      {"climbing dots", sysctl("net...kernel.core_pattern"), "is not the name of a sysctl"},
      {"climbing inside", sysctl("net.//.kernel/core_pattern"), "is not the name of a sysctl"},
      {"trailing", sysctl("net.ipv4."), "is not the name of a sysctl"},
      {"empty", sysctl(""), "is not the name of a sysctl"},
      {"both names", [](Spec& s) { s.hostname = "a"; s.linux_->sysctl = {{"kernel.hostname", "b"}}; }, "conflicts with hostname"},
      {"both domains", [](Spec& s) { s.domainname = "a"; s.linux_->sysctl = {{"kernel.domainname", "b"}}; }, "conflicts with domainname"},
  });
}

TEST(OciValidate, Resources) {
  auto with = [](auto change) { return [change](Spec& s) { change(s.linux_->resources.emplace()); }; };
  auto memory = [with](auto change) { return with([change](Resources& r) { change(r.memory.emplace()); }); };
  auto io = [with](auto change) { return with([change](Resources& r) { change(r.block_io.emplace()); }); };
  expect_all({
      {"any device", with([](Resources& r) { r.devices = {{true, "c", -1, -1, "rwm"}, {false, "", {}, {}, ""}}; }), "ok"},
      {"device type", with([](Resources& r) { r.devices = {{true, "u", {}, {}, ""}}; }), "linux.resources.devices[0].type: 'u'"},
      {"device major", with([](Resources& r) { r.devices = {{true, "c", -2, {}, ""}}; }), "linux.resources.devices[0].major: -2"},
      {"device minor", with([](Resources& r) { r.devices = {{true, "c", {}, -2, ""}}; }), "linux.resources.devices[0].minor: -2"},
      {"device access", with([](Resources& r) { r.devices = {{true, "c", {}, {}, "rx"}}; }), "linux.resources.devices[0].access: 'rx'"},
      {"unlimited", memory([](MemoryLimits& m) { m.limit = -1; m.swap = -1; }), "ok"},
      {"negative", memory([](MemoryLimits& m) { m.limit = -2; }), "linux.resources.memory.limit: -2 is negative"},
      {"negative tcp", memory([](MemoryLimits& m) { m.kernel_tcp = -2; }), "linux.resources.memory.kernelTCP"},
      {"swap below", memory([](MemoryLimits& m) { m.limit = 100; m.swap = 99; }), "linux.resources.memory.swap: 99 is below the memory limit 100"},
      {"swap equal", memory([](MemoryLimits& m) { m.limit = 100; m.swap = 100; }), "ok"},
      {"swap unset", memory([](MemoryLimits& m) { m.limit = 100; m.swap = 0; }), "ok"},
      {"swappiness", memory([](MemoryLimits& m) { m.swappiness = 101; }), "linux.resources.memory.swappiness: 101"},
      {"quota", with([](Resources& r) { r.cpu.emplace().quota = -2; }), "linux.resources.cpu.quota: -2"},
      {"no quota", with([](Resources& r) { r.cpu.emplace().quota = -1; }), "ok"},
      {"idle", with([](Resources& r) { r.cpu.emplace().idle = 2; }), "linux.resources.cpu.idle: 2"},
      {"cpus", with([](Resources& r) { r.cpu.emplace().cpus = "0-"; }), "linux.resources.cpu.cpus: '0-'"},
      {"mems", with([](Resources& r) { r.cpu.emplace().mems = "a"; }), "linux.resources.cpu.mems: 'a'"},
      {"weight", io([](BlockIo& b) { b.weight = 9; }), "linux.resources.blockIO.weight: 9 is not within 10..1000"},
      {"weight unset", io([](BlockIo& b) { b.weight = 0; }), "ok"},
      {"leaf weight", io([](BlockIo& b) { b.leaf_weight = 1001; }), "linux.resources.blockIO.leafWeight"},
      {"weight device", io([](BlockIo& b) { b.weight_device = {{8, 0, 5, {}}}; }), "linux.resources.blockIO.weightDevice[0].weight: 5"},
      {"throttle", io([](BlockIo& b) { b.throttle_write_iops = {{8, 0, 1}, {8, -1, 5}}; }),
       "linux.resources.blockIO.throttleWriteIOPSDevice[1].minor: -1"},
      {"page", with([](Resources& r) { r.hugepage_limits = {{"2MB", 1}, {"1GB", 0}, {"64KB", 0}}; }), "ok"},
      {"page unit", with([](Resources& r) { r.hugepage_limits = {{"2M", 1}}; }), "linux.resources.hugepageLimits[0].pageSize: '2M'"},
      {"page number", with([](Resources& r) { r.hugepage_limits = {{"MB", 1}}; }), "linux.resources.hugepageLimits[0].pageSize"},
      {"priority", with([](Resources& r) { r.network.emplace().priorities = {{"", 1}}; }), "linux.resources.network.priorities[0].name"},
      {"unified", with([](Resources& r) { r.unified = {{"memory.high", "max"}}; }), "ok"},
      {"unified path", with([](Resources& r) { r.unified = {{"../x", "1"}}; }), "linux.resources.unified: '../x'"},
      {"unified nothing", with([](Resources& r) { r.unified = {{"", "1"}}; }), "linux.resources.unified: ''"},
  });
  oci::Resources alone;
  alone.cpu.emplace().quota = -5;
  EXPECT_EQ(validate_resources(alone).error().to_string(), "resources.cpu.quota: -5 is negative (-1 is no limit)");
}

TEST(OciValidate, Seccomp) {
  auto with = [](auto change) {
    return [change](Spec& s) {
      auto& profile = s.linux_->seccomp.emplace();
      profile.default_action = "SCMP_ACT_ALLOW";
      profile.syscalls = {{{"mount"}, "SCMP_ACT_ERRNO", 38, {{0, 1, 2, "SCMP_CMP_EQ"}}}};
      change(profile);
    };
  };
  expect_all({
      {"good", with([](oci::Seccomp&) {}), "ok"},
      {"default", with([](oci::Seccomp& p) { p.default_action = "SCMP_ACT_NO"; }), "linux.seccomp.defaultAction: 'SCMP_ACT_NO'"},
      {"default notify", with([](oci::Seccomp& p) { p.default_action = "SCMP_ACT_NOTIFY"; }), "cannot be the default"},
      {"default errno", with([](oci::Seccomp& p) { p.default_errno_ret = 1; }), "linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW returns no errno"},
      {"architecture", with([](oci::Seccomp& p) { p.architectures = {"SCMP_ARCH_X86", "PDP11"}; }), "linux.seccomp.architectures[1]: 'PDP11'"},
      {"flag", with([](oci::Seccomp& p) { p.flags = {"F"}; }), "linux.seccomp.flags[0]: 'F'"},
      {"no names", with([](oci::Seccomp& p) { p.syscalls[0].names.clear(); }), "linux.seccomp.syscalls[0].names: is empty"},
      {"empty name", with([](oci::Seccomp& p) { p.syscalls[0].names = {"a", ""}; }), "linux.seccomp.syscalls[0].names[1]: is empty"},
      {"action", with([](oci::Seccomp& p) { p.syscalls[0].action = "X"; }), "linux.seccomp.syscalls[0].action: 'X'"},
      {"errno", with([](oci::Seccomp& p) { p.syscalls[0].errno_ret = 4096; }), "linux.seccomp.syscalls[0].errnoRet: 4096"},
      {"errno of allow", with([](oci::Seccomp& p) { p.syscalls[0].action = "SCMP_ACT_ALLOW"; }), "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_ALLOW"},
      {"trace", with([](oci::Seccomp& p) { p.syscalls[0].action = "SCMP_ACT_TRACE"; p.syscalls[0].errno_ret = 65535; }), "ok"},
      {"index", with([](oci::Seccomp& p) { p.syscalls[0].args[0].index = 6; }), "linux.seccomp.syscalls[0].args[0].index: 6"},
      {"operator", with([](oci::Seccomp& p) { p.syscalls[0].args[0].op = "=="; }), "linux.seccomp.syscalls[0].args[0].op: '=='"},
      {"notify", with([](oci::Seccomp& p) { p.syscalls[0] = {{"mount"}, "SCMP_ACT_NOTIFY", {}, {}}; }), "linux.seccomp.listenerPath: missing"},
      {"listener", with([](oci::Seccomp& p) { p.listener_path = "x"; }), "linux.seccomp.listenerPath: 'x'"},
      {"metadata", with([](oci::Seccomp& p) { p.listener_metadata = "x"; }), "linux.seccomp.listenerMetadata"},
  });
}

TEST(OciValidate, ProcessAlone) {
  Process process;
  process.args = {"id"};
  EXPECT_TRUE(validate_process(process));
  process.cwd = "x";
  EXPECT_EQ(validate_process(process).error().to_string(), "process.cwd: 'x' is not an absolute path");
}

}  // namespace
}  // namespace vps::oci
