#include "runtime/supervisor/console.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "base/files.h"
#include "base/wire.h"
#include "runtime/supervisor/protocol.h"

namespace vps::supervisor {
namespace {
constexpr std::size_t kChunk = 16u << 10;
constexpr std::size_t kReplay = 64u << 10;
}  // namespace

Console::Console(EventLoop& loop, std::string log_path, std::uint64_t log_size)
    : loop_(loop), log_path_(std::move(log_path)), log_size_(log_size) {}

Console::~Console() {
  if (master_) loop_.remove(master_.get());
  for (auto& reader : readers_) loop_.remove(reader.connection.fd());
}

Result<> Console::attach_master(UniqueFd master) {
  master_ = std::move(master);
  int flags = ::fcntl(master_.get(), F_GETFL);
  if (::fcntl(master_.get(), F_SETFL, flags | O_NONBLOCK) != 0) return fail_errno(errno, "set console flags");
  peer_.reset(::ioctl(master_.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!peer_) return fail_errno(errno, "open the console's other end");
  auto log = open_path(log_path_, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (log) {
    log_ = std::move(*log);
    struct stat st{};
    if (::fstat(log_.get(), &st) == 0) written_ = static_cast<std::uint64_t>(st.st_size);
  }
  return loop_.add(master_.get(), EPOLLIN, [this](std::uint32_t) { on_master(); });
}

void Console::on_master() {
  std::array<char, kChunk> buffer{};
  ssize_t n = ::read(master_.get(), buffer.data(), buffer.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    loop_.remove(master_.get());
    return;
  }
  std::string_view data(buffer.data(), static_cast<std::size_t>(n));
  append_log(data);
  for (auto it = readers_.begin(); it != readers_.end();) {
    auto reader = it++;
    send_output(reader, data);
  }
}

void Console::drain() {
  if (!master_) return;
  std::array<char, kChunk> buffer{};
  while (true) {
    ssize_t n = ::read(master_.get(), buffer.data(), buffer.size());
    if (n <= 0) return;
    std::string_view data(buffer.data(), static_cast<std::size_t>(n));
    append_log(data);
    for (auto it = readers_.begin(); it != readers_.end();) {
      auto reader = it++;
      send_output(reader, data);
    }
  }
}

void Console::append_log(std::string_view data) {
  if (!log_) return;
  if (!write_all(log_.get(), data)) return;
  written_ += data.size();
  if (written_ < log_size_) return;
  // One rename keeps the older half; readers of the file see either the old or the new name.
  (void)::rename(log_path_.c_str(), (log_path_ + ".1").c_str());
  auto fresh = open_path(log_path_, O_WRONLY | O_CREAT | O_APPEND, 0600);
  log_ = fresh ? std::move(*fresh) : UniqueFd();
  written_ = 0;
}

std::string Console::recent_log() const {
  std::string text;
  for (const auto& path : {log_path_ + ".1", log_path_}) {
    auto part = read_file(path);
    if (part) text += *part;
  }
  if (text.size() > kReplay) text.erase(0, text.size() - kReplay);
  return text;
}

void Console::send_output(std::list<Reader>::iterator reader, std::string_view data) {
  auto sent = reader->connection.send(static_cast<std::uint32_t>(Message::kSessionOutput), data);
  // A reader that does not keep up misses output (the log has it all); one that is gone is removed.
  if (!sent && sent.error().err() != EAGAIN) remove(reader);
}

void Console::add_reader(Seqpacket connection, bool readonly) {
  readers_.push_back({std::move(connection), readonly});
  auto reader = std::prev(readers_.end());
  (void)reader->connection.set_nonblocking(true);
  auto role = is_writer(reader) ? "writer" : "reader";
  if (!reader->connection.send(static_cast<std::uint32_t>(Message::kAttached), role)) {
    readers_.erase(reader);
    return;
  }
  auto watched = loop_.add(reader->connection.fd(), EPOLLIN, [this, reader](std::uint32_t) { on_reader(reader); });
  if (!watched) {
    readers_.erase(reader);
    return;
  }
  std::string replay = recent_log();
  auto size = readers_.size();
  for (std::size_t pos = 0; pos < replay.size() && readers_.size() == size; pos += kChunk)
    send_output(reader, std::string_view(replay).substr(pos, kChunk));
}

bool Console::is_writer(std::list<Reader>::iterator reader) {
  for (auto it = readers_.begin(); it != readers_.end(); ++it)
    if (!it->readonly) return it == reader;
  return false;
}

void Console::on_reader(std::list<Reader>::iterator reader) {
  auto packet = reader->connection.receive();
  if (!packet && packet.error().err() == EAGAIN) return;
  if (!packet || !*packet) {
    remove(reader);
    return;
  }
  if (!is_writer(reader) || !master_) return;
  auto type = static_cast<Message>((*packet)->type);
  if (type == Message::kSessionInput) {
    // A VPS that does not read its console loses input, as on a real line; the supervisor never waits for it.
    (void)!::write(master_.get(), (*packet)->body.data(), (*packet)->body.size());
  } else if (type == Message::kSessionResize) {
    auto size = decode_resize((*packet)->body);
    if (!size) return;
    winsize window{};
    window.ws_row = size->rows;
    window.ws_col = size->columns;
    ::ioctl(master_.get(), TIOCSWINSZ, &window);
  }
}

void Console::remove(std::list<Reader>::iterator reader) {
  loop_.remove(reader->connection.fd());
  readers_.erase(reader);
}

void Console::close_readers(std::string_view why) {
  for (auto& reader : readers_) {
    SessionError end{.code = Code::kWrongState, .exit_code = 0, .message = std::string(why)};
    (void)reader.connection.send(static_cast<std::uint32_t>(Message::kSessionError), encode(end));
    loop_.remove(reader.connection.fd());
  }
  readers_.clear();
}

}  // namespace vps::supervisor
