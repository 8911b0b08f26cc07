#include "daemon/networks/resolvers.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "base/files.h"
#include "base/log.h"
#include "daemon/guest_root.h"
#include "runtime/supervisor/client.h"

namespace vps::daemon {
namespace {

constexpr const char* kResolved = "/run/systemd/resolve/resolv.conf";
constexpr const char* kInherit = "inherit";
constexpr const char* kGuestFile = "/etc/resolv.conf";
// A manager of networks writes several times within a moment.
constexpr std::chrono::milliseconds kSettle{300};

bool inherits(const Definition& definition) {
  const auto& network = definition.network;
  return network.configure && !network.interfaces.empty() &&
         (network.nameservers.empty() || std::ranges::find(network.nameservers, kInherit) != network.nameservers.end());
}

std::string parent_of(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

// Servers that only the host itself can reach are nothing for a VPS.
std::vector<std::string> host_nameservers(const std::string& resolv_conf) {
  constexpr std::size_t kMaxFile = 64u << 10;
  std::vector<std::string> servers;
  // systemd-resolved keeps the real ones apart from the stub that stands in /etc.
  for (const std::string& path : {resolv_conf, std::string(kResolved)}) {
    auto text = read_file(path, kMaxFile);
    if (!text || !servers.empty()) continue;
    for (std::size_t at = 0; at < text->size();) {
      auto end = std::min(text->find('\n', at), text->size());
      std::string_view line = std::string_view(*text).substr(at, end - at);
      at = end + 1;
      constexpr std::string_view kKey = "nameserver ";
      if (!line.starts_with(kKey)) continue;
      line.remove_prefix(std::min(line.find_first_not_of(" \t", kKey.size()), line.size()));
      auto address = parse_ip(line.substr(0, line.find_first_of(" \t#;")));
      if (!address || (address->family == Family::kV4 && address->bytes[0] == 127) || format_ip(*address) == "::1") continue;
      servers.push_back(format_ip(*address));
    }
  }
  return servers;
}

GuestNames guest_names(const Definition& definition, const std::string& resolv_conf) {
  GuestNames names;
  const auto& network = definition.network;
  names.configure = network.configure && !network.none;
  names.hostname = definition.hostname.empty() ? definition.id : definition.hostname;
  names.search = network.search;
  auto add = [&](const std::string& server) {
    if (std::ranges::find(names.nameservers, server) == names.nameservers.end()) names.nameservers.push_back(server);
  };
  for (const auto& server : network.nameservers.empty() ? std::vector<std::string>{kInherit} : network.nameservers) {
    if (server != kInherit) {
      add(server);
      continue;
    }
    for (const auto& each : host_nameservers(resolv_conf)) add(each);
  }
  return names;
}

void Resolvers::start() {
  if (auto watched = watch(); !watched) {
    log::warning("changes of the host's name servers are not noticed: {}", watched.error().to_string());
    return;
  }
  services_.loop->post([this] {
    auto added = services_.loop->loop().add(inotify_.get(), EPOLLIN, [this](std::uint32_t) { on_change(); });
    if (!added) log::warning("changes of the host's name servers are not noticed: {}", added.error().to_string());
  });
  (void)services_.workers->post([this] { refresh(); });
}

// The directories, as a file that is replaced is another one. Called again after every change: links may lead elsewhere. What is
// watched already stays so.
Result<> Resolvers::watch() {
  if (!inotify_) inotify_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_) return fail_errno(errno, "inotify");
  std::vector<std::string> paths = {services_.config.resolv_conf, kResolved};
  constexpr std::size_t kMostLinks = 8;
  for (std::size_t i = 0; i < paths.size() && paths.size() < kMostLinks; ++i) {
    std::array<char, PATH_MAX> target{};
    ssize_t n = ::readlink(paths[i].c_str(), target.data(), target.size());
    if (n <= 0) continue;
    std::string next(target.data(), static_cast<std::size_t>(n));
    paths.push_back(next.starts_with('/') ? next : parent_of(paths[i]) + "/" + next);
  }
  bool any = false;
  for (const auto& path : paths) {
    names_.insert(path.substr(path.rfind('/') + 1));
    constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR;
    any = ::inotify_add_watch(inotify_.get(), parent_of(path).c_str(), kEvents) >= 0 || any;
  }
  if (!any) return fail_errno(errno, "watch {}", parent_of(services_.config.resolv_conf));
  return {};
}

void Resolvers::on_change() {
  alignas(inotify_event) std::array<char, 16384> buffer{};
  bool touched = false;
  for (ssize_t n = 0; (n = ::read(inotify_.get(), buffer.data(), buffer.size())) > 0;)
    for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(n);) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      touched = touched || (event->mask & IN_Q_OVERFLOW) != 0 || (event->len > 0 && names_.contains(event->name));
      at += sizeof *event + event->len;
    }
  if (!touched) return;
  (void)watch();
  auto& loop = services_.loop->loop();
  loop.cancel(timer_);
  timer_ = loop.after(kSettle, [this] {
    again_ = true;
    if (busy_.exchange(true)) return;
    bool posted = services_.workers->post([this] {
      while (again_.exchange(false)) refresh();
      busy_ = false;
    });
    if (!posted) busy_ = false;
  });
}

void Resolvers::refresh() {
  std::string changed;
  for (const auto& container : services_.registry.list()) {
    auto done = refresh(container);
    if (!done) log::warning("vps {}: its name servers: {}", container->id, done.error().to_string());
    if (done && *done) changed += (changed.empty() ? "" : ", ") + container->id;
  }
  if (!changed.empty())
    services_.ledger->append("network.resolvers", "", fmt::format("the name servers of the host have changed; vps {} has the new ones", changed));
}

// True: its file was written anew. plan.json has what was written last.
Result<bool> Resolvers::refresh(const ContainerPtr& container) {
  Definition definition;
  IdRange ids;
  int pid = 0;
  {
    std::scoped_lock lock(container->mutex);
    const auto& facts = container->facts;
    if (facts.state != State::kRunning && facts.state != State::kPaused) return false;
    if (!facts.status || facts.status->pid <= 0) return false;
    definition = facts.active ? *facts.active : facts.definition;
    ids = facts.record.ids;
    pid = facts.status->pid;
  }
  if (!inherits(definition)) return false;
  auto names = guest_names(definition, services_.config.resolv_conf);
  const auto after = guest::resolv_conf(names);
  const auto text = VPS_TRY(read_file(container->paths.plan));
  auto plan = VPS_TRY(supervisor::parse_plan(text));
  const auto before = guest::resolv_conf(plan.guest);
  // A host that knows no servers for the moment takes nothing away.
  if (after.empty() || after == before) return false;
  auto root = VPS_TRY(open_path(fmt::format("/proc/{}/root", pid), O_PATH | O_DIRECTORY));
  auto now = read_in_root(root.get(), kGuestFile);
  if (!now || *now != before) return false;
  VPS_TRY(replace_in_root(root.get(), ids, kGuestFile, after, 0644));
  plan.guest = names;
  VPS_TRY(write_file_atomic(container->paths.plan, supervisor::format_plan(plan), 0600));
  return true;
}

}  // namespace vps::daemon
