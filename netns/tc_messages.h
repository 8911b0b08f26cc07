// The requests that rates are made of (tc(8)): pure, so that tests read the bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/units.h"
#include "netns/message.h"

namespace vps::netns {

// Filters of a host end's ingress, by preference: the cap on packets comes before what is queued.
constexpr std::uint16_t kPacketFilter = 1, kRedirectFilter = 2;
constexpr std::uint32_t kIngressParent = 0xffff0000;
constexpr std::uint32_t kHtbRoot = 0x00010000;  // "1:"
constexpr std::uint32_t kAwayRoot = 0x00020000;  // "2:", see create_away
constexpr std::uint32_t kApartRoot = 0x00030000;  // "3:", a tbf that takes packets apart

// The longest frame that a link may carry, where a rate is held; 0: the kernel's default.
struct Mtu {
  std::uint32_t bytes = 0;
};
// Whether packets of 64 KiB, as TCP makes them, are taken apart before they are queued: one alone is half a second of 1 Mbit/s, and
// a queue of a few of them loses TCP whole windows. Not where the link's own packets are that large.
bool takes_apart(BitRate rate, Mtu mtu);
// Bytes that may go at once: 20 ms of the rate, and never less than a few packets.
std::uint32_t burst_of(BitRate rate, Mtu mtu);

Message create_shaper(std::string_view name);                                      // an ifb, down
// In place of whatever holds the rate so far. What waits there is kept but where packets are taken apart from now on, or no longer.
Message set_tbf(int link, std::string_view name, BitRate rate, Mtu mtu);
Message remove_root_qdisc(int link, std::string_view name);
Message create_htb(int link, std::string_view name);
// The root of a host end whose packets are shaped elsewhere: it holds the filter that sends them there, and lets through what is back.
Message create_away(int link, std::string_view name);
struct ClassRates {
  BitRate rate, ceiling;
};
Message set_htb_class(int link, std::string_view name, std::uint32_t parent, std::uint16_t minor, ClassRates rates, Mtu mtu);
Message set_class_queue(int link, std::string_view name, std::uint16_t minor, BitRate ceiling, Mtu mtu);
Message remove_class(int link, std::string_view name, std::uint32_t class_id);
Message create_ingress(int link, std::string_view name);
// A BPF program as filter: `direct`: its value is a verdict, else the number of a class.
Message add_bpf_filter(int link, std::string_view name, std::uint32_t parent, std::uint16_t preference, int program, bool direct);
Message add_redirect(int link, std::string_view name, std::uint32_t parent, int target);
Message remove_filter(int link, std::string_view name, std::uint32_t parent, std::uint16_t preference);

// What a dump says.
struct Qdisc {
  int link = 0;
  std::uint32_t handle = 0, parent = 0;
  std::string kind;
  bool operator==(const Qdisc&) const = default;
};
std::optional<Qdisc> parse_qdisc(const MessageView& message);
std::optional<std::uint32_t> parse_class_id(const MessageView& message);
struct IngressFilter {
  std::uint32_t parent = 0;
  std::uint16_t preference = 0;
  std::string kind;
  int target = 0;  // where the packets are sent to; 0: nowhere
  bool operator==(const IngressFilter&) const = default;
};
std::optional<IngressFilter> parse_filter(const MessageView& message);

}  // namespace vps::netns
