#include "netns/rates.h"

#include <fmt/core.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "base/sha256.h"
#include "netns/host_end.h"
#include "netns/link_messages.h"
#include "netns/packet_programs.h"
#include "netns/sysctl.h"
#include "netns/tc_messages.h"

namespace vps::netns {
namespace {

constexpr unsigned kShapers = 4;
constexpr std::string_view kRateIn = "rateIn", kRateOut = "rateOut", kPacketRate = "packetRate", kGuaranteeIn = "guaranteeIn",
                           kGuaranteeOut = "guaranteeOut";

bool absent(const Error& error) { return error.err() == ENOENT || error.err() == ENODEV || error.err() == EINVAL; }
// Already as it should be, or already gone.
Result<> ignore(Result<> result, std::initializer_list<int> errors) {
  if (!result && std::ranges::find(errors, result.error().err()) != errors.end()) return {};
  return result;
}

Message question(std::uint16_t type, std::string what, int link, std::uint32_t parent, std::uint32_t handle = 0) {
  // A single qdisc or class is answered by a notification, which the asker gets only as an echo.
  Message message(type, NLM_F_ECHO, std::move(what));
  tcmsg head{};
  head.tcm_ifindex = link;
  head.tcm_parent = parent;
  head.tcm_handle = handle;
  message.header(head);
  return message;
}

Result<std::string> root_kind(Socket& socket, const Link& link) {
  auto replies = socket.ask(question(RTM_GETQDISC, fmt::format("look at the queue of {}", link.name), link.index, TC_H_ROOT));
  if (!replies) {
    if (absent(replies.error())) return std::string();
    return std::unexpected(std::move(replies).error());
  }
  std::string kind;
  for_each_message(*replies, [&](const MessageView& message) {
    if (auto qdisc = parse_qdisc(message)) kind = qdisc->kind;
  });
  return kind;
}

Result<std::vector<IngressFilter>> filters_of(Socket& socket, const Link& link, std::uint32_t parent) {
  auto replies = socket.dump(question(RTM_GETTFILTER, fmt::format("list the filters of {}", link.name), link.index, parent));
  std::vector<IngressFilter> filters;
  if (!replies) {
    if (absent(replies.error())) return filters;
    return std::unexpected(std::move(replies).error());
  }
  for_each_message(*replies, [&](const MessageView& message) {
    if (auto filter = parse_filter(message)) filters.push_back(std::move(*filter));
  });
  return filters;
}

// Of a shaping device's own queue: one that takes packets apart, below a class, has a class as well.
Result<std::vector<std::uint32_t>> classes(Socket& socket, const Link& link) {
  auto replies = VPS_TRY(socket.dump(question(RTM_GETTCLASS, fmt::format("list the classes of {}", link.name), link.index, 0)));
  std::vector<std::uint32_t> ids;
  for_each_message(replies, [&](const MessageView& message) {
    if (auto id = parse_class_id(message); id && (*id & TC_H_MAJ_MASK) == kHtbRoot) ids.push_back(*id);
  });
  return ids;
}

bool has(const std::vector<IngressFilter>& filters, std::uint16_t preference) {
  return std::ranges::find(filters, preference, &IngressFilter::preference) != filters.end();
}
int redirect_target(const std::vector<IngressFilter>& filters) {
  for (const auto& filter : filters)
    if (filter.preference == kRedirectFilter && filter.target != 0) return filter.target;
  return 0;
}

// A shaping device, made where it is missing. It comes up last: one that is up is whole.
Result<Link> shaper(Socket& socket, const std::string& name, const std::string& mark) {
  auto link = VPS_TRY(find_link(socket, name));
  if (link && link->kind != "ifb") return fail(Code::kExists, "there is a network link {} that is no shaping device of ours", name);
  if (link && link->up()) return std::move(*link);
  if (!link) VPS_TRY(socket.run(create_shaper(name)));
  link = VPS_TRY(need_link(socket, name));
  auto program = VPS_TRY(load_classify());
  VPS_TRY(socket.run(set_alias(link->index, name, mark)));
  VPS_TRY(ignore(socket.run(create_htb(link->index, name)), {EEXIST}));
  VPS_TRY(ignore(socket.run(add_bpf_filter(link->index, name, kHtbRoot, 1, program.get(), false)), {EEXIST}));
  VPS_TRY(socket.run(set_up(link->index, name, true)));
  return std::move(*link);
}

bool is_port_of_ours(const Host& host, const Link& link) { return link.kind == "veth" && link.alias.starts_with(marker(host, "port", "")); }

// Another living port with that class on the same device would share the rate.
Result<bool> taken(const Host& host, Socket& socket, const Link& device, const Link& mine) {
  auto there = socket.ask(question(RTM_GETTCLASS, fmt::format("look for a class of {}", device.name), device.index, 0, kHtbRoot | class_of(mine.index)));
  if (!there) {
    if (there.error().err() == ENOENT) return false;
    return std::unexpected(std::move(there).error());
  }
  auto all = VPS_TRY(links(socket));
  return std::ranges::any_of(all, [&](const Link& each) {
    return each.index != mine.index && class_of(each.index) == class_of(mine.index) && is_port_of_ours(host, each);
  });
}

Result<Link> shaper(const Host& host, Socket& socket, unsigned number) {
  return shaper(socket, shaper_name(host, number), marker(host, "shaper", std::to_string(number)));
}

Result<> set_class(Socket& socket, const Link& device, const Link& link, BitRate rate) {
  std::uint16_t minor = class_of(link.index);
  VPS_TRY(socket.run(set_htb_class(device.index, device.name, kHtbRoot, minor, {rate, rate}, {link.mtu})));
  return socket.run(set_class_queue(device.index, device.name, minor, rate, {link.mtu}));
}

// What a port has of its network's total in one direction.
struct Share {
  BitRate total;
  std::optional<BitRate> guarantee, limit;
};
std::optional<Share> share_of(const net::PortPlan& port, net::Direction direction) {
  const bool in = direction == net::Direction::kIn;
  const auto& total = in ? port.total_in : port.total_out;
  if (!total) return std::nullopt;
  return Share{*total, in ? port.guarantee_in : port.guarantee_out, in ? port.rate_in : port.rate_out};
}

// Its guarantee is the class's own rate; beyond that it borrows what the others of the network leave, up to its limit.
Result<Link> set_share(const Host& host, Socket& socket, const net::PortPlan& port, const Link& link, net::Direction direction, const Share& share) {
  constexpr BitRate kNothing{8'000};  // a class has some rate; a thousand of these are 8 Mbit/s
  auto device = VPS_TRY(need_link(socket, network_shaper_name(host, port.network, direction)));
  if (VPS_TRY(taken(host, socket, device, link))) return fail(Code::kUnavailable, "another port has its class on {}", device.name);
  const BitRate ceiling = share.limit.value_or(share.total);
  const std::uint16_t minor = class_of(link.index);
  BitRate rate = share.guarantee.value_or(kNothing);
  rate.value = std::min(rate.value, ceiling.value);
  VPS_TRY(socket.run(set_htb_class(device.index, device.name, kHtbRoot | kTotalClass, minor, {rate, ceiling}, {link.mtu})));
  VPS_TRY(socket.run(set_class_queue(device.index, device.name, minor, ceiling, {link.mtu})));
  return device;
}

Result<> leave_class(Socket& socket, const Link& link, int device) {
  return ignore(socket.run(remove_class(device, "the shaping device", kHtbRoot | class_of(link.index))), {ENOENT, EINVAL, ENODEV});
}

Result<> apply_rate_in(const Host& host, Socket& socket, const net::PortPlan& port, const Link& link) {
  const auto kind = VPS_TRY(root_kind(socket, link));
  const int target = kind == "htb" ? redirect_target(VPS_TRY(filters_of(socket, link, kAwayRoot))) : 0;
  const auto share = share_of(port, net::Direction::kIn);
  if (share) {
    auto lock = VPS_TRY(lock_records(host));
    auto device = VPS_TRY(set_share(host, socket, port, link, net::Direction::kIn, *share));
    if (target == device.index) return {};
    if (kind == "tbf") VPS_TRY(ignore(socket.run(remove_root_qdisc(link.index, link.name)), {ENOENT, EINVAL}));
    VPS_TRY(socket.run(create_away(link.index, link.name)));
    return socket.run(add_redirect(link.index, link.name, kAwayRoot, device.index));
  }
  if (kind == "htb") {
    VPS_TRY(ignore(socket.run(remove_root_qdisc(link.index, link.name)), {ENOENT, EINVAL}));
    if (target != 0) VPS_TRY(leave_class(socket, link, target));
  }
  if (port.rate_in) return socket.run(set_tbf(link.index, link.name, *port.rate_in, {link.mtu}));
  if (kind != "tbf") return {};
  return ignore(socket.run(remove_root_qdisc(link.index, link.name)), {ENOENT, EINVAL});
}

Result<> stop_redirect(Socket& socket, const Link& link, int target) {
  VPS_TRY(ignore(socket.run(remove_filter(link.index, link.name, kIngressParent, kRedirectFilter)), {ENOENT, EINVAL}));
  return leave_class(socket, link, target);
}

Result<> redirect_to(Socket& socket, const Link& link, const Link& device) {
  VPS_TRY(ignore(socket.run(create_ingress(link.index, link.name)), {EEXIST}));
  return socket.run(add_redirect(link.index, link.name, kIngressParent, device.index));
}

Result<> apply_rate_out(const Host& host, Socket& socket, const net::PortPlan& port, const Link& link) {
  const auto& rate = port.rate_out;
  const auto share = share_of(port, net::Direction::kOut);
  int target = redirect_target(VPS_TRY(filters_of(socket, link, kIngressParent)));
  if (!rate && !share && target == 0) return {};
  auto lock = VPS_TRY(lock_records(host));  // against a sweep, and against two that make the device
  if (share) {
    auto device = VPS_TRY(set_share(host, socket, port, link, net::Direction::kOut, *share));
    if (target == device.index) return {};
    if (target != 0) VPS_TRY(stop_redirect(socket, link, target));
    return redirect_to(socket, link, device);
  }
  auto common = VPS_TRY(find_link(socket, network_shaper_name(host, port.network, net::Direction::kOut)));
  if (target != 0 && (!rate || (common && common->index == target))) {
    VPS_TRY(stop_redirect(socket, link, target));
    target = 0;
  }
  if (!rate) return {};
  if (target != 0) {
    Link device;
    device.index = target;
    device.name = "the shaping device";
    return set_class(socket, device, link, *rate);
  }
  for (unsigned number = 0; number < kShapers; ++number) {
    auto device = VPS_TRY(shaper(host, socket, number));
    if (VPS_TRY(taken(host, socket, device, link))) continue;
    VPS_TRY(set_class(socket, device, link, *rate));
    return redirect_to(socket, link, device);
  }
  return fail(Code::kUnavailable, "no free class on the shaping devices");
}

Result<> apply_packet_rate(Socket& socket, const Link& link, const std::optional<std::uint64_t>& packets) {
  bool there = has(VPS_TRY(filters_of(socket, link, kIngressParent)), kPacketFilter);
  if (there) VPS_TRY(ignore(socket.run(remove_filter(link.index, link.name, kIngressParent, kPacketFilter)), {ENOENT, EINVAL}));
  if (!packets) return {};
  auto program = VPS_TRY(load_packet_cap(*packets));
  VPS_TRY(ignore(socket.run(create_ingress(link.index, link.name)), {EEXIST}));
  return socket.run(add_bpf_filter(link.index, link.name, kIngressParent, kPacketFilter, program.get(), true));
}

}  // namespace

std::string shaper_name(const Host& host, unsigned number) {
  return fmt::format("vifb{}{}", sha256_hex(host.installation).substr(0, 8), number);
}

std::string network_shaper_name(const Host& host, std::string_view network, net::Direction direction) {
  return fmt::format("vnet{}{}", sha256_hex(fmt::format("{}/{}", host.installation, network)).substr(0, 9),
                     direction == net::Direction::kIn ? 'i' : 'o');
}

Result<> ensure_totals(const Host& host, Socket& socket, const net::NetworkPlan& network) {
  for (auto direction : {net::Direction::kIn, net::Direction::kOut}) {
    const bool in = direction == net::Direction::kIn;
    const auto& total = in ? network.rate_in : network.rate_out;
    const auto name = network_shaper_name(host, network.name, direction);
    const auto mark = marker(host, in ? "total-in" : "total-out", network.name);
    if (total) {
      auto device = VPS_TRY(shaper(socket, name, mark));
      VPS_TRY(socket.run(set_htb_class(device.index, name, kHtbRoot, kTotalClass, {*total, *total}, {network.mtu})));
      continue;
    }
    auto device = VPS_TRY(find_link(socket, name));
    if (device && device->kind == "ifb") VPS_TRY(ignore(socket.run(delete_link(device->index, name)), {ENODEV}));
  }
  return {};
}

std::vector<LimitReport> look_at_limits(const Host& host, Socket& socket, const net::PortPlan& port,
                                        const std::vector<std::pair<std::string, std::string>>& trouble) {
  std::vector<LimitReport> reports;
  std::optional<Link> link;
  if (has_host_end(port))
    if (auto found = find_link(socket, port.host_link)) link = std::move(*found);
  std::string none = has_host_end(port) ? "the port is not there" : "the interface has no end on the host where a rate could be held";
  std::vector<IngressFilter> filters;
  if (link) filters = filters_of(socket, *link, kIngressParent).value_or(std::vector<IngressFilter>{});
  // Where the packets of a direction are sent, when it is to the class that they have of their network's total.
  auto class_on = [&](const std::string& device, int target) -> std::string {
    auto found = find_link(socket, device);
    if (target == 0 || !found || !*found || (*found)->index != target) return {};
    return fmt::format("htb class 1:{:x} on {}", class_of(link->index), device);
  };
  const int away = link && root_kind(socket, *link).value_or("") == "htb" ? redirect_target(filters_of(socket, *link, kAwayRoot).value_or(std::vector<IngressFilter>{})) : 0;
  const auto share_in = port.total_in ? class_on(network_shaper_name(host, port.network, net::Direction::kIn), away) : std::string();
  const auto share_out = port.total_out ? class_on(network_shaper_name(host, port.network, net::Direction::kOut), redirect_target(filters)) : std::string();

  auto report = [&](std::string_view limit, std::uint64_t value, bool enforced, std::string by) {
    auto why = std::ranges::find(trouble, limit, [](const auto& each) -> std::string_view { return each.first; });
    if (!link) by = none;
    else if (!enforced && why != trouble.end()) by = why->second;
    reports.push_back({port.guest_link, std::string(limit), value, enforced && link, std::move(by)});
  };
  if (port.rate_in) {
    bool tbf = link && root_kind(socket, *link).value_or("") == "tbf";
    report(kRateIn, port.rate_in->value, tbf || !share_in.empty(), !share_in.empty() ? share_in : tbf ? "tbf on " + port.host_link : "not set");
  }
  if (port.rate_out) {
    std::string by = share_out;
    for (unsigned number = 0; by.empty() && number < kShapers; ++number) by = class_on(shaper_name(host, number), redirect_target(filters));
    report(kRateOut, port.rate_out->value, !by.empty(), by.empty() ? "not set" : by);
  }
  if (port.packets_per_second) {
    bool there = has(filters, kPacketFilter);
    report(kPacketRate, *port.packets_per_second, there, there ? "bpf filter on " + port.host_link : "not set");
  }
  auto guarantee = [&](std::string_view limit, BitRate value, const std::optional<BitRate>& total, const std::string& share) {
    report(limit, value.value, !share.empty(),
           !share.empty() ? share : total ? "not set" : "nothing is guaranteed: the network has no total rate of which a share could be kept");
  };
  if (port.guarantee_in) guarantee(kGuaranteeIn, *port.guarantee_in, port.total_in, share_in);
  if (port.guarantee_out) guarantee(kGuaranteeOut, *port.guarantee_out, port.total_out, share_out);
  return reports;
}

std::vector<LimitReport> apply_limits(const Host& host, Socket& socket, const net::PortPlan& port) {
  std::vector<std::pair<std::string, std::string>> trouble;
  auto keep = [&](std::string_view limit, const Result<>& result) {
    if (!result) trouble.emplace_back(limit, result.error().to_string());
  };
  if (has_host_end(port)) {
    auto link = find_link(socket, port.host_link);
    if (link && *link) {
      auto in = apply_rate_in(host, socket, port, **link), out = apply_rate_out(host, socket, port, **link);
      keep(kRateIn, in);
      keep(kGuaranteeIn, in);
      keep(kRateOut, out);
      keep(kGuaranteeOut, out);
      keep(kPacketRate, apply_packet_rate(socket, **link, port.packets_per_second));
    }
  }
  return look_at_limits(host, socket, port, trouble);
}

Result<std::vector<LimitReport>> set_rates(const Host& host, const net::VpsPlan& plan) {
  auto socket = VPS_TRY(Socket::open());
  std::vector<LimitReport> reports;
  for (const auto& port : plan.ports) std::ranges::move(apply_limits(host, socket, port), std::back_inserter(reports));
  return reports;
}

Result<std::vector<LimitReport>> report_rates(const Host& host, const net::VpsPlan& plan) {
  auto socket = VPS_TRY(Socket::open());
  std::vector<LimitReport> reports;
  for (const auto& port : plan.ports) std::ranges::move(look_at_limits(host, socket, port), std::back_inserter(reports));
  return reports;
}

Result<std::vector<std::string>> sweep_shapers(const Host& host, Socket& socket) {
  std::vector<std::string> removed;
  auto lock = VPS_TRY(lock_records(host));
  for (unsigned number = 0; number < kShapers; ++number) {
    auto device = VPS_TRY(find_link(socket, shaper_name(host, number)));
    if (!device || device->kind != "ifb") continue;
    auto ids = VPS_TRY(classes(socket, *device));
    auto all = VPS_TRY(links(socket));
    std::size_t left = ids.size();
    for (auto id : ids) {
      bool used = std::ranges::any_of(all, [&](const Link& link) {
        return is_port_of_ours(host, link) && class_of(link.index) == (id & 0xffff);
      });
      if (used) continue;
      VPS_TRY(ignore(socket.run(remove_class(device->index, device->name, id)), {ENOENT}));
      removed.push_back(fmt::format("class 1:{:x} of {}, which no port has", id & 0xffff, device->name));
      --left;
    }
    if (left != 0) continue;
    VPS_TRY(ignore(socket.run(delete_link(device->index, device->name)), {ENODEV}));
    removed.push_back(fmt::format("the shaping device {}, which no port needs", device->name));
  }
  return removed;
}

}  // namespace vps::netns
