#include <array>

#include "base/units.h"
#include "cli/common/context.h"
#include "cli/common/operations.h"
#include "cli/common/table.h"
#include "cli/common/text.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "protocol", .letter = 'p', .value = "PROTO", .help = "tcp, udp, icmp or icmp6; default: any", .choices = "any tcp udp icmp icmp6"},
    {.name = "port", .value = "PORT[-PORT]", .help = "destination port of tcp or udp", .repeated = true},
    {.name = "peer", .value = "PREFIX", .help = "the other side: who sends to it, or whom it sends to", .repeated = true},
    {.name = "log", .help = "write what the rule catches to the kernel's log"},
    {.name = "before", .value = "NUMBER", .help = "put the rule in front of this one; default: at the end"},
    {.name = "comment", .value = "TEXT", .help = "for people"},
    {.name = "listen", .value = "ADDR", .help = "of a forward: the host's address; default: every one"},
    {.name = "guest", .value = "ADDR", .help = "of a forward: the VPS's address; default: its first"},
};
constexpr PositionalSpec kPositionals[] = {
    kOneId,
    {.name = "ACTION", .help = "add, forward, list, delete or default", .choices = "add forward list delete default"},
    {.name = "WORD", .help = "what the action takes", .least = 0, .most = kMany},
};
constexpr ExampleSpec kExamples[] = {
    {"let in ssh from one network and nothing else", "vpsctl firewall 101 add in accept -p tcp --port 22 --peer 192.0.2.0/24 && vpsctl firewall 101 default in drop"},
    {"port 8080 of the host leads to its web server", "vpsctl firewall 101 forward tcp 8080 80"},
    {"the rules with what they have caught", "vpsctl firewall 101 list"},
    {"one rule less", "vpsctl firewall 101 delete 3"},
};

using Words = std::vector<std::string>;

Result<> need(const Words& words, std::size_t count, std::string_view usage) {
  if (words.size() == count) return {};
  return fail(Code::kUsage, "expected {}", usage);
}

void put_list(Value& object, const char* key, const std::vector<std::string>& values) {
  if (values.empty()) return;
  Value list = Value::array();
  for (const auto& value : values) list.push(value);
  object.set(key, std::move(list));
}

Result<Value> body_of_rule(const Words& words, const Arguments& arguments) {
  VPS_TRY(need(words, 2, "add in|out accept|drop|reject"));
  Value rule = Value::object();
  rule.set("direction", words[0]).set("action", words[1]);
  if (const auto* protocol = arguments.value("protocol")) rule.set("protocol", *protocol);
  put_list(rule, "ports", arguments.values("port"));
  put_list(rule, "peers", arguments.values("peer"));
  if (arguments.flag("log")) rule.set("log", true);
  if (const auto* comment = arguments.value("comment")) rule.set("comment", *comment);
  Value body = Value::object();
  body.set("rule", std::move(rule));
  if (const auto* before = arguments.value("before")) {
    auto number = parse_u64(*before);
    if (!number || *number == 0) return fail(Code::kUsage, "--before: '{}' is no number of a rule", *before);
    body.set("before", *number);
  }
  return body;
}

Result<Value> body_of_forward(const Words& words, const Arguments& arguments) {
  VPS_TRY(need(words, 3, "forward tcp|udp PORT GUESTPORT"));
  Value forward = Value::object();
  forward.set("protocol", words[0]).set("port", words[1]).set("guestPort", words[2]);
  for (const char* key : {"listen", "guest"})
    if (const auto* value = arguments.value(key)) forward.set(key, *value);
  Value body = Value::object();
  body.set("forward", std::move(forward));
  return body;
}

Result<int> change(Context& context, const std::string& id, const Value& body, std::string_view done) {
  auto answer = VPS_TRY(context.api.post(api_path({"containers", id, "firewall"}), body));
  for (const auto& warning : answer.get("warnings").items()) context.output.warning(fmt::format("{}: {}", id, warning.text()));
  switch (context.output.format()) {
    case Format::kTable: {
      auto number = answer.get("number").text();
      context.output.line(visible(number.empty() ? fmt::format("{}: {}", id, done) : fmt::format("{}: {} {}", id, number, done)));
      break;
    }
    case Format::kName: context.output.line(visible(answer.get("number").text())); break;
    default: context.output.document(answer);
  }
  return 0;
}

std::string joined(const Value& list) {
  std::string text;
  for (const auto& item : list.items()) text += (text.empty() ? "" : ",") + item.text();
  return text;
}

Result<int> list(Context& context, const std::string& id) {
  auto answer = VPS_TRY(context.api.get(api_path({"containers", id, "firewall"})));
  auto firewall = VPS_TRY(expect_object(std::move(answer), "the firewall"));
  Output& output = context.output;
  if (output.format() == Format::kJson || output.format() == Format::kYaml) {
    output.document(firewall);
    return 0;
  }
  Table rules({{"NUMBER", Align::kRight}, {"DIR"}, {"ACTION"}, {"PROTOCOL"}, {"PORTS"}, {"PEERS"}, {"LOG"}, {"PACKETS", Align::kRight}, {"BYTES", Align::kRight}, {"COMMENT"}});
  for (const auto& rule : firewall.get("rules").items()) {
    if (output.format() == Format::kName) output.write_raw(visible(rule.get("number").text()) + "\n");
    auto protocol = rule.get("protocol").text();
    rules.add({{rule.get("number").text()}, {rule.get("direction").text()}, {rule.get("action").text()}, {protocol.empty() ? "any" : protocol},
               {joined(rule.get("ports"))}, {joined(rule.get("peers"))}, {rule.get("log").truth() ? "yes" : ""}, {rule.get("packets").text()},
               {human_bytes(rule.get("bytes"))}, {rule.get("comment").text()}});
  }
  Table forwards({{"NUMBER", Align::kRight}, {"PROTOCOL"}, {"LISTEN"}, {"PORT", Align::kRight}, {"GUEST"}, {"GUEST PORT", Align::kRight}});
  for (const auto& forward : firewall.get("forwards").items()) {
    if (output.format() == Format::kName) output.write_raw(visible(forward.get("number").text()) + "\n");
    auto protocol = forward.get("protocol").text();
    auto listen = forward.get("listen").text();
    forwards.add({{forward.get("number").text()}, {protocol.empty() ? "tcp" : protocol}, {listen.empty() ? "any" : listen}, {forward.get("port").text()},
                  {forward.get("guest").text()}, {forward.get("guestPort").text()}});
  }
  if (output.format() == Format::kName) return 0;
  if (!rules.empty()) output.write_raw(rules.render(output) + "\n");
  for (const char* direction : {"in", "out"}) {
    const Value& refused = firewall.get("refused").get(direction);
    std::string count = refused.is_object() ? fmt::format(" ({} packets refused)", refused.get("packets").text()) : std::string();
    output.write_raw(visible(fmt::format("default {}: {}{}", direction, firewall.get(direction).text(), count)) + "\n");
  }
  if (!forwards.empty()) output.write_raw("\n" + forwards.render(output));
  return 0;
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& positionals = arguments.positionals();
  const auto& id = positionals[0];
  const auto& action = positionals[1];
  const Words words(positionals.begin() + 2, positionals.end());
  context.subject = id;
  VPS_TRY(check_ids({id}));
  if (action == "list") {
    VPS_TRY(need(words, 0, "nothing behind list"));
    return list(context, id);
  }
  if (action == "add") return change(context, id, VPS_TRY(body_of_rule(words, arguments)), "added");
  if (action == "forward") return change(context, id, VPS_TRY(body_of_forward(words, arguments)), "forwarded");
  if (action == "default") {
    VPS_TRY(need(words, 2, "default in|out accept|drop|reject"));
    if (words[0] != "in" && words[0] != "out") return fail(Code::kUsage, "expected in or out, found '{}'", words[0]);
    Value body = Value::object();
    body.set(words[0], words[1]);
    return change(context, id, body, fmt::format("default {} is {}", words[0], words[1]));
  }
  if (words.empty()) return fail(Code::kUsage, "expected delete NUMBER...");
  for (const auto& number : words) {
    if (number.empty()) return fail(Code::kUsage, "the number is empty");
    VPS_TRY_CTX(fmt::format("delete {}", number), context.api.remove(api_path({"containers", id, "firewall", number})));
    context.output.line(visible(context.output.format() == Format::kTable ? fmt::format("{}: {} deleted", id, number) : number));
  }
  return 0;
}

}  // namespace

constinit const CommandSpec kFirewall = {
    .name = "firewall",
    .summary = "the firewall and the port forwards of a VPS",
    .description =
        "add in|out accept|drop|reject adds a rule, at the end or in front of another; rules are looked at in order, behind the answers to what was let through. "
        "forward tcp|udp PORT GUESTPORT leads a port of the host to one of the VPS. list shows all of it with counters; delete NUMBER... "
        "takes entries away; default in|out accept|drop|reject says what becomes of everything else.\n\n"
        "Each change is one transaction, in force at once and saved. Numbers are never used twice.",
    .options = kOptions,
    .positionals = kPositionals,
    .examples = kExamples,
    .run = run,
};

}  // namespace vps::cli
