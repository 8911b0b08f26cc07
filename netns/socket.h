// A netlink socket: requests in one sendmsg, their acknowledgements with the kernel's own words, replies and dumps.
// Any protocol (NETLINK_ROUTE, NETLINK_NETFILTER). It stays with the network namespace that it was opened in. Not thread-safe.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "netns/message.h"

namespace vps::netns {

class Socket {
 public:
  // In the namespace of the calling thread.
  static Result<Socket> open(int protocol = NETLINK_ROUTE);

  // Sends all messages in one sendmsg. The kernel takes them one after another and goes on behind one that fails; the error is
  // that of the first: "WHAT: KERNEL'S WORDS: ERRNO". nullptr `failed`, or where the index of that message goes.
  Result<> run(std::span<Message> messages, std::size_t* failed = nullptr);
  Result<> run(Message message) { return run({&message, 1}); }
  // One request and what it is answered with, each reply whole (read with next_message). Also for NLM_F_ECHO.
  Result<std::vector<std::string>> ask(Message message);
  // Everything of a kind (the message carries NLM_F_DUMP). Asked again when the kernel says that the list has changed meanwhile.
  Result<std::vector<std::string>> dump(const Message& message);

  // Messages already built (libnftnl's batches): sent as they are. Answers are read until each of `expected` sequence numbers
  // (which carry NLM_F_ACK) is acknowledged, or one message fails.
  Result<> send_built(std::string_view bytes, std::span<const std::uint32_t> expected, std::string_view what);

  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  explicit Socket(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<> send(std::span<const std::string_view> parts, std::string_view what);
  Result<std::string_view> receive(std::string_view what);
  Result<bool> dump_once(Message message, std::vector<std::string>& replies);

  UniqueFd fd_;
  std::uint32_t sequence_ = 0;
  std::vector<char> buffer_;
};

// Calls `each` for every message in the replies of ask() and dump().
void for_each_message(std::span<const std::string> replies, const std::function<void(const MessageView&)>& each);

}  // namespace vps::netns
