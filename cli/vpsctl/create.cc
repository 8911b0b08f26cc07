#include "cli/common/context.h"
#include "cli/common/operations.h"
#include "cli/common/source.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"
#include "cli/vpsctl/show_view.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "template", .letter = 't', .value = "TEMPLATE", .help = "what it is made from; needed unless --file names one", .completes = Completion::kTemplate},
    {.name = "file", .letter = 'F', .value = "FILE", .help = "a definition (vps.yaml); - is standard input; options win over it", .completes = Completion::kFile},
    {.name = "plan", .letter = 'p', .value = "PLAN", .help = "a named set of limits"},
    {.name = "name", .value = "NAME", .help = "a second, unique name"},
    {.name = "hostname", .value = "NAME", .help = "its host name; default: the id"},
    {.name = "ip", .value = "auto|none|ADDR[/LEN]", .help = "an address of its eth0; none: loopback only", .repeated = true},
    {.name = "network", .value = "NETWORK", .help = "the network of its eth0, with --ip auto where no address is given; default: default", .completes = Completion::kNetwork},
    {.name = "ssh-key", .value = "FILE", .help = "public keys that may log in as root; - is standard input", .repeated = true, .completes = Completion::kFile},
    {.name = "ram", .value = "SIZE", .help = "memory limit, like 512M or 2G"},
    {.name = "swap", .value = "SIZE", .help = "swap beyond the memory; 0 forbids it"},
    {.name = "cpus", .value = "N", .help = "CPU limit, like 1.5"},
    {.name = "disk", .value = "SIZE", .help = "size of its disk"},
    {.name = "onboot", .help = "start it when the host boots"},
    {.name = "set", .value = "KEY=VALUE", .help = "any key of the definition, as vpsctl set takes it", .repeated = true},
    {.name = "start", .help = "start it as well"},
    {.name = "dry-run", .help = "print every step and the definition that would be saved, and do nothing"},
};
constexpr PositionalSpec kPositionals[] = {{.name = "ID", .help = "its id: a-z, 0-9 and -, at most 63 characters"}};
constexpr ExampleSpec kExamples[] = {
    {"half a gigabyte, one and a half CPUs, running at the end", "vpsctl create 101 --template debian-12 --ram 512M --cpus 1.5 --start"},
    {"a fixed address of the network public", "vpsctl create 102 --template debian-12 --network public --ip 203.0.113.70"},
    {"a copy of another's definition", "vpsctl show 101 -o yaml | vpsctl create 103 --file - --set name="},
};

// The options that are short names of keys.
constexpr std::string_view kKeys[] = {"name", "hostname", "plan", "ram", "swap", "cpus", "disk"};

Result<std::vector<std::string>> network_assignments(std::vector<std::string> addresses, const std::string* network) {
  if (addresses.empty()) {
    if (network == nullptr) return std::vector<std::string>{};
    addresses.emplace_back("auto");
  }
  std::string list;
  for (const auto& address : addresses) {
    if (address == "none" && addresses.size() > 1) return fail(Code::kUsage, "--ip none excludes other addresses");
    bool plain = !address.empty() && address.find_first_not_of("0123456789abcdefABCDEFautonone.:/") == std::string::npos;
    if (!plain) return fail(Code::kUsage, "--ip {}: expected auto, none or an address like 10.0.0.2/24", address);
    list += (list.empty() ? "" : ", ") + format_json(Value(address), 0);
  }
  if (addresses[0] == "none") {
    if (network != nullptr) return fail(Code::kUsage, "--ip none excludes --network");
    return std::vector<std::string>{"network=none"};
  }
  return std::vector{fmt::format("network.interfaces=[{{name: eth0, network: {}, addresses: [{}]}}]",
                                 format_json(Value(network != nullptr ? *network : "default"), 0), list)};
}

Result<Value> assignments(const Arguments& arguments) {
  Value set = Value::array();
  for (auto key : kKeys)
    if (const auto* value = arguments.value(key)) set.push(fmt::format("{}={}", key, *value));
  if (arguments.flag("onboot")) set.push("onboot=true");
  for (const auto& text : VPS_TRY(network_assignments(arguments.values("ip"), arguments.value("network")))) set.push(text);
  for (const auto& text : arguments.values("set")) {
    auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) return fail(Code::kUsage, "--set {}: expected KEY=VALUE", text);
    set.push(text);
  }
  return set;
}

// Every line that is no comment; what a key must look like is vpsd's affair.
Result<Value> ssh_keys(const std::vector<std::string>& files) {
  Value keys = Value::array();
  for (const auto& file : files) {
    auto source = VPS_TRY_CTX("--ssh-key", read_source(file));
    std::size_t found = 0;
    for (std::string_view rest = source.text; !rest.empty();) {
      auto end = std::min(rest.find('\n'), rest.size());
      auto line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
      if (line.empty() || line.front() == '#') continue;
      keys.push(std::string(line));
      ++found;
    }
    if (found == 0) return fail(Code::kUsage, "--ssh-key {}: there is no key in it", file);
  }
  return keys;
}

Result<Value> request_body(const std::string& id, const Arguments& arguments) {
  Value body = Value::object();
  const auto* file = arguments.value("file");
  const auto* from = arguments.value("template");
  if (file == nullptr && from == nullptr) return fail(Code::kUsage, "missing --template (or --file with one)");
  if (file != nullptr) {
    auto source = VPS_TRY(read_source(*file));
    if (top_level_key(source.text, "id") != id) source.text = VPS_TRY(with_key(source.text, "id", id));
    if (from != nullptr) source.text = VPS_TRY(with_key(source.text, "template", *from));
    body.set("yaml", std::move(source.text)).set("file", std::move(source.name));
  } else {
    Value definition = Value::object();
    definition.set("id", id).set("template", *from);
    body.set("definition", std::move(definition));
  }
  auto set = VPS_TRY(assignments(arguments));
  if (!set.items().empty()) body.set("set", std::move(set));
  if (!arguments.values("ssh-key").empty()) body.set("sshKeys", VPS_TRY(ssh_keys(arguments.values("ssh-key"))));
  if (arguments.flag("start")) body.set("start", true);
  if (arguments.flag("dry-run")) body.set("dryRun", true);
  return body;
}

Result<int> print_dry_run(Context& context, const Value& answer) {
  VPS_TRY(print_steps(context, answer));
  if (context.output.format() != Format::kTable) return 0;
  auto limits = render_limits(answer.get("limits"), context.output);
  if (!limits.empty()) context.output.write_raw("\n" + limits);
  if (answer.get("definition").is_object()) context.output.write_raw("\n" + format_yaml(answer.get("definition")));
  return 0;
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& id = arguments.positionals()[0];
  context.subject = id;
  VPS_TRY(check_ids({id}));
  auto body = VPS_TRY(request_body(id, arguments));
  auto answer = VPS_TRY(context.api.post(api_path({"containers"}), body));
  if (arguments.flag("dry-run")) return print_dry_run(context, answer);
  auto operation = VPS_TRY(await_operation(context, std::move(answer), "create " + id, OnInterrupt::kCancel));
  for (const auto& warning : operation.get("warnings").items()) context.output.warning(fmt::format("create {}: {}", id, warning.text()));
  switch (context.output.format()) {
    case Format::kTable: context.output.line(fmt::format("{}: {}", visible(id), arguments.flag("start") ? "created and started" : "created")); break;
    case Format::kName: context.output.line(visible(id)); break;
    default: context.output.document(operation);
  }
  return 0;
}

}  // namespace

constinit const CommandSpec kCreate = {
    .name = "create",
    .summary = "define and build a VPS",
    .description =
        "Makes a VPS from a template: all or nothing. What a definition may say stands in vps.yaml(5); the options are its "
        "common keys, and --set takes every other one. A limit that this host cannot enforce is told as a warning.\n\n"
        "Ctrl-C while it is being built undoes it.",
    .options = kOptions,
    .positionals = kPositionals,
    .examples = kExamples,
    .run = run,
};

}  // namespace vps::cli
