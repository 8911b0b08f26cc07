#include "tests/unit/cli/fake_vpsd.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>

namespace vps::test {
namespace {

std::string chunk_of(const std::string& data) { return fmt::format("{:x}\r\n{}\r\n", data.size(), data); }

bool send_text(int fd, std::string_view text) {
  return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

}  // namespace

FakeVpsd::FakeVpsd() : path_(dir_ / "vpsd.sock") {
  listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  wake_.reset(::eventfd(0, EFD_CLOEXEC));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_.get(), 64) != 0)
    std::abort();
  acceptor_ = std::thread([this] { accept_loop(); });
}

FakeVpsd::~FakeVpsd() { stop(); }

void FakeVpsd::stop() {
  {
    std::scoped_lock lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  changed_.notify_all();
  acceptor_.join();
  for (auto& thread : threads_) thread.join();
  listener_.reset();
  (void)remove_file(path_);
}

void FakeVpsd::accept_loop() {
  while (true) {
    std::array<pollfd, 2> items{{{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
    ::poll(items.data(), items.size(), -1);
    if (items[1].revents != 0) return;
    int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void FakeVpsd::serve(int raw) {
  UniqueFd fd(raw);
  std::string input;
  while (true) {
    auto head = input.find("\r\n\r\n");
    std::size_t length = 0;
    if (head != std::string::npos) {
      auto field = input.find("Content-Length: ");
      if (field < head) length = std::stoul(input.substr(field + 16));
    }
    if (head == std::string::npos || input.size() < head + 4 + length) {
      std::array<pollfd, 2> items{{{fd.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
      ::poll(items.data(), items.size(), -1);
      if (items[1].revents != 0) return;
      std::array<char, 65536> buffer{};
      ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
      if (n <= 0) return;
      input.append(buffer.data(), static_cast<std::size_t>(n));
      continue;
    }
    auto line = input.substr(0, input.find(" HTTP/1.1\r\n"));
    auto body = input.substr(head + 4, length);
    input.erase(0, head + 4 + length);
    Answer prepared = take(line);
    {
      std::scoped_lock lock(mutex_);
      requests_.push_back(body.empty() ? line : line + " " + body);
    }
    changed_.notify_all();
    if (!answer(fd.get(), prepared)) return;
  }
}

Answer FakeVpsd::take(const std::string& request) {
  std::scoped_lock lock(mutex_);
  auto found = answers_.find(request);
  if (found == answers_.end())
    return Answer{.status = 404, .body = fmt::format(R"({{"code":"not_found","message":"nothing prepared for {}","details":{{}}}})", request)};
  Answer answer = found->second.front();
  if (found->second.size() > 1) found->second.pop_front();
  return answer;
}

bool FakeVpsd::answer(int fd, const Answer& prepared) {
  if (!prepared.raw.empty()) {
    send_text(fd, prepared.raw);
    return false;
  }
  if (prepared.hang) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_; });
    return false;
  }
  if (prepared.chunks.empty() && !prepared.open_end)
    return send_text(fd, fmt::format("HTTP/1.1 {} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", prepared.status,
                                     prepared.body.size(), prepared.body));
  send_text(fd, fmt::format("HTTP/1.1 {} X\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n", prepared.status));
  for (const auto& chunk : prepared.chunks) send_text(fd, chunk_of(chunk));
  if (!prepared.open_end) return send_text(fd, "0\r\n\r\n");
  std::unique_lock lock(mutex_);
  open_ended_.push_back(fd);
  changed_.notify_all();
  changed_.wait(lock, [this] { return stopping_; });
  std::erase(open_ended_, fd);
  return false;
}

void FakeVpsd::on(const std::string& request, Answer answer) {
  std::scoped_lock lock(mutex_);
  answers_[request].push_back(std::move(answer));
}

std::vector<std::string> FakeVpsd::requests() {
  std::scoped_lock lock(mutex_);
  return requests_;
}

bool FakeVpsd::wait_for_requests(std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return requests_.size() >= count; });
}

void FakeVpsd::push(const std::string& chunk) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::seconds(10), [&] { return !open_ended_.empty(); });
  for (int fd : open_ended_) send_text(fd, chunk_of(chunk));
}

}  // namespace vps::test
