// Notices of changes to our tables.
#include <arpa/inet.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>


#include <cerrno>
#include <string>
#include <vector>

#include "netns/filter.h"
#include "netns/message.h"

namespace vps::netns {
namespace {

constexpr int kReceiveBuffer = 4 << 20;
constexpr std::uint16_t kSubsystem = NFNL_SUBSYS_NFTABLES << 8;

// Every notice but that of a generation begins with the name of its table: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE ... are all 1.
static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 && NFTA_SET_TABLE == 1 && NFTA_SET_ELEM_LIST_TABLE == 1);

bool ours(const Attributes& generation) {
  std::string name = generation.text(NFTA_GEN_PROC_NAME);
  if (name == "vpsd" || name == "vps-supervise") return true;
  auto pid = generation.u32(NFTA_GEN_PROC_PID);  // of the thread
  return pid && ::access(("/proc/self/task/" + std::to_string(ntohl(*pid))).c_str(), F_OK) == 0;
}

}  // namespace

Result<FilterWatch> FilterWatch::open(std::string table) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  if (!fd) return fail_errno(errno, "open a netlink socket");
  int size = kReceiveBuffer;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&self), sizeof self) != 0) return fail_errno(errno, "bind a netlink socket");
  int group = NFNLGRP_NFTABLES;
  if (::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return fail_errno(errno, "ask for notices of nftables");
  return FilterWatch(std::move(table), std::move(fd));
}

Result<bool> FilterWatch::drain() {
  bool foreign = false;
  std::vector<char> buffer(64u << 10);
  for (;;) {
    ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return foreign;
    if (size < 0 && errno == ENOBUFS) {  // notices were lost: whose, nobody knows
      foreign = true;
      continue;
    }
    if (size < 0) return fail_errno(errno, "read notices of nftables");
    std::string_view data(buffer.data(), static_cast<std::size_t>(size));
    while (auto message = next_message(data)) {
      if ((message->type & 0xff00) != kSubsystem) continue;
      Attributes attributes(*message, sizeof(nfgenmsg));
      if ((message->type & 0xff) != NFT_MSG_NEWGEN) {
        touched_ = touched_ || attributes.text(1) == table_;
        continue;
      }
      // The end of a transaction says who made it.
      foreign = foreign || (touched_ && !ours(attributes));
      touched_ = false;
    }
  }
}

}  // namespace vps::netns
