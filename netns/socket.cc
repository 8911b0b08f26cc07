#include "netns/socket.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

namespace vps::netns {
namespace {

constexpr int kReceiveBuffer = 1 << 20;
constexpr std::size_t kDatagram = 32u << 10;       // the kernel fills dumps up to this size
constexpr timeval kPatience{.tv_sec = 10, .tv_usec = 0};  // answers are there before sendmsg returns: only ends a hang
constexpr int kDumpAttempts = 10;
// Errors of a batch each take room in the receive buffer until they are read.
constexpr std::size_t kBatch = 256;

std::unexpected<Error> refused(std::string_view what, const Acknowledgement& acknowledgement) {
  std::string text(what);
  // The kernel's words are sentences at times ("Device does not exist.").
  std::string words = acknowledgement.text;
  while (!words.empty() && (words.back() == '.' || words.back() == ' ')) words.pop_back();
  if (!words.empty()) text += ": " + words;
  Code code = code_from_errno(acknowledgement.error);
  if (acknowledgement.error == ENODEV) code = Code::kNotFound;
  return std::unexpected<Error>(Error(code, acknowledgement.error, text));
}

}  // namespace

Result<Socket> Socket::open(int protocol) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return fail_errno(errno, "open a netlink socket");
  int on = 1;
  // Old kernels lack the last ones; all but the words of errors and the filters of dumps works without.
  for (int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK})
    (void)::setsockopt(fd.get(), SOL_NETLINK, option, &on, sizeof on);
  int size = kReceiveBuffer;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience) != 0)
    return fail_errno(errno, "set the time limit of a netlink socket");
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&self), sizeof self) != 0) return fail_errno(errno, "bind a netlink socket");
  return Socket(std::move(fd));
}

Result<> Socket::send(std::span<const std::string_view> parts, std::string_view what) {
  std::vector<iovec> vectors;
  std::size_t total = 0;
  for (auto part : parts) {
    vectors.push_back({const_cast<char*>(part.data()), part.size()});
    total += part.size();
  }
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  msghdr message{};
  message.msg_name = &kernel;
  message.msg_namelen = sizeof kernel;
  message.msg_iov = vectors.data();
  message.msg_iovlen = vectors.size();
  for (;;) {
    ssize_t sent = ::sendmsg(fd_.get(), &message, 0);
    if (sent == static_cast<ssize_t>(total)) return {};
    if (sent >= 0) return fail(Code::kFailed, "{}: the netlink socket took {} of {} bytes", what, sent, total);
    if (errno != EINTR) return fail_errno(errno, "{}: send to the kernel", what);
  }
}

Result<std::string_view> Socket::receive(std::string_view what) {
  buffer_.resize(std::max(buffer_.size(), kDatagram));
  for (;;) {
    ssize_t size = ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_PEEK | MSG_TRUNC);
    if (size > static_cast<ssize_t>(buffer_.size())) buffer_.resize(static_cast<std::size_t>(size));
    if (size >= 0) size = ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (size >= 0) return std::string_view(buffer_.data(), static_cast<std::size_t>(size));
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return fail(Code::kTimedOut, "{}: the kernel does not answer", what);
    return fail_errno(errno, "{}: receive from the kernel", what);
  }
}

Result<> Socket::run(std::span<Message> messages, std::size_t* failed) {
  for (std::size_t at = 0; at < messages.size(); at += kBatch) {
    auto batch = messages.subspan(at, std::min(kBatch, messages.size() - at));
    std::uint32_t first = sequence_ + 1;
    std::vector<std::string_view> parts;
    for (auto& message : batch)
      // Errors are always answered, so one acknowledgement at the end tells that all is done.
      parts.emplace_back(message.finish(++sequence_, &message == &batch.back() ? NLM_F_ACK : 0));
    VPS_TRY(send(parts, batch.front().what()));
    std::optional<std::pair<std::size_t, Acknowledgement>> error;
    for (bool done = false; !done;) {
      std::string_view data = VPS_TRY(receive(batch.front().what()));
      while (auto message = next_message(data)) {
        std::size_t index = message->sequence - first;
        auto answer = index < batch.size() ? parse_acknowledgement(*message) : std::nullopt;
        if (!answer) continue;  // of an earlier call that gave up, or an echo
        if (answer->error != 0 && (!error || index < error->first)) error.emplace(index, *answer);
        done = done || index + 1 == batch.size();
      }
    }
    if (error) {
      if (failed != nullptr) *failed = at + error->first;
      return refused(batch[error->first].what(), error->second);
    }
  }
  return {};
}

Result<std::vector<std::string>> Socket::ask(Message message) {
  std::string_view request = message.finish(++sequence_, NLM_F_ACK);
  VPS_TRY(send({&request, 1}, message.what()));
  std::vector<std::string> replies;
  for (;;) {
    std::string_view data = VPS_TRY(receive(message.what()));
    while (!data.empty()) {
      std::string_view before = data;
      auto each = next_message(data);
      if (!each) break;
      if (each->sequence != sequence_) continue;
      auto answer = parse_acknowledgement(*each);
      if (!answer) {
        replies.emplace_back(before.substr(0, before.size() - data.size()));
        continue;
      }
      if (answer->error != 0) return refused(message.what(), *answer);
      return replies;
    }
  }
}

Result<bool> Socket::dump_once(Message message, std::vector<std::string>& replies) {
  std::string_view request = message.finish(++sequence_, NLM_F_DUMP);
  VPS_TRY(send({&request, 1}, message.what()));
  bool consistent = true;
  replies.clear();
  for (;;) {
    std::string_view data = VPS_TRY(receive(message.what()));
    std::string_view whole = data;
    bool ours = false;
    while (auto each = next_message(data)) {
      if (each->sequence != sequence_) continue;
      ours = true;
      if ((each->flags & NLM_F_DUMP_INTR) != 0) consistent = false;
      auto answer = parse_acknowledgement(*each);
      if (!answer) continue;
      if (answer->error != 0) return refused(message.what(), *answer);
      replies.emplace_back(whole);
      return consistent;
    }
    if (ours) replies.emplace_back(whole);
  }
}

Result<std::vector<std::string>> Socket::dump(const Message& message) {
  std::vector<std::string> replies;
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt)
    if (VPS_TRY(dump_once(message, replies))) return replies;
  // Changing all the time, as with many starts at once: what there is is whole but for what came and went meanwhile.
  return replies;
}

Result<> Socket::send_built(std::string_view bytes, std::span<const std::uint32_t> expected, std::string_view what) {
  VPS_TRY(send({&bytes, 1}, what));
  std::vector<std::uint32_t> waiting(expected.begin(), expected.end());
  while (!waiting.empty()) {
    std::string_view data = VPS_TRY(receive(what));
    while (auto message = next_message(data)) {
      auto answer = parse_acknowledgement(*message);
      if (!answer) continue;
      if (answer->error != 0) return refused(what, *answer);
      std::erase(waiting, message->sequence);
    }
  }
  return {};
}

void for_each_message(std::span<const std::string> replies, const std::function<void(const MessageView&)>& each) {
  for (const auto& reply : replies) {
    std::string_view data = reply;
    while (auto message = next_message(data))
      if (message->type >= NLMSG_MIN_TYPE) each(*message);
  }
}

}  // namespace vps::netns
