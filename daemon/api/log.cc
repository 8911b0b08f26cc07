// GET .../log: the console log, from its file (and the older half beside it); following is by inotify(7), so that it works
// for a VPS that does not run, and over restarts of it.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/files.h"

#include <nlohmann/json.hpp>
#include "daemon/api/handlers.h"

namespace vps::daemon::api {
namespace {

constexpr std::uint64_t kDefaultTail = 64u << 10;
constexpr std::size_t kChunk = 64u << 10;

// The current log file as it grows; reopened when another file has taken its name.
class LogFile {
 public:
  explicit LogFile(std::string path) : path_(std::move(path)) { reopen(); }

  // Appends what is new to `out`; goes on in the new file after a rotation.
  void read_new(std::string* out) {
    read_rest(out);
    struct stat now{};
    struct stat mine{};
    bool same = fd_ && ::stat(path_.c_str(), &now) == 0 && ::fstat(fd_.get(), &mine) == 0 && now.st_ino == mine.st_ino &&
                now.st_dev == mine.st_dev;
    if (same) return;
    read_rest(out);  // what was written between the read and the rename
    reopen();
    read_rest(out);
  }

 private:
  void reopen() {
    auto fd = open_path(path_, O_RDONLY | O_NOFOLLOW);
    fd_ = fd ? std::move(*fd) : UniqueFd();
  }
  void read_rest(std::string* out) {
    if (!fd_) return;
    std::array<char, kChunk> buffer{};
    ssize_t n = 0;
    while ((n = ::read(fd_.get(), buffer.data(), buffer.size())) > 0) out->append(buffer.data(), static_cast<std::size_t>(n));
  }
  std::string path_;
  UniqueFd fd_;
};

void drain_events(int fd) {
  std::array<char, 4096> buffer{};
  while (::read(fd, buffer.data(), buffer.size()) > 0) {
  }
}

}  // namespace

Result<Reply> container_log(const Call& call) {
  auto container = VPS_TRY(call.context.manager.find(call.param("vps")));
  const auto tail = VPS_TRY(query_number(call.request, "tail")).value_or(kDefaultTail);
  const bool follow = VPS_TRY(query_flag(call.request, "follow"));
  const std::string& path = container->paths.console_log;

  UniqueFd changes;
  if (follow) {
    // Watched before the first read, so that nothing falls in between.
    changes = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!changes) return fail_errno(errno, "inotify (fs.inotify.max_user_instances)");
    if (::inotify_add_watch(changes.get(), container->paths.state_dir.c_str(),
                            IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF) < 0)
      return fail_errno(errno, "watch {}", container->paths.state_dir);
  }
  std::string text;
  if (auto older = read_file(path + ".1")) text = std::move(*older);
  LogFile log(path);
  log.read_new(&text);
  if (text.size() > tail) text.erase(0, text.size() - tail);

  if (!call.stream.begin("text/plain; charset=utf-8")) return Reply{.streamed = true};
  bool reading = text.empty() || call.stream.write(text);
  if (follow) {
    UniqueFd left(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    std::stop_callback wake(call.request.gone, [&] {
      std::uint64_t one = 1;
      (void)!::write(left.get(), &one, sizeof one);
    });
    while (reading && left && !call.request.gone.stop_requested()) {
      std::array<pollfd, 2> items = {pollfd{changes.get(), POLLIN, 0}, pollfd{left.get(), POLLIN, 0}};
      if (::poll(items.data(), items.size(), -1) < 0 && errno != EINTR) break;
      drain_events(changes.get());
      text.clear();
      log.read_new(&text);
      if (!text.empty()) reading = call.stream.write(text);
      std::scoped_lock lock(container->mutex);
      if (container->gone) break;
    }
  }
  return Reply{.streamed = true};
}

}  // namespace vps::daemon::api
