// The rows of the schema's table that describe a VPS's interfaces and its firewall (schema.h).
#pragma once

#include <span>

#include "specs/vps/net_codecs.h"
#include "specs/vps/schema.h"

namespace vps::schema {

std::span<const Row<Interface>> interface_rows();
std::span<const Row<net::FirewallRule>> firewall_rows();
std::span<const Row<Forward>> forward_rows();

using Interfaces = List<Object<Interface, interface_rows>, 32>;

// "network: none" is the whole network in one word; `none` itself follows from the interfaces.
constexpr Row<Definition> network_row() {
  return {"network", "", kShorthand | kAlways | kNextStart, Shape::kScalar,
          [](Definition& definition, const Node& node, const Where& where) -> Result<> {
            if (node.text != "none") return where.expected("none or a mapping of keys", node);
            definition.network = VpsNetwork{};
            return {};
          },
          [](const Definition& definition) {
            return definition.network == VpsNetwork{} ? Node::of_text("none") : Node();
          },
          [](Definition& to, const Definition& from) { to.network = from.network; },
          [](const Definition& definition, const Where& where) -> Result<> {
            if (definition.network.none == definition.network.interfaces.empty()) return {};
            return where.refuse(definition.network.none ? "none excludes interfaces" : "no interfaces and not none");
          }};
}

constexpr Row<Definition> interfaces_row() {
  auto row = make_row<Definition, Interfaces, [](auto& object) -> auto& { return object.network.interfaces; }>(
      "network.interfaces", Shape::kList, kNextStart);
  row.set = [](Definition& definition, const Node& node, const Where& where) -> Result<> {
    definition.network.interfaces = VPS_TRY(Interfaces::parse(node, where));
    definition.network.none = definition.network.interfaces.empty();
    return {};
  };
  row.copy = [](Definition& to, const Definition& from) {
    to.network.interfaces = from.network.interfaces;
    to.network.none = to.network.interfaces.empty();
  };
  return row;
}

}  // namespace vps::schema
