#include "runtime/supervisor/plan_network.h"

#include <nlohmann/json.hpp>

namespace vps::supervisor {
namespace {

using nlohmann::json;

json prefixes_json(const std::vector<Prefix>& prefixes) {
  json list = json::array();
  for (const auto& prefix : prefixes) list.push_back(format_prefix(prefix));
  return list;
}

Result<std::vector<Prefix>> parse_prefixes(const json& list) {
  std::vector<Prefix> prefixes;
  for (const auto& item : list) prefixes.push_back(VPS_TRY(parse_prefix(item.get<std::string>())));
  return prefixes;
}

json routes_json(const std::vector<net::Route>& routes) {
  json list = json::array();
  for (const auto& route : routes)
    list.push_back({{"destination", format_prefix(route.destination)},
                    {"via", route.via ? json(format_ip(*route.via)) : json()},
                    {"onLink", route.on_link}});
  return list;
}

Result<std::vector<net::Route>> parse_routes(const json& list) {
  std::vector<net::Route> routes;
  for (const auto& item : list) {
    net::Route route;
    route.destination = VPS_TRY(parse_prefix(item.at("destination").get<std::string>()));
    if (!item.at("via").is_null()) route.via = VPS_TRY(parse_ip(item.at("via").get<std::string>()));
    item.at("onLink").get_to(route.on_link);
    routes.push_back(route);
  }
  return routes;
}

template <class T>
json maybe(const std::optional<T>& value) {
  if constexpr (std::is_same_v<T, BitRate>) return value ? json(value->value) : json();
  else return value ? json(*value) : json();
}

template <class T>
std::optional<T> maybe_number(const json& value) {
  if (value.is_null()) return {};
  return T{value.get<std::uint64_t>()};
}

json guard_json(const net::GuardPlan& guard) {
  return {{"mac", guard.mac},
          {"ip", guard.ip},
          {"arp", guard.arp},
          {"router", guard.router},
          {"connections", guard.connections},
          {"connectionsPerSecond", guard.connections_per_second},
          {"smtp", static_cast<int>(guard.smtp)},
          {"smtpPerMinute", guard.smtp_per_minute}};
}

net::GuardPlan parse_guard(const json& value) {
  net::GuardPlan guard;
  value.at("mac").get_to(guard.mac);
  value.at("ip").get_to(guard.ip);
  value.at("arp").get_to(guard.arp);
  value.at("router").get_to(guard.router);
  value.at("connections").get_to(guard.connections);
  value.at("connectionsPerSecond").get_to(guard.connections_per_second);
  guard.smtp = static_cast<net::SmtpPolicy>(value.at("smtp").get<int>());
  value.at("smtpPerMinute").get_to(guard.smtp_per_minute);
  return guard;
}

json port_json(const net::PortPlan& port) {
  return {{"mode", static_cast<int>(port.mode)},
          {"network", port.network},
          {"hostLink", port.host_link},
          {"guestLink", port.guest_link},
          {"mac", format_mac(port.mac)},
          {"hostMac", port.host_mac ? json(format_mac(*port.host_mac)) : json()},
          {"mtu", port.mtu},
          {"bridge", port.bridge},
          {"isolated", port.isolated},
          {"uplinks", port.uplinks},
          {"addresses", prefixes_json(port.addresses)},
          {"routed", prefixes_json(port.routed)},
          {"allowed", prefixes_json(port.allowed)},
          {"routes", routes_json(port.routes)},
          {"rateIn", maybe(port.rate_in)},
          {"rateOut", maybe(port.rate_out)},
          {"guaranteeIn", maybe(port.guarantee_in)},
          {"guaranteeOut", maybe(port.guarantee_out)},
          {"totalIn", maybe(port.total_in)},
          {"totalOut", maybe(port.total_out)},
          {"packetRate", maybe(port.packets_per_second)},
          {"guard", guard_json(port.guard)}};
}

Result<net::PortPlan> parse_port(const json& value) {
  net::PortPlan port;
  port.mode = static_cast<net::Mode>(value.at("mode").get<int>());
  value.at("network").get_to(port.network);
  value.at("hostLink").get_to(port.host_link);
  value.at("guestLink").get_to(port.guest_link);
  port.mac = VPS_TRY(parse_mac(value.at("mac").get<std::string>()));
  if (!value.at("hostMac").is_null()) port.host_mac = VPS_TRY(parse_mac(value.at("hostMac").get<std::string>()));
  value.at("mtu").get_to(port.mtu);
  value.at("bridge").get_to(port.bridge);
  value.at("isolated").get_to(port.isolated);
  value.at("uplinks").get_to(port.uplinks);
  port.addresses = VPS_TRY(parse_prefixes(value.at("addresses")));
  port.routed = VPS_TRY(parse_prefixes(value.at("routed")));
  port.allowed = VPS_TRY(parse_prefixes(value.at("allowed")));
  port.routes = VPS_TRY(parse_routes(value.at("routes")));
  port.rate_in = maybe_number<BitRate>(value.at("rateIn"));
  port.rate_out = maybe_number<BitRate>(value.at("rateOut"));
  port.guarantee_in = maybe_number<BitRate>(value.at("guaranteeIn"));
  port.guarantee_out = maybe_number<BitRate>(value.at("guaranteeOut"));
  port.total_in = maybe_number<BitRate>(value.at("totalIn"));
  port.total_out = maybe_number<BitRate>(value.at("totalOut"));
  port.packets_per_second = maybe_number<std::uint64_t>(value.at("packetRate"));
  port.guard = parse_guard(value.at("guard"));
  return port;
}

json firewall_json(const net::FirewallPlan& firewall) {
  json rules = json::array(), forwards = json::array();
  for (const auto& rule : firewall.rules) {
    json ports = json::array();
    for (const auto& range : rule.ports) ports.push_back({range.first, range.last});
    rules.push_back({{"number", rule.number},
                     {"direction", static_cast<int>(rule.direction)},
                     {"verdict", static_cast<int>(rule.verdict)},
                     {"protocol", static_cast<int>(rule.protocol)},
                     {"ports", ports},
                     {"peers", prefixes_json(rule.peers)},
                     {"log", rule.log},
                     {"comment", rule.comment}});
  }
  for (const auto& forward : firewall.forwards)
    forwards.push_back({{"number", forward.number},
                        {"listen", forward.listen ? json(format_ip(*forward.listen)) : json()},
                        {"protocol", static_cast<int>(forward.protocol)},
                        {"port", forward.port},
                        {"guestPort", forward.guest_port},
                        {"guest", format_ip(forward.guest)}});
  return {{"in", static_cast<int>(firewall.default_in)},
          {"out", static_cast<int>(firewall.default_out)},
          {"rules", rules},
          {"forwards", forwards}};
}

Result<net::FirewallPlan> parse_firewall(const json& value) {
  net::FirewallPlan firewall;
  firewall.default_in = static_cast<net::Verdict>(value.at("in").get<int>());
  firewall.default_out = static_cast<net::Verdict>(value.at("out").get<int>());
  for (const auto& item : value.at("rules")) {
    net::FirewallRule rule;
    item.at("number").get_to(rule.number);
    rule.direction = static_cast<net::Direction>(item.at("direction").get<int>());
    rule.verdict = static_cast<net::Verdict>(item.at("verdict").get<int>());
    rule.protocol = static_cast<net::Protocol>(item.at("protocol").get<int>());
    for (const auto& range : item.at("ports")) rule.ports.push_back({range.at(0).get<std::uint16_t>(), range.at(1).get<std::uint16_t>()});
    rule.peers = VPS_TRY(parse_prefixes(item.at("peers")));
    item.at("log").get_to(rule.log);
    item.at("comment").get_to(rule.comment);
    firewall.rules.push_back(std::move(rule));
  }
  for (const auto& item : value.at("forwards")) {
    net::PortForward forward;
    item.at("number").get_to(forward.number);
    if (!item.at("listen").is_null()) forward.listen = VPS_TRY(parse_ip(item.at("listen").get<std::string>()));
    forward.protocol = static_cast<net::Protocol>(item.at("protocol").get<int>());
    item.at("port").get_to(forward.port);
    item.at("guestPort").get_to(forward.guest_port);
    forward.guest = VPS_TRY(parse_ip(item.at("guest").get<std::string>()));
    firewall.forwards.push_back(forward);
  }
  return firewall;
}

}  // namespace

json network_json(const net::VpsPlan& plan) {
  json ports = json::array();
  for (const auto& port : plan.ports) ports.push_back(port_json(port));
  return {{"id", plan.id}, {"announce", plan.announce}, {"ports", ports}, {"firewall", firewall_json(plan.firewall)}};
}

Result<net::VpsPlan> parse_network(const json& value) {
  net::VpsPlan plan;
  value.at("id").get_to(plan.id);
  value.at("announce").get_to(plan.announce);
  for (const auto& item : value.at("ports")) plan.ports.push_back(VPS_TRY(parse_port(item)));
  plan.firewall = VPS_TRY(parse_firewall(value.at("firewall")));
  return plan;
}

}  // namespace vps::supervisor
