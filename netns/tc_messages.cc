#include "netns/tc_messages.h"

#include <fmt/core.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

namespace vps::netns {
namespace {

constexpr std::uint16_t kNew = NLM_F_CREATE | NLM_F_EXCL, kSet = NLM_F_CREATE | NLM_F_REPLACE;
constexpr std::uint32_t kQueueMilliseconds = 50;
constexpr std::uint32_t kLargestPacket = 64u << 10;  // before segmentation
constexpr std::uint32_t kLargestPart = 16u << 10;    // after it, where they are taken apart: the burst of such a queue
constexpr std::uint32_t kSlowQueueMilliseconds = 200, kLeastQueue = 32u << 10;  // of such: longer, and TCP would repeat what still waits
constexpr std::uint32_t kLinkHeader = 64;            // Ethernet and tags, with room
constexpr std::uint64_t kSlow = 10'000'000;          // bit/s
constexpr std::uint32_t kQueuedPackets = 1000;
constexpr std::uint64_t kNanosecondsPerTick = 64;    // PSCHED_SHIFT; the same since Linux 2.6.31

std::uint64_t bytes_per_second(BitRate rate) { return std::max<std::uint64_t>(rate.value / 8, 1); }
std::uint32_t clamp32(std::uint64_t value) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, std::numeric_limits<std::uint32_t>::max()));
}

Message tc(std::uint16_t type, std::uint16_t flags, std::string what, int link, std::uint32_t parent, std::uint32_t handle,
           std::uint32_t info = 0) {
  Message message(type, flags, std::move(what));
  tcmsg head{};
  head.tcm_family = AF_UNSPEC;
  head.tcm_ifindex = link;
  head.tcm_parent = parent;
  head.tcm_handle = handle;
  head.tcm_info = info;
  message.header(head);
  return message;
}

std::uint32_t filter_info(std::uint16_t preference) {
  return static_cast<std::uint32_t>(preference) << 16 | __builtin_bswap16(ETH_P_ALL);
}

tc_ratespec rate_spec(BitRate rate) {
  tc_ratespec spec{};
  spec.linklayer = TC_LINKLAYER_ETHERNET;  // known, so the kernel asks for no table of transmission times
  spec.rate = clamp32(bytes_per_second(rate));
  return spec;
}
bool is_long(BitRate rate) { return bytes_per_second(rate) > std::numeric_limits<std::uint32_t>::max(); }

std::uint32_t burst_whole(BitRate rate) {
  // A packet of 64 KiB, as TCP makes them, and the headers that the kernel counts for each of its parts. One that waits in a tbf and is
  // larger than the burst never leaves it, nor does anything behind it: so it must not become smaller when the rate does.
  constexpr std::uint64_t kLeast = 80u << 10, kMost = 4u << 20;
  return static_cast<std::uint32_t>(std::clamp(bytes_per_second(rate) / 50, kLeast, kMost));
}

// What may wait.
std::uint32_t queue_of(BitRate rate, Mtu mtu) {
  if (takes_apart(rate, mtu)) return clamp32(std::max<std::uint64_t>(bytes_per_second(rate) * kSlowQueueMilliseconds / 1000, kLeastQueue));
  return clamp32(std::max<std::uint64_t>(bytes_per_second(rate) * kQueueMilliseconds / 1000, kLargestPacket) + burst_whole(rate));
}

std::uint32_t ticks_of(BitRate rate, std::uint32_t bytes) {
  return clamp32(static_cast<std::uint64_t>(bytes) * 1'000'000'000 / bytes_per_second(rate) / kNanosecondsPerTick);
}

template <class Fill>
Message with_options(Message message, std::string_view kind, Fill&& fill) {
  message.text(TCA_KIND, kind).nest(TCA_OPTIONS, fill);
  return message;
}

void tbf_options(Message& options, BitRate rate, std::uint32_t limit, std::uint32_t burst) {
  tc_tbf_qopt parameters{};
  parameters.rate = rate_spec(rate);
  parameters.limit = limit;
  parameters.buffer = ticks_of(rate, burst);
  options.put(TCA_TBF_PARMS, &parameters, sizeof parameters).u32(TCA_TBF_BURST, burst);
  if (is_long(rate)) options.u64(TCA_TBF_RATE64, bytes_per_second(rate));
}

}  // namespace

bool takes_apart(BitRate rate, Mtu mtu) { return rate.value < kSlow && mtu.bytes <= kLargestPart - kLinkHeader; }

std::uint32_t burst_of(BitRate rate, Mtu mtu) { return takes_apart(rate, mtu) ? kLargestPart : burst_whole(rate); }

Message create_shaper(std::string_view name) {
  Message message(RTM_NEWLINK, kNew, fmt::format("make the shaping device {}", name));
  message.header(ifinfomsg{})
      .text(IFLA_IFNAME, name)
      .u32(IFLA_NUM_TX_QUEUES, 1)
      .u32(IFLA_NUM_RX_QUEUES, 1)
      .u32(IFLA_TXQLEN, kQueuedPackets)
      .nest(IFLA_LINKINFO, [](Message& info) { info.text(IFLA_INFO_KIND, "ifb"); });
  return message;
}

Message set_tbf(int link, std::string_view name, BitRate rate, Mtu mtu) {
  // Under another handle it is another queue: a packet that waits whole would never leave one that takes packets apart.
  auto message = tc(RTM_NEWQDISC, kSet, fmt::format("limit the rate of {}", name), link, TC_H_ROOT, takes_apart(rate, mtu) ? kApartRoot : kHtbRoot);
  return with_options(std::move(message), "tbf", [&](Message& options) { tbf_options(options, rate, queue_of(rate, mtu), burst_of(rate, mtu)); });
}

Message remove_root_qdisc(int link, std::string_view name) {
  return tc(RTM_DELQDISC, 0, fmt::format("take the rate limit off {}", name), link, TC_H_ROOT, 0);
}

Message create_htb(int link, std::string_view name) {
  auto message = tc(RTM_NEWQDISC, kNew, fmt::format("make the classes of {}", name), link, TC_H_ROOT, kHtbRoot);
  return with_options(std::move(message), "htb", [](Message& options) {
    tc_htb_glob parameters{};
    parameters.version = 3;
    parameters.rate2quantum = 10;
    options.put(TCA_HTB_INIT, &parameters, sizeof parameters);
  });
}

Message create_away(int link, std::string_view name) {
  auto message = tc(RTM_NEWQDISC, kSet, fmt::format("send away what goes to {}", name), link, TC_H_ROOT, kAwayRoot);
  return with_options(std::move(message), "htb", [](Message& options) {
    tc_htb_glob parameters{};
    parameters.version = 3;
    parameters.rate2quantum = 10;
    options.put(TCA_HTB_INIT, &parameters, sizeof parameters);
  });
}

Message set_htb_class(int link, std::string_view name, std::uint32_t parent, std::uint16_t minor, ClassRates rates, Mtu mtu) {
  auto message = tc(RTM_NEWTCLASS, kSet, fmt::format("set the rate of class 1:{:x} of {}", minor, name), link, parent, kHtbRoot | minor);
  return with_options(std::move(message), "htb", [&](Message& options) {
    tc_htb_opt parameters{};
    parameters.rate = rate_spec(rates.rate);
    parameters.ceil = rate_spec(rates.ceiling);
    // Whole packets reach a class whose ceiling lets them, however slow the rate below it is.
    const bool apart = takes_apart(rates.ceiling, mtu);
    parameters.buffer = ticks_of(rates.rate, apart ? kLargestPart : burst_whole(rates.rate));
    parameters.cbuffer = ticks_of(rates.ceiling, burst_of(rates.ceiling, mtu));
    parameters.quantum = kLargestPacket;
    options.put(TCA_HTB_PARMS, &parameters, sizeof parameters);
    if (is_long(rates.rate)) options.u64(TCA_HTB_RATE64, bytes_per_second(rates.rate));
    if (is_long(rates.ceiling)) options.u64(TCA_HTB_CEIL64, bytes_per_second(rates.ceiling));
  });
}

Message set_class_queue(int link, std::string_view name, std::uint16_t minor, BitRate ceiling, Mtu mtu) {
  // The handle of a queue is a major number: that of the class will do, as no two queues share a class.
  auto message = tc(RTM_NEWQDISC, kSet, fmt::format("set the queue of class 1:{:x} of {}", minor, name), link, kHtbRoot | minor, 0);
  if (takes_apart(ceiling, mtu)) {
    // A fifo takes nothing apart; a tbf does, and at a rate that nothing reaches it holds nothing back, which is the class's part.
    constexpr BitRate kNoLimit{8'000'000'000'000};
    return with_options(std::move(message), "tbf", [&](Message& options) { tbf_options(options, kNoLimit, queue_of(ceiling, mtu), kLargestPart); });
  }
  message.text(TCA_KIND, "bfifo");
  tc_fifo_qopt parameters{};
  parameters.limit = queue_of(ceiling, mtu);
  message.put(TCA_OPTIONS, &parameters, sizeof parameters);
  return message;
}

Message remove_class(int link, std::string_view name, std::uint32_t class_id) {
  return tc(RTM_DELTCLASS, 0, fmt::format("remove class 1:{:x} of {}", class_id & 0xffff, name), link, kHtbRoot, class_id);
}

Message create_ingress(int link, std::string_view name) {
  auto message = tc(RTM_NEWQDISC, kNew, fmt::format("filter what comes from {}", name), link, TC_H_INGRESS, kIngressParent);
  message.text(TCA_KIND, "ingress");
  return message;
}

Message add_bpf_filter(int link, std::string_view name, std::uint32_t parent, std::uint16_t preference, int program, bool direct) {
  auto message = tc(RTM_NEWTFILTER, kNew, fmt::format("add a filter to {}", name), link, parent, 1, filter_info(preference));
  return with_options(std::move(message), "bpf", [&](Message& options) {
    options.u32(TCA_BPF_FD, static_cast<std::uint32_t>(program)).text(TCA_BPF_NAME, "vpsd");
    if (direct) options.u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
  });
}

Message add_redirect(int link, std::string_view name, std::uint32_t parent, int target) {
  auto message = tc(RTM_NEWTFILTER, kNew, fmt::format("shape what passes {}", name), link, parent, 0, filter_info(kRedirectFilter));
  return with_options(std::move(message), "u32", [&](Message& options) {
    // One key that every packet has: nothing at the start, masked with nothing.
    std::string match(sizeof(tc_u32_sel), '\0');
    match[offsetof(tc_u32_sel, flags)] = TC_U32_TERMINAL;
    match[offsetof(tc_u32_sel, nkeys)] = 1;
    match.append(sizeof(tc_u32_key), '\0');
    options.put(TCA_U32_SEL, match.data(), match.size()).nest(TCA_U32_ACT, [&](Message& actions) {
      actions.nest(1, [&](Message& action) {
        action.text(TCA_ACT_KIND, "mirred").nest(TCA_ACT_OPTIONS, [&](Message& inner) {
          tc_mirred parameters{};
          parameters.action = TC_ACT_STOLEN;
          parameters.eaction = TCA_EGRESS_REDIR;
          parameters.ifindex = static_cast<std::uint32_t>(target);
          inner.put(TCA_MIRRED_PARMS, &parameters, sizeof parameters);
        });
      });
    });
  });
}

Message remove_filter(int link, std::string_view name, std::uint32_t parent, std::uint16_t preference) {
  return tc(RTM_DELTFILTER, 0, fmt::format("remove a filter of {}", name), link, parent, 0, filter_info(preference));
}

std::optional<Qdisc> parse_qdisc(const MessageView& message) {
  if (message.type != RTM_NEWQDISC) return std::nullopt;
  auto head = message.header<tcmsg>();
  if (!head) return std::nullopt;
  return Qdisc{head->tcm_ifindex, head->tcm_handle, head->tcm_parent, Attributes(message, sizeof *head).text(TCA_KIND)};
}

std::optional<std::uint32_t> parse_class_id(const MessageView& message) {
  if (message.type != RTM_NEWTCLASS) return std::nullopt;
  auto head = message.header<tcmsg>();
  if (!head) return std::nullopt;
  return head->tcm_handle;
}

std::optional<IngressFilter> parse_filter(const MessageView& message) {
  if (message.type != RTM_NEWTFILTER) return std::nullopt;
  auto head = message.header<tcmsg>();
  if (!head) return std::nullopt;
  Attributes attributes(message, sizeof *head);
  IngressFilter filter{head->tcm_parent, static_cast<std::uint16_t>(head->tcm_info >> 16), attributes.text(TCA_KIND), 0};
  if (filter.kind != "u32") return filter;
  Attributes action = attributes.nested(TCA_OPTIONS).nested(TCA_U32_ACT).nested(1);
  auto parameters = action.text(TCA_ACT_KIND) == "mirred" ? action.nested(TCA_ACT_OPTIONS).find(TCA_MIRRED_PARMS) : std::nullopt;
  if (parameters && parameters->size() >= sizeof(tc_mirred)) {
    tc_mirred redirect;
    std::memcpy(&redirect, parameters->data(), sizeof redirect);
    filter.target = static_cast<int>(redirect.ifindex);
  }
  return filter;
}

}  // namespace vps::netns
