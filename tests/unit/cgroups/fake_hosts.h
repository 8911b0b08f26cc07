// Hosts as values, and cgroup trees as plain directories.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "cgroups/host.h"
#include "tests/support/temp_dir.h"

namespace vps::cgroups::test {

inline Host unified_host(const std::string& root = "/sys/fs/cgroup") {
  Host host;
  host.layout = Layout::kUnified;
  host.unified_root = host.unified_base = root;
  host.unified_controllers = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"};
  host.delegate_files = {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"};
  host.io_weight_active = true;
  return host;
}

inline Host hybrid_host(const std::string& root = "/sys/fs/cgroup") {
  Host host;
  host.layout = Layout::kHybrid;
  host.unified_root = host.unified_base = root + "/unified";
  host.unified_controllers = {"hugetlb"};
  host.delegate_files = {"cgroup.procs"};
  host.io_weight_active = true;
  auto add = [&](std::vector<std::string> controllers, const std::string& dir) {
    V1Hierarchy hierarchy;
    hierarchy.controllers = std::move(controllers);
    hierarchy.mount = hierarchy.base = root + "/" + dir;
    host.v1.push_back(std::move(hierarchy));
  };
  add({"blkio"}, "blkio");
  add({"cpu", "cpuacct"}, "cpu,cpuacct");
  add({"cpuset"}, "cpuset");
  add({"memory"}, "memory");
  add({"name=systemd"}, "systemd");
  add({"pids"}, "pids");
  return host;
}

inline void put(const std::string& path, std::string_view content) {
  ASSERT_TRUE(make_dirs(path.substr(0, path.rfind('/'))));
  auto fd = open_path(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ASSERT_TRUE(fd) << fd.error().to_string();
  ASSERT_TRUE(write_all(fd->get(), content));
}

inline std::string get(const std::string& path) {
  auto text = read_file(path);
  return text ? *text : "<" + text.error().to_string() + ">";
}

}  // namespace vps::cgroups::test
