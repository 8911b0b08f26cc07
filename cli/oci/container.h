// A container as its state directory and the kernel know it. Status is never stored: it is looked up from the process, the
// start socket and the freezer, so that it is right whoever ended the process.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/pidfd.h"
#include "base/seqpacket.h"
#include "cgroups/cgroup.h"
#include "cli/oci/context.h"
#include "cli/oci/record.h"
#include "runtime/exec_spec.h"

namespace vps::vpsrun {

enum class Status { kCreating, kCreated, kRunning, kPaused, kStopped };
[[nodiscard]] std::string_view status_name(Status status);

class Container {
 public:
  // The directory, new and locked; kExists when the id is taken.
  static Result<Container> make(const Context& context, const std::string& id);
  // kNotFound: "container 'x' does not exist". Unlocked.
  static Result<Container> open(const Context& context, const std::string& id);
  // Ids of all state directories.
  static Result<std::vector<std::string>> ids(const Context& context);
  // Those that an extended regular expression (regex(7)) is found in, as crun's --regex.
  static Result<std::vector<std::string>> ids_matching(const Context& context, const std::string& pattern);

  // Exclusive among commands that change the container; held until this object goes. `wait` false: kBusy.
  Result<> lock(bool wait);
  Result<> reload();  // the record, once more

  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const std::string& path() const { return path_; }  // of its directory
  [[nodiscard]] const Record& record() const { return record_; }
  Result<> store(Record record);
  Result<> store_config(std::string_view text) const;
  Result<oci::Spec> spec() const;  // from the copy of config.json
  Result<runtime::ExecSpec> exec_spec(const std::string& seccomp_cache) const;

  [[nodiscard]] Status status() const;
  // The container's first process; kNotFound once it has ended.
  Result<PidFd> process() const;
  // kWrongState with the wording that engines look for when it is not in one of these.
  Result<> require(std::initializer_list<Status> allowed, std::string_view action) const;

  // Hierarchies where its group is, looked up once.
  Result<const cgroups::Host*> host() const;
  // nullopt: the container has none.
  Result<std::optional<cgroups::Group>> group() const;
  Result<> remove_group() const;
  // Keeps the network namespace of `pid` alive beyond its processes, so that devices of the host can be given back.
  Result<> pin_network(pid_t pid) const;
  // Gives them back; without any to give back nothing. One that the host does not take (its name is in use) is an error, and stays
  // inside; with `give_up` it is a warning, and the kernel does with it what it does when a namespace ends.
  Result<> release_network(const oci::Spec& spec, bool give_up) const;

  Result<UniqueFd> listen() const;  // start.sock
  Result<Seqpacket> connect() const;
  Result<> forget_listener() const;
  // Ends every process of the container; returns when none is left. Already ended is success.
  Result<> kill_all() const;
  Result<> remove();  // the directory

 private:
  Container(std::string path, std::string id) : path_(std::move(path)), id_(std::move(id)) {}
  [[nodiscard]] bool waits_for_start() const;
  [[nodiscard]] bool frozen() const;

  std::string path_, id_;
  UniqueFd dir_, lock_;
  Record record_;
  mutable std::optional<cgroups::Host> host_;
};

// State letter and start time of a process (proc(5)); nullopt when it is gone.
struct ProcessLook {
  char state = 0;
  std::uint64_t start_time = 0;
};
std::optional<ProcessLook> look_at_process(pid_t pid);

}  // namespace vps::vpsrun
