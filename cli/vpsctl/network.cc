#include "cli/common/context.h"
#include "cli/common/operations.h"
#include "cli/common/table.h"
#include "cli/vpsctl/commands.h"

namespace vps::cli {
namespace {

constexpr PositionalSpec kName{.name = "NETWORK", .help = "name of a network", .completes = Completion::kNetwork};
constexpr PositionalSpec kNames{.name = "NETWORK", .help = "name of a network", .most = kMany, .completes = Completion::kNetwork};

std::string joined(const Value& list) {
  std::string text;
  for (const auto& item : list.items()) text += (text.empty() ? "" : " ") + item.text();
  return text;
}

void say_warnings(Context& context, const std::string& name, const Value& answer) {
  for (const auto& warning : answer.get("warnings").items()) context.output.warning(fmt::format("{}: {}", name, warning.text()));
}

void say_done(Context& context, const std::string& name, const Value& answer, std::string_view done) {
  say_warnings(context, name, answer);
  switch (context.output.format()) {
    case Format::kTable: context.output.line(visible(fmt::format("{}: {}", name, done))); break;
    case Format::kName: context.output.line(visible(name)); break;
    default: context.output.document(answer.get("network"));
  }
}

Value texts(const std::vector<std::string>& values) {
  Value list = Value::array();
  for (const auto& value : values) list.push(value);
  return list;
}

Result<int> run_create(Context& context, const Arguments& arguments) {
  const auto& name = arguments.positionals()[0];
  context.subject = name;
  Value definition = Value::object();
  definition.set("name", name).set("mode", arguments.value_or("mode", "bridge"));
  for (const auto& [option, key] : {std::pair("subnet", "subnets"), {"gateway", "gateways"}, {"uplink", "uplinks"}})
    if (!arguments.values(option).empty()) definition.set(key, texts(arguments.values(option)));
  if (arguments.flag("nat")) definition.set("nat", true);
  if (arguments.flag("isolated")) definition.set("isolated", true);
  for (const auto& [option, key] : {std::pair("mtu", "mtu"), {"probe", "probe"}, {"rate-in", "rateIn"}, {"rate-out", "rateOut"}})
    if (const auto* value = arguments.value(option)) definition.set(key, *value);
  Value body = Value::object();
  body.set("definition", std::move(definition));
  auto answer = VPS_TRY(context.api.post(api_path({"networks"}), body));
  const auto subnets = joined(answer.path("network.subnets"));
  say_done(context, name, answer, subnets.empty() ? "created" : fmt::format("created with {}", subnets));
  return 0;
}

Result<int> run_list(Context& context, const Arguments&) {
  auto answer = VPS_TRY(context.api.get(api_path({"networks"})));
  auto list = VPS_TRY(expect_array(std::move(answer), "the list of networks"));
  Output& output = context.output;
  if (output.format() == Format::kJson || output.format() == Format::kYaml) {
    output.document(list);
    return 0;
  }
  Table table({{"NAME"}, {"MODE"}, {"SUBNETS"}, {"GATEWAYS"}, {"NAT"}, {"UPLINKS"}, {"ADDRESSES", Align::kRight}, {"USED BY", Align::kRight}});
  for (const auto& item : list.items()) {
    if (output.format() == Format::kName) output.write_raw(visible(item.get("name").string()) + "\n");
    table.add({{item.get("name").text()},
               {item.get("mode").text()},
               {joined(item.get("subnets"))},
               {joined(item.get("gateways"))},
               {item.get("nat").truth() ? "yes" : "no"},
               {joined(item.get("uplinks"))},
               {fmt::format("{}", item.get("addresses").items().size())},
               {fmt::format("{}", item.get("usedBy").items().size())}});
  }
  if (output.format() == Format::kTable) output.write_raw(table.render(output));
  return 0;
}

std::string page_of(const Value& network, const Output& output) {
  std::string page;
  auto line = [&](std::string_view label, const std::string& text) {
    page += visible(fmt::format("{:<12}{}", label, text.empty() ? "-" : text)) + "\n";
  };
  line("name", network.get("name").text());
  line("mode", network.get("mode").text());
  for (const char* key : {"subnets", "gateways", "uplinks"}) line(key, joined(network.get(key)));
  line("nat", network.get("nat").truth() ? "yes" : "no");
  line("isolated", network.get("isolated").truth() ? "yes" : "no");
  line("mtu", network.get("mtu").text());
  line("probe", network.get("probe").text());
  line("rate in", network.get("rateIn").text());
  line("rate out", network.get("rateOut").text());
  line("used by", joined(network.get("usedBy")));
  Table table({{"ADDRESS"}, {"VPS"}, {"INTERFACE"}, {"ASKED FOR"}});
  for (const auto& each : network.get("addresses").items())
    table.add({{each.get("address").text()}, {each.get("vps").text()}, {each.get("interface").text()}, {each.get("fixed").truth() ? "by address" : "auto"}});
  if (!table.empty()) page += "\n" + table.render(output);
  return page;
}

Result<int> run_show(Context& context, const Arguments& arguments) {
  const auto& name = arguments.positionals()[0];
  context.subject = name;
  if (name.empty()) return fail(Code::kUsage, "the name is empty");
  if (context.output.format() == Format::kYaml) {
    context.output.write_raw(VPS_TRY(context.api.get_text(api_path({"networks", name}, {{"format", "yaml"}}))));
    return 0;
  }
  auto answer = VPS_TRY(context.api.get(api_path({"networks", name})));
  auto network = VPS_TRY(expect_object(std::move(answer), "the network"));
  switch (context.output.format()) {
    case Format::kJson: context.output.document(network); break;
    case Format::kName: context.output.write_raw(visible(network.get("name").text()) + "\n"); break;
    default: context.output.write_raw(page_of(network, context.output));
  }
  return 0;
}

Result<int> run_set(Context& context, const Arguments& arguments) {
  const auto& words = arguments.positionals();
  context.subject = words[0];
  if (words[0].empty()) return fail(Code::kUsage, "the name is empty");
  Value body = Value::object();
  body.set("set", texts({words.begin() + 1, words.end()}));
  auto answer = VPS_TRY(context.api.send("PATCH", api_path({"networks", words[0]}), body));
  say_done(context, words[0], answer, "changed");
  return 0;
}

Result<int> run_delete(Context& context, const Arguments& arguments) {
  int exit_code = 0;
  for (const auto& name : unique_ids(arguments.positionals())) {
    auto removed = name.empty() ? Result<Value>(fail(Code::kUsage, "the name is empty")) : context.api.remove(api_path({"networks", name}));
    if (removed) {
      context.output.line(visible(context.output.format() == Format::kTable ? name + ": deleted" : name));
      continue;
    }
    int code = report_error(context, "network delete", name, removed.error());
    if (exit_code == 0) exit_code = code;
  }
  return exit_code;
}

constexpr OptionSpec kCreateOptions[] = {
    {.name = "mode", .letter = 'm', .value = "MODE", .help = "bridge (the default), routed, macvlan or host-device", .choices = "bridge routed macvlan host-device"},
    {.name = "subnet", .value = "CIDR", .help = "a pool of addresses; a bridge without one gets free ones", .repeated = true},
    {.name = "gateway", .value = "ADDR", .help = "the gateway of a subnet; default on a bridge: its first address", .repeated = true},
    {.name = "nat", .help = "packets that leave its subnets have the host's address"},
    {.name = "uplink", .value = "IF", .help = "a link of the host: where a routed network answers for its VPSes, the parent of a macvlan, the device itself", .repeated = true},
    {.name = "isolated", .help = "its VPSes reach the gateway, but not each other"},
    {.name = "mtu", .value = "N", .help = "largest packet; default: the kernel's"},
    {.name = "rate-in", .value = "RATE", .help = "of all its VPSes together, towards them, in bit/s: what guaranteeIn is a share of"},
    {.name = "rate-out", .value = "RATE", .help = "of all its VPSes together, from them, in bit/s: what guaranteeOut is a share of"},
    {.name = "probe", .value = "POLICY", .help = "when an address that is given out answers on an uplink: off, warn (the default) or refuse", .choices = "off warn refuse"},
};
constexpr PositionalSpec kNew[] = {{.name = "NETWORK", .help = "name of the new network"}};
constexpr PositionalSpec kOne[] = {kName};
constexpr PositionalSpec kSeveral[] = {kNames};
constexpr PositionalSpec kSetWords[] = {kName, {.name = "KEY=VALUE", .help = "a key of the network: subnets, gateways, nat, isolated, uplinks, mtu, probe, rateIn, rateOut; lists like [a, b]", .most = kMany}};

constexpr ExampleSpec kCreateExamples[] = {
    {"private addresses behind the host's", "vpsctl network create inside --nat"},
    {"public addresses of the host's own network", "vpsctl network create public --mode routed --subnet 203.0.113.64/26 --uplink eth0"},
};
constexpr CommandSpec kCreateCommand = {
    .name = "create",
    .summary = "make a network",
    .description =
        "Makes a network: a bridge of the host's own, routes to single addresses that the host answers for (routed), or a share of a "
        "link of the host (macvlan, host-device). A subnet that overlaps another network's or, on a bridge, what the host itself has an "
        "address in or a route to, is refused (4), and so is a bridge of that name that somebody else has made.",
    .options = kCreateOptions,
    .positionals = kNew,
    .examples = kCreateExamples,
    .run = run_create,
};
constexpr CommandSpec kListCommand = {
    .name = "list",
    .summary = "list networks",
    .description = "Lists the networks that VPSes can be connected to.",
    .run = run_list,
};
constexpr CommandSpec kShowCommand = {
    .name = "show",
    .summary = "show one network and who holds which address",
    .description = "Shows a network, the VPSes that have it and the addresses that they hold. -o yaml prints its definition only.",
    .positionals = kOne,
    .run = run_show,
};
constexpr CommandSpec kSetCommand = {
    .name = "set",
    .summary = "change keys of a network",
    .description = "Changes a network. While VPSes have it uplinks, mtu and isolated cannot be changed, nor the subnets and gateways of addresses that are in use (7): they know these since their start. Further subnets can be added at any time. rateIn and rateOut are of all VPSes together; they change what runs, and cannot be less than its guarantees (7).",
    .positionals = kSetWords,
    .run = run_set,
};
constexpr CommandSpec kDeleteCommand = {
    .name = "delete",
    .summary = "delete networks",
    .description = "Deletes networks. One that a VPS has is refused (7).",
    .positionals = kSeveral,
    .run = run_delete,
};
constexpr const CommandSpec* kCommands[] = {&kCreateCommand, &kListCommand, &kShowCommand, &kSetCommand, &kDeleteCommand};
constexpr ExampleSpec kExamples[] = {
    {"make a network and a VPS on it", "vpsctl network create inside --nat && vpsctl create 101 -t debian-12 --network inside"},
    {"more addresses for a network that is in use", "vpsctl network set inside 'subnets=[10.201.0.0/16, 10.202.0.0/16]'"},
    {"who has which address", "vpsctl network show inside"},
};

}  // namespace

constinit const CommandSpec kNetwork = {
    .name = "network",
    .summary = "what VPSes are connected to",
    .description =
        "Makes, lists and deletes networks. The network default (a bridge with NAT, an IPv4 and a private IPv6 subnet that overlap nothing "
        "on the host) is made when the first VPS asks for it, as create --ip does.",
    .commands = kCommands,
    .examples = kExamples,
};

}  // namespace vps::cli
