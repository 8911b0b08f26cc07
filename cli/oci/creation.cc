#include "cli/oci/creation.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <iterator>

#include "base/failpoint.h"
#include "base/files.h"
#include "base/log.h"
#include "base/units.h"
#include "cgroups/systemd_unit.h"
#include "cli/oci/fd_socket.h"
#include "cli/oci/log.h"
#include "cli/oci/resources.h"
#include "namespaces/clone.h"
#include "runtime/hooks.h"
#include "runtime/resctrl.h"
#include "specs/oci/json.h"
#include "specs/oci/validate.h"

namespace vps::vpsrun {
namespace {

Result<std::string> absolute(const std::string& path) {
  std::array<char, PATH_MAX> buffer{};
  if (::realpath(path.c_str(), buffer.data()) == nullptr) return fail_errno(errno, "{}", path);
  return std::string(buffer.data());
}

bool has_new(const oci::Spec& spec, std::string_view type) {
  for (const auto& entry : spec.linux_->namespaces)
    if (entry.type == type) return entry.path.empty();
  return false;
}

// runtime-spec "Cgroup ownership": cgroup v2, a new cgroup namespace, and the cgroup file system mounted writable.
bool owns_cgroup(const oci::Spec& spec) {
  if (spec.linux_->uid_mappings.empty() || !has_new(spec, "cgroup")) return false;
  for (const auto& mount : spec.mounts) {
    if (mount.type != "cgroup" && mount.type != "cgroup2") continue;
    return std::ranges::find(mount.options, "ro") == mount.options.end();
  }
  return false;
}

Result<oci::Spec> read_config(const std::string& text) {
  auto spec = VPS_TRY_CTX("config.json", oci::parse_spec(text));
  VPS_TRY_CTX("config.json", oci::validate(spec));
  if (!spec.process) return fail(Code::kUsage, "config.json: process: missing");
  if (!spec.linux_) spec.linux_.emplace();
  return spec;
}

}  // namespace

Result<int> preserved_descriptors(const Arguments& arguments) {
  constexpr std::uint64_t kMost = 1024;
  std::uint64_t count = 0;
  if (const auto* given = arguments.value("preserve-fds")) count = VPS_TRY_CTX("--preserve-fds", parse_u64(*given));
  if (const char* passed = ::getenv("LISTEN_FDS")) {
    auto more = parse_u64(passed);
    if (more) count += *more;
  }
  if (count > kMost) return fail(Code::kUsage, "--preserve-fds: more than {} descriptors", kMost);
  for (int fd = 3; fd < 3 + static_cast<int>(count); ++fd)
    if (::fcntl(fd, F_GETFD) < 0) return fail(Code::kUsage, "--preserve-fds: descriptor {} is not open", fd);
  return static_cast<int>(count);
}

Result<CreateOptions> create_options(const Arguments& arguments) {
  CreateOptions options;
  options.id = arguments.positionals().at(0);
  VPS_TRY(check_id(options.id));
  options.bundle = arguments.value_or("bundle", ".");
  options.config = arguments.value_or("config", "");
  options.pid_file = arguments.value_or("pid-file", "");
  options.console_socket = arguments.value_or("console-socket", "");
  options.pidfd_socket = arguments.value_or("pidfd-socket", "");
  options.no_pivot = arguments.flag("no-pivot");
  options.no_new_keyring = arguments.flag("no-new-keyring");
  options.preserve_fds = VPS_TRY(preserved_descriptors(arguments));
  return options;
}

std::string session_keyring_name(const std::string& id) { return "_ses." + id; }

Result<> check_terminal(bool terminal, bool detached, const std::string& console_socket) {
  if (terminal && detached && console_socket.empty())
    return fail(Code::kUsage, "cannot allocate tty if runtime will detach without setting console socket");
  if (!terminal && detached && !console_socket.empty())
    return fail(Code::kUsage, "cannot use console socket if runtime will not detach or allocate tty");
  return {};
}

Result<std::unique_ptr<Creation>> Creation::begin(const Context& context, CreateOptions options) {
  options.bundle = VPS_TRY_CTX("bundle", absolute(options.bundle));
  auto text = VPS_TRY_CTX("bundle", read_file(options.config.empty() ? options.bundle + "/config.json" : options.config));
  auto spec = VPS_TRY(read_config(text));
  settle_ambient(*spec.process);
  if (options.waits || options.restore) VPS_TRY(check_terminal(spec.process->terminal, options.waits || options.detached, options.console_socket));
  if (int count = options.preserve_fds; count > 0 && ::getenv("LISTEN_FDS") != nullptr) {
    // The first program of the container is the one that the sockets are meant for.
    spec.process->env.push_back(fmt::format("LISTEN_FDS={}", ::getenv("LISTEN_FDS")));
    spec.process->env.emplace_back("LISTEN_PID=1");
  }
  auto container = VPS_TRY(Container::make(context, options.id));
  std::unique_ptr<Creation> creation(new Creation(std::move(container), std::move(options), std::move(spec)));
  VPS_TRY(failpoint::hit("create.made"));
  VPS_TRY(creation->container_.store_config(text));
  VPS_TRY(creation->launch(context));
  return creation;
}

Creation::~Creation() {
  if (!undo_) return;
  auto ended = container_.kill_all();
  if (!ended) log::warning("{}", ended.error().to_string());
  if (process()) (void)process().try_wait();
  end_placeholder();
  group_.reset();
  auto removed = container_.release_network(spec_, true);
  if (!removed) log::warning("{}", removed.error().to_string());
  if (spec_.linux_->intel_rdt) removed = runtime::leave_resctrl(runtime::kResctrlRoot, *spec_.linux_->intel_rdt, container_.id());
  if (!removed) log::warning("{}", removed.error().to_string());
  removed = container_.remove_group();
  if (!removed) log::warning("{}", removed.error().to_string());
  run_poststop(container_, spec_);
  removed = container_.remove();
  if (!removed) log::warning("{}", removed.error().to_string());
}

// A user to whom no cgroup is delegated has none to make. That is an error only when limits are asked for, or a place.
bool Creation::may_go_without(const Error& error) const {
  if (!options_.rootless || (error.err() != EACCES && error.err() != EPERM && error.err() != EROFS)) return false;
  if (!spec_.linux_->cgroups_path.empty()) return false;
  if (!spec_.linux_->resources) return true;
  auto limits = without_unset(*spec_.linux_->resources);
  limits.devices.clear();  // a user namespace has no devices but those that are bound
  return limits == oci::Resources{};
}

Result<> Creation::make_group() {
  if (!container_.record().unit.empty()) {
    VPS_TRY(make_unit());
  } else {
    if (container_.record().cgroup.empty()) return {};
    const auto* host = VPS_TRY(container_.host());
    auto created = cgroups::Group::create(*host, container_.record().cgroup);
    if (!created) {
      // What stands there under this name is not ours: no clean-up may touch it.
      auto record = container_.record();
      record.cgroup.clear();
      VPS_TRY(container_.store(std::move(record)));
      if (may_go_without(created.error())) return {};
      return std::unexpected(std::move(created).error());
    }
    group_ = std::move(*created);
  }
  VPS_TRY(failpoint::hit("create.cgroup"));
  return limit_group();
}

// A scope needs a process to be made around, and ours is not there yet.
Result<> Creation::make_unit() {
  auto systemd = VPS_TRY(cgroups::Systemd::connect());
  auto name = VPS_TRY(cgroups::parse_scope_name(spec_.linux_->cgroups_path, options_.id, cgroups::Systemd::default_slice()));
  auto properties = VPS_TRY(cgroups::annotated_properties(spec_.annotations));
  if (spec_.linux_->resources) std::ranges::move(cgroups::unit_properties(without_unset(*spec_.linux_->resources)), std::back_inserter(properties));
  auto cloned = VPS_TRY(namespaces::clone_process({}));
  if (cloned.child) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close_range(0, ~0U, 0);
    while (true) ::pause();
  }
  placeholder_ = std::move(cloned.process);
  VPS_TRY(systemd.start_scope(name, placeholder_.pid(), std::move(properties)));
  auto host = cgroups::host_of_units(VPS_TRY(cgroups::Host::discover()));
  auto record = container_.record();
  record.cgroup = VPS_TRY(cgroups::unit_cgroup_of(host, placeholder_.pid()));
  VPS_TRY(container_.store(std::move(record)));
  group_ = VPS_TRY(cgroups::Group::adopt(host, container_.record().cgroup));
  return {};
}

void Creation::end_placeholder() {
  if (!placeholder_) return;
  (void)placeholder_.signal(SIGKILL);
  (void)placeholder_.wait();
  placeholder_ = {};
}

Result<> Creation::limit_group() {
  std::vector<oci::DeviceRule> rules;
  if (spec_.linux_->resources) {
    auto resources = without_unset(*spec_.linux_->resources);
    rules = std::move(resources.devices);
    resources.devices.clear();
    auto limits = VPS_TRY(group_->apply(resources));
    VPS_TRY(require_enforced(limits));
  }
  auto filtered = cgroups::apply_device_filter(group_->dirfd(), with_default_devices(std::move(rules)));
  // It needs CAP_BPF of the host, and in a user's own namespace there is nothing to filter: no device node works but those bound.
  if (!filtered && !(options_.rootless && filtered.error().err() == EPERM)) return std::unexpected(std::move(filtered).error().wrap("device filter"));
  if (owns_cgroup(spec_)) {
    auto uid = namespaces::map_to_host(spec_.linux_->uid_mappings, spec_.process->user.uid);
    auto gid = namespaces::map_to_host(spec_.linux_->gid_mappings, spec_.process->user.gid);
    if (uid >= 0 && gid >= 0) VPS_TRY(group_->delegate(static_cast<uid_t>(uid), static_cast<gid_t>(gid)));
  }
  return failpoint::hit("create.limits");
}

Result<> Creation::launch(const Context& context) {
  options_.rootless = context.rootless;
  Record record;
  record.id = options_.id;
  record.oci_version = spec_.oci_version;
  record.bundle = options_.bundle;
  record.rootfs = spec_.root->path.starts_with('/') ? spec_.root->path : options_.bundle + "/" + spec_.root->path;
  record.created = time_now();
  record.owner = ::geteuid();
  if (context.cgroups == CgroupManager::kSystemd) {
    VPS_TRY(cgroups::Systemd::connect());
    record.unit = VPS_TRY(cgroups::parse_scope_name(spec_.linux_->cgroups_path, options_.id, cgroups::Systemd::default_slice())).unit;
  } else if (context.cgroups == CgroupManager::kCgroupfs) {
    record.cgroup = VPS_TRY(cgroup_path(spec_.linux_->cgroups_path, options_.id));
  }
  record.net_devices = !spec_.linux_->net_devices.empty();
  record.intel_rdt = spec_.linux_->intel_rdt.has_value();
  record.own_pid_namespace = has_new(spec_, "pid");
  record.poststart = spec_.hooks && !spec_.hooks->poststart.empty();
  record.poststop = spec_.hooks && !spec_.hooks->poststop.empty();
  record.annotations = spec_.annotations;
  // Before the first kernel object: whatever happens, delete --force finds its name here.
  VPS_TRY(container_.store(record));
  VPS_TRY(failpoint::hit("create.recorded"));
  VPS_TRY(make_group());
  if (options_.restore) return restore_process();
  record.cgroup = container_.record().cgroup;
  if (options_.waits) listener_ = VPS_TRY(container_.listen());

  runtime::LaunchRequest request;
  request.id = options_.id;
  request.spec = &spec_;
  request.bundle = options_.bundle;
  request.group = group_ ? &*group_ : nullptr;
  request.start_listener = listener_ ? listener_.get() : -1;
  request.preserve_fds = options_.preserve_fds;
  request.no_pivot = options_.no_pivot;
  request.console_by_pty_name = true;
  if (!options_.no_new_keyring) request.keyring = session_keyring_name(options_.id);
  request.seccomp_cache = context.seccomp_cache;
  request.on_process = [&](const PidFd& process) -> Result<> {
    record.pid = process.pid();
    record.start_time = VPS_TRY(process_start_time(process.pid()));
    VPS_TRY(container_.store(record));
    if (record.net_devices && has_new(spec_, "network")) VPS_TRY_CTX("network namespace", container_.pin_network(process.pid()));
    return {};
  };
  request.on_console = [this](UniqueFd master) { return take_terminal(std::move(master)); };
  launcher_ = VPS_TRY(runtime::Launcher::create(std::move(request)));
  end_placeholder();
  listener_.reset();
  VPS_TRY(failpoint::hit("create.launched"));
  record.complete = true;
  VPS_TRY(container_.store(std::move(record)));
  return announce();
}

Result<> Creation::take_terminal(UniqueFd master) {
  if (!options_.console_socket.empty()) return hand_over(options_.console_socket, "/dev/pts/ptmx", master.get());
  console_ = std::move(master);
  return {};
}

Result<> Creation::announce() {
  const auto& process = this->process();
  if (auto listener = launcher_ ? launcher_->take_seccomp_listener() : UniqueFd())
    VPS_TRY_CTX("seccomp listener", send_seccomp_listener(spec_, container_.record(), process.pid(), false, listener.get()));
  if (!options_.pidfd_socket.empty())
    VPS_TRY_CTX("--pidfd-socket", hand_over(options_.pidfd_socket, "pidfd", process.fd()));
  if (!options_.pid_file.empty())
    VPS_TRY_CTX("--pid-file", write_pid_file(options_.pid_file, process.pid()));
  return failpoint::hit("create.announced");
}

Result<> write_pid_file(const std::string& path, pid_t pid) {
  auto slash = path.rfind('/');
  auto dir = VPS_TRY(open_dir(slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash)));
  // Whole or not at all: engines watch for the file.
  return replace_file_at(dir.get(), slash == std::string::npos ? path : path.substr(slash + 1), std::to_string(pid));
}

Result<> run_poststart(const Container& container, const oci::Spec& spec) {
  if (!spec.hooks || spec.hooks->poststart.empty()) return {};
  const auto& record = container.record();
  auto state = runtime::hook_state(spec, record.id, record.bundle, record.pid, "running");
  auto done = runtime::run_hooks(spec.hooks->poststart, state);
  if (done) return {};
  auto killed = container.kill_all();
  if (!killed) log::warning("{}", killed.error().to_string());
  return std::unexpected(std::move(done).error().wrap("poststart hook"));
}

void run_poststop(const Container& container, const oci::Spec& spec) {
  if (!spec.hooks) return;
  const auto& record = container.record();
  auto state = runtime::hook_state(spec, record.id, record.bundle, 0, "stopped");
  // Each runs, whatever the one before did (runtime-spec "Poststop").
  for (const auto& hook : spec.hooks->poststop) {
    auto done = runtime::run_hooks({hook}, state);
    if (!done) log::warning("poststop hook: {}", done.error().to_string());
  }
}

Result<> send_seccomp_listener(const oci::Spec& spec, const Record& record, pid_t pid, bool of_exec, int listener) {
  const auto& seccomp = *spec.linux_->seccomp;
  auto state = runtime::hook_state(spec, record.id, record.bundle, of_exec ? record.pid : pid, of_exec ? "running" : "creating");
  // config-linux.md "containerProcessState"
  auto text = fmt::format("{{\"ociVersion\":{},\"fds\":[\"seccompFd\"],\"pid\":{},\"metadata\":{},\"state\":{}}}",
                          json_string(spec.oci_version), pid, json_string(seccomp.listener_metadata), state);
  return hand_over(seccomp.listener_path, text, listener);
}

}  // namespace vps::vpsrun
