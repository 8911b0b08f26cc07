#include "runtime/init_plan.h"

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>

#include "runtime/init.h"

namespace vps::runtime {
namespace {

oci::Spec base_spec() {
  oci::Spec spec;
  spec.process.emplace();
  spec.process->args = {"/sbin/init"};
  spec.linux_.emplace();
  for (auto type : {"pid", "mount", "uts", "ipc", "network", "cgroup", "user"}) spec.linux_->namespaces.push_back({type, ""});
  spec.linux_->uid_mappings = {{0, 1'000'000, 65536}};
  spec.linux_->gid_mappings = {{0, 1'000'000, 65536}};
  return spec;
}

Result<InitPlan> plan_of(const oci::Spec& spec) { return make_init_plan({.spec = &spec, .bundle = "/bundle"}); }

TEST(InitPlan, NamespacesAreClonedOrUnsharedOrJoined) {
  auto spec = base_spec();
  spec.linux_->namespaces[4].path = "/run/netns/a";
  spec.linux_->namespaces.push_back({"time", ""});
  auto plan = plan_of(spec);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->clone_flags, std::uint64_t{CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER});
  EXPECT_TRUE(plan->new_cgroup_namespace);
  EXPECT_TRUE(plan->new_time_namespace);
  EXPECT_FALSE(plan->new_network);
  ASSERT_EQ(plan->joins.size(), 1u);
  EXPECT_EQ(plan->joins[0].path, "/run/netns/a");
  spec.linux_->namespaces.push_back({"moon", ""});
  EXPECT_FALSE(plan_of(spec));
}

TEST(InitPlan, BindsGetDescriptorsAndIdMaps) {
  auto spec = base_spec();
  spec.mounts = {{.destination = "/proc", .type = "proc", .source = "proc", .options = {"nosuid", "noexec"}, .uid_mappings = {}, .gid_mappings = {}},
                 {.destination = "data", .type = "bind", .source = "data", .options = {"rbind", "ro", "idmap"}, .uid_mappings = {}, .gid_mappings = {}}};
  auto plan = plan_of(spec);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->mounts[0].fd_index, -1);
  EXPECT_EQ(plan->mounts[0].options.attr_set, std::uint64_t{MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC});
  EXPECT_EQ(plan->mounts[1].fd_index, 0);
  EXPECT_EQ(plan->mounts[1].destination, "/data");
  EXPECT_EQ(plan->mounts[1].source, "/bundle/data");
  EXPECT_TRUE(plan->mounts[1].options.recursive_bind);
  EXPECT_TRUE(plan->mounts[1].options.idmap);
  spec.linux_->uid_mappings.clear();
  EXPECT_FALSE(plan_of(spec)) << "idmap without any maps";
}

TEST(InitPlan, ProcBoundOntoItselfIsTheContainersOwn) {
  auto spec = base_spec();
  spec.mounts = {{.destination = "/proc/sys/net", .type = "bind", .source = "/proc/sys/net", .options = {"bind"}, .uid_mappings = {}, .gid_mappings = {}},
                 {.destination = "/srv", .type = "bind", .source = "/srv", .options = {"bind"}, .uid_mappings = {}, .gid_mappings = {}}};
  auto plan = plan_of(spec);
  EXPECT_TRUE(plan->mounts[0].from_own_tree);
  EXPECT_EQ(plan->mounts[0].fd_index, -1);
  EXPECT_FALSE(plan->mounts[1].from_own_tree);
  EXPECT_EQ(plan->mounts[1].fd_index, 0);
}

TEST(InitPlan, SeccompIsLoadedWhereItStillMay) {
  auto spec = base_spec();
  spec.linux_->seccomp.emplace();
  EXPECT_EQ(plan_of(spec)->seccomp_point, SeccompPoint::kBeforeExec);  // keeps everything, CAP_SYS_ADMIN with it
  spec.process->capabilities = oci::Capabilities{{"CAP_CHOWN"}, {"CAP_CHOWN"}, {}, {"CAP_CHOWN"}, {}};
  EXPECT_EQ(plan_of(spec)->seccomp_point, SeccompPoint::kBeforeCapabilities);
  spec.process->no_new_privileges = true;
  EXPECT_EQ(plan_of(spec)->seccomp_point, SeccompPoint::kBeforeExec);
}

TEST(InitPlan, DevicesReplaceDefaultsAndAreBoundInUserNamespaces) {
  auto spec = base_spec();
  oci::Device tun;
  tun.path = "/dev/net/tun";
  tun.type = "c";
  tun.major = 10;
  tun.minor = 200;
  oci::Device null = tun;
  null.path = "/dev/null";
  null.major = 1;
  null.minor = 3;
  null.file_mode = 0600;
  spec.linux_->devices = {tun, null};
  auto plan = plan_of(spec);
  ASSERT_EQ(plan->devices.size(), 7u);
  EXPECT_EQ(plan->devices[0].device.file_mode, 0600u);
  EXPECT_TRUE(plan->devices[6].bind);
  EXPECT_EQ(plan->devices[6].fd_index, 0) << "made by the launcher, with the container's owner";
  EXPECT_EQ(plan->devices[0].fd_index, -1);
}

TEST(InitPlan, DescribesEveryStep) {
  auto spec = base_spec();
  spec.hostname = "web";
  spec.mounts = {{.destination = "/proc", .type = "proc", .source = "proc", .options = {"nosuid"}, .uid_mappings = {}, .gid_mappings = {}}};
  spec.linux_->masked_paths = {"/proc/kcore"};
  auto lines = describe(*plan_of(spec), spec);
  EXPECT_THAT(lines, testing::IsSupersetOf({"clone pid 1 with new namespaces: cgroup,ipc,mount,network,pid,user,uts",
                                            "map ids 0-65535 to 1000000-1065535 of the host", "mount proc on /proc (nosuid)",
                                            "bind device /dev/null", "hostname web", "mask /proc/kcore", "exec /sbin/init"}));
}

TEST(InitPlan, UnknownPropagationIsRefused) {
  auto spec = base_spec();
  spec.linux_->rootfs_propagation = "sideways";
  EXPECT_FALSE(plan_of(spec));
}

TEST(InitSteps, NamesAreUniqueAndExecIsLast) {
  const auto& steps = init_steps();
  for (std::size_t i = 0; i < steps.size(); ++i)
    for (std::size_t j = i + 1; j < steps.size(); ++j) EXPECT_NE(steps[i].name, steps[j].name);
  EXPECT_EQ(steps.back().name, "exec");
}

}  // namespace
}  // namespace vps::runtime
