// create and the first half of run: from a bundle to a container that waits for its start.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "cli/oci/container.h"
#include "cli/oci/context.h"
#include "cli/oci/criu_rpc.h"
#include "runtime/launcher.h"
#include "specs/oci/spec.h"

namespace vps::vpsrun {

// Options that create and run share, for their tables.
inline constexpr OptionSpec kBundleOption{.name = "bundle", .letter = 'b', .value = "DIR",
                                          .help = "the bundle: a directory with config.json; default: the current one"};
inline constexpr OptionSpec kConfigOption{.name = "config", .letter = 'f', .value = "FILE", .help = "instead of the bundle's config.json"};
inline constexpr OptionSpec kPidFileOption{.name = "pid-file", .value = "FILE", .help = "write the pid of the container's first process there"};
inline constexpr OptionSpec kConsoleSocketOption{.name = "console-socket", .value = "PATH",
                                                 .help = "unix socket that is sent the master end of the container's terminal"};
inline constexpr OptionSpec kPidfdSocketOption{.name = "pidfd-socket", .value = "PATH",
                                               .help = "unix socket that is sent a pidfd of the new process"};
inline constexpr OptionSpec kPreserveFdsOption{.name = "preserve-fds", .value = "N",
                                               .help = "pass on N descriptors from 3 on, besides those of $LISTEN_FDS"};
inline constexpr OptionSpec kNoPivotOption{.name = "no-pivot", .help = "chroot instead of pivot_root: weaker; for roots on a ramfs"};
inline constexpr OptionSpec kNoNewKeyringOption{.name = "no-new-keyring", .help = "share the caller's session keyring"};

struct CreateOptions {
  std::string id;
  std::string bundle = ".", config, pid_file, console_socket, pidfd_socket;
  int preserve_fds = 0;
  bool no_pivot = false, no_new_keyring = false;
  std::optional<CriuOptions> restore;  // from images, instead of a new process
  bool rootless = false;  // cgroups are what has been delegated to the caller, or nothing
  bool detached = false;  // restore: nobody shows a terminal
  bool waits = false;  // for another process to start it; else the launcher starts it
};
Result<CreateOptions> create_options(const Arguments& arguments);

// Everything is given back when this goes without keep(), the poststop hooks run included.
class Creation {
 public:
  static Result<std::unique_ptr<Creation>> begin(const Context& context, CreateOptions options);
  Creation(const Creation&) = delete;
  Creation& operator=(const Creation&) = delete;
  ~Creation();

  [[nodiscard]] Container& container() { return container_; }
  [[nodiscard]] const oci::Spec& spec() const { return spec_; }
  [[nodiscard]] runtime::Launcher& launcher() { return *launcher_; }
  [[nodiscard]] const PidFd& process() const { return launcher_ ? launcher_->process() : restored_; }
  // The master of the container's terminal when no console socket took it.
  [[nodiscard]] UniqueFd take_console() { return std::move(console_); }
  void keep() { undo_ = false; }

 private:
  Creation(Container container, CreateOptions options, oci::Spec spec)
      : container_(std::move(container)), options_(std::move(options)), spec_(std::move(spec)) {}
  Result<> launch(const Context& context);
  Result<> make_group();
  Result<> make_unit();
  [[nodiscard]] bool may_go_without(const Error& error) const;
  void end_placeholder();
  Result<> limit_group();
  Result<> take_terminal(UniqueFd master);
  // restore.cc
  Result<> restore_process();
  Result<> serve_criu(int socket, const std::string& request);
  Result<> on_criu_notification(const CriuMessage& message, UniqueFd fd);
  Result<> announce();

  Container container_;
  CreateOptions options_;
  oci::Spec spec_;
  UniqueFd console_;
  std::optional<cgroups::Group> group_;
  PidFd restored_;
  bool has_terminal_ = false;  // of a restored process
  PidFd placeholder_;  // holds a scope of systemd open until the container is in it
  std::optional<runtime::Launcher> launcher_;
  UniqueFd listener_;
  bool undo_ = true;
};

// Descriptors to pass on: N of --preserve-fds and those that a service manager has passed to us (sd_listen_fds(3)). kUsage
// when one of them is not open.
Result<int> preserved_descriptors(const Arguments& arguments);
// Runs the poststart hooks; when one fails the container is killed (runtime-spec "Lifecycle", step 10).
Result<> run_poststart(const Container& container, const oci::Spec& spec);
void run_poststop(const Container& container, const oci::Spec& spec);  // failures are warnings
Result<> write_pid_file(const std::string& path, pid_t pid);
std::string session_keyring_name(const std::string& id);
Result<> check_terminal(bool terminal, bool detached, const std::string& console_socket);
// The listener and the "container process state" to linux.seccomp.listenerPath.
Result<> send_seccomp_listener(const oci::Spec& spec, const Record& record, pid_t pid, bool of_exec, int listener);

}  // namespace vps::vpsrun
