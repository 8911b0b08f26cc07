// checkpoint and restore by the program criu(8), which does the work: its options, and what of a container is not in its
// images because it belongs to the host. What is said to it: criu_rpc.h.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/oci/context.h"
#include "specs/oci/spec.h"

namespace vps::vpsrun {

// Options that checkpoint and restore share, for their tables.
inline constexpr OptionSpec kImagePathOption{.name = "image-path", .value = "DIR", .help = "criu's image files; default: ./checkpoint"};
inline constexpr OptionSpec kWorkPathOption{.name = "work-path", .value = "DIR", .help = "criu's log and statistics; default: the image path"};
inline constexpr OptionSpec kTcpEstablishedOption{.name = "tcp-established", .help = "established TCP connections as well"};
inline constexpr OptionSpec kExtUnixSkOption{.name = "ext-unix-sk", .help = "unix sockets whose other end is outside as well"};
inline constexpr OptionSpec kShellJobOption{.name = "shell-job", .help = "a process on a terminal that it has from outside"};
inline constexpr OptionSpec kFileLocksOption{.name = "file-locks", .help = "file locks as well"};
inline constexpr OptionSpec kManageCgroupsOption{.name = "manage-cgroups-mode", .value = "MODE", .help = "what criu does about cgroups",
                                                 .choices = "soft full strict ignore"};
inline constexpr OptionSpec kEmptyNsOption{.name = "empty-ns", .value = "NAMESPACE", .help = "make it, without what was in it", .repeated = true};
inline constexpr OptionSpec kAutoDedupOption{.name = "auto-dedup", .help = "drop memory from parent images that a later one holds"};
inline constexpr OptionSpec kLazyPagesOption{.name = "lazy-pages", .help = "memory is fetched when it is touched (userfaultfd)"};

struct CriuOptions {
  std::string image_path, work_path;  // absolute
  std::string parent_path, manage_cgroups, lsm_profile, lsm_mount_context;
  std::string page_address;
  std::uint16_t page_port = 0;
  int status_fd = -1;
  std::vector<std::string> empty_ns;
  std::vector<std::string> flags;  // by their names on criu's command line: "tcp-established" ...
};
// Makes the image path when `make`.
Result<CriuOptions> criu_options(const Arguments& arguments, bool make);

// What belongs to the host, as it is kept beside the images (vpsrun.json).
struct External {
  struct Mount {
    std::string inside, host;
    bool operator==(const Mount&) const = default;
  };
  std::vector<Mount> mounts;
  std::array<std::string, 3> stdio;  // criu's names of descriptors that are ours to give: "pipe:[77]", "file[1a:2b]"; empty: none
  bool operator==(const External&) const = default;
};
std::string format_external(const External& external);
Result<External> parse_external(std::string_view text);

// Mounts of the container whose file system the host has mounted as well, with where that is. Not "/", nor kinds that criu makes
// anew. Both texts are /proc/PID/mountinfo. Pure.
std::vector<External::Mount> external_mounts(std::string_view container, std::string_view host);
Result<External> look_at_external(pid_t pid);

// A namespace that config.json gives by path, which criu knows by a key.
struct ExternalNamespace {
  std::string type, path, key;  // "network" "/run/netns/x" "extRootNetNS"
};
std::vector<ExternalNamespace> external_namespaces(const oci::Spec& spec);

struct CriuDirs {
  int images = -1, work = -1;  // as descriptors of ours
};
struct RestorePlaces {
  std::string root;      // a mount of the root file system
  CriuDirs dirs;
  std::string cgroup;    // directory that a cgroup mount of the container shows; empty: what the images say
  std::array<int, 3> stdio{-1, -1, -1};  // descriptors for External::stdio
  std::vector<int> namespaces;           // open descriptors of external_namespaces(), in their order
};
// External::mounts with where they come from now: a mount of config.json may have another source than it had.
std::vector<External::Mount> restored_mounts(const External& external, const oci::Spec& spec, const RestorePlaces& places);

// The program's path. kUnavailable when it is not installed.
Result<std::string> find_criu();
// What criu's log says went wrong, and where the log is.
std::string criu_failure(const std::string& log_file);

}  // namespace vps::vpsrun
