#include "cgroups/execute.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/files.h"
#include "cgroups/planner.h"
#include "cgroups/text.h"

namespace vps::cgroups {
namespace {

struct Done {
  int dirfd;
  std::string file;
  std::string old_value;
};

// One write(2). O_TRUNC as a shell's redirection: without meaning to the kernel's files, right for a test's plain ones.
Result<> write_value(int dirfd, const std::string& file, std::string_view value) {
  auto fd = VPS_TRY(open_at(dirfd, file, O_WRONLY | O_TRUNC));
  ssize_t n = 0;
  do n = ::write(fd.get(), value.data(), value.size());
  while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno(errno, "write '{}' to {}", trimmed(value), file);
  return {};
}

Result<std::string> old_value(int dirfd, const Write& write) {
  auto text = VPS_TRY(read_file_at(dirfd, write.file));
  if (write.key.empty()) {
    auto line = trimmed(text);
    return line.empty() ? std::string("\n") : std::string(line);  // an empty cpuset.cpus is restored by an empty line
  }
  auto line = line_of(text, write.key);
  if (line.empty()) return write.absent;
  return std::string(write.value_only ? trimmed(line.substr(write.key.size())) : trimmed(line));
}

class Executor {
 public:
  Executor(const CgroupPlan& plan, const DirOf& dir_of) : plan_(plan), dir_of_(dir_of) {}

  Result<> run() {
    const auto& writes = plan_.writes;
    for (std::size_t i = 0; i < writes.size(); ++i) {
      auto one = apply(writes[i]);
      bool swap = !one && one.error().err() == EINVAL && writes[i].or_after_next && i + 1 < writes.size();
      if (swap) {
        one = apply(writes[i + 1]);
        if (one) one = apply(writes[i]);
        ++i;
      }
      if (!one) return std::unexpected(roll_back(std::move(one).error().wrap("set " + writes[i].limit)));
    }
    return {};
  }

 private:
  Result<> apply(const Write& write) {
    int dirfd = dir_of_(write.hierarchy);
    if (dirfd < 0) return fail(Code::kUnavailable, "the group is not in the {} hierarchy", write.hierarchy);
    auto old = VPS_TRY(old_value(dirfd, write));
    if (write.hierarchy.empty() && write.file == "memory.max") VPS_TRY(make_room_for_memory_max(dirfd, write));
    auto written = write_value(dirfd, write.file, write.value);
    if (!written) return std::unexpected(explain_v1_memory_refusal(dirfd, write, std::move(written).error()));
    done_.push_back({dirfd, write.file, std::move(old)});
    return {};
  }

  Error roll_back(Error error) {
    std::string stuck;
    for (; !done_.empty(); done_.pop_back()) {
      const auto& last = done_.back();
      auto restored = write_value(last.dirfd, last.file, last.old_value);
      if (!restored) stuck += (stuck.empty() ? "" : ", ") + restored.error().to_string();
    }
    if (stuck.empty()) return error;
    return {error.code(), fmt::format("{} (and not put back: {})", error.to_string(), stuck)};
  }

  const CgroupPlan& plan_;
  const DirOf& dir_of_;
  std::vector<Done> done_;
};

}  // namespace

Result<> execute_plan(const CgroupPlan& plan, const DirOf& dir_of) { return Executor(plan, dir_of).run(); }

}  // namespace vps::cgroups
