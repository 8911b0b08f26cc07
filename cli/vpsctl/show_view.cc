#include "cli/vpsctl/show_view.h"

#include "cli/common/table.h"
#include "cli/common/text.h"

namespace vps::cli {
namespace {

class Page {
 public:
  explicit Page(const Output& output) : output_(output) {}

  void heading(std::string_view text) {
    out_ += fmt::format("{}{}\n", out_.empty() ? "" : "\n", output_.paint(Colour::kBold, text));
  }
  void line(std::string_view label, std::string_view text, Colour colour = Colour::kNone) {
    if (text.empty()) return;
    constexpr std::size_t kLabel = 16;
    std::string pad(label.size() < kLabel ? kLabel - label.size() : 1, ' ');
    out_ += fmt::format("  {}{}{}\n", label, pad, output_.paint(colour, visible(text)));
  }
  void block(std::string_view text) {
    while (!text.empty()) {
      auto end = std::min(text.find('\n'), text.size());
      out_ += fmt::format("  {}\n", text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  std::string take() { return std::move(out_); }

 private:
  const Output& output_;
  std::string out_;
};

std::string yes_no(const Value& value) { return value.is_bool() ? (value.truth() ? "yes" : "no") : value.text(); }

std::string joined(const Value& list, std::string_view separator) {
  std::string text;
  for (const auto& item : list.items()) text += (text.empty() ? "" : std::string(separator)) + item.text();
  return text;
}

std::string exit_text(const Value& exit) {
  if (!exit.is_object()) return {};
  if (exit.get("text").is_string()) return exit.get("text").string();
  std::string text = exit.get("reason").text();
  auto signal = exit.get("signal").u64().value_or(0);
  std::string how = signal != 0 ? fmt::format("signal {}", signal) : fmt::format("code {}", exit.get("code").text());
  return text.empty() ? how : fmt::format("{} ({})", text, how);
}

std::string idmap_text(const Value& idmap) {
  if (!idmap.is_object()) return idmap.text();
  if (idmap.get("size").u64().value_or(0) == 0) return "host ids (no user namespace)";
  auto base = idmap.get("base").u64().value_or(0);
  auto size = idmap.get("size").u64().value_or(0);
  return fmt::format("0-{} inside are {}-{} on the host", size - 1, base, base + size - 1);
}

std::string count_of(const Value& list) { return list.is_array() && !list.items().empty() ? fmt::format("{}", list.items().size()) : ""; }

void show_status(Page& page, const Value& vps) {
  const Value& definition = vps.get("definition");
  const Value& status = vps.get("status");
  std::string state = status.get("state").string();
  page.heading("VPS " + visible(definition.get("id").text()));
  page.line("name", definition.get("name").text());
  page.line("uuid", definition.get("uuid").text());
  page.line("hostname", definition.get("hostname").text());
  page.line("template", definition.get("template").text());
  page.line("state", state + (status.get("ready").truth() ? ", ready" : ""), state_colour(state));
  page.line("error", status.get("error").is_object() ? status.get("error").get("message").text() : status.get("error").text(), Colour::kRed);
  if (status.get("pid").u64().value_or(0) != 0) page.line("pid", status.get("pid").text());
  if (status.get("supervisorPid").u64().value_or(0) != 0) page.line("supervisor", status.get("supervisorPid").text());
  page.line("started", short_time(status.get("started").text()));
  if (status.get("uptime").number() && state != "stopped") page.line("uptime", human_duration(*status.get("uptime").number()));
  const Value& init = vps.get("init").is_object() ? vps.get("init") : status.get("init");
  page.line("status", status.get("statusText").text());
  page.line("init", init.get("path").text().empty() ? init.text() : fmt::format("{} ({})", init.get("path").text(), init.get("kind").text()));
  page.line("last exit", exit_text(status.get("exit")));
  if (status.get("restarts").u64().value_or(0) != 0) page.line("restarts", status.get("restarts").text());
  page.line("restart needed", joined(status.get("restartRequired"), ", "), Colour::kYellow);
  page.line("on boot", yes_no(definition.get("onboot")));
  page.line("restart policy", definition.get("restart").text());
  page.line("labels", definition.get("labels").text());
  page.line("cgroup", status.get("cgroup").text());
  page.line("rootfs", status.get("rootfs").text());
}

void show_interfaces(Page& page, const Value& interfaces, const Output& output) {
  if (interfaces.items().empty()) return;
  page.heading("Network");
  Table table({{"INTERFACE"}, {"NETWORK"}, {"ADDRESSES"}, {"MAC"}, {"HOST END"}, {"GUARDS"}});
  for (const auto& each : interfaces.items())
    table.add({{each.get("name").text()},
               {fmt::format("{} ({})", each.get("network").text(), each.get("mode").text())},
               {joined(each.get("addresses"), " ")},
               {each.get("mac").text()},
               {each.get("hostLink").text()},
               {joined(each.get("guards"), " ")}});
  page.block(table.render(output));
}

void show_usage(Page& page, const Value& usage) {
  if (!usage.is_object()) return;
  page.heading("Usage");
  auto cpu = usage.path("cpu.usageUsec").number();
  if (cpu) page.line("cpu time", human_duration(*cpu / 1e6));
  std::string memory = human_bytes(usage.path("memory.current"));
  std::string peak = human_bytes(usage.path("memory.peak"));
  page.line("memory", peak.empty() ? memory : fmt::format("{} (peak {})", memory, peak));
  page.line("swap", human_bytes(usage.path("memory.swap")));
  if (usage.path("memory.oomKills").u64().value_or(0) != 0) page.line("oom kills", usage.path("memory.oomKills").text(), Colour::kRed);
  page.line("processes", usage.path("pids.current").text());
  if (usage.get("io").is_object())
    page.line("io", fmt::format("read {}, written {}", human_bytes(usage.path("io.readBytes")), human_bytes(usage.path("io.writeBytes"))));
  page.line("disk", human_bytes(usage.path("disk.bytes")));
}

void show_security(Page& page, const Value& security) {
  if (!security.is_object()) return;
  page.heading("Security");
  page.line("user namespace", yes_no(security.get("userNamespace")), security.get("userNamespace").truth() ? Colour::kNone : Colour::kRed);
  page.line("ids", idmap_text(security.get("idmap")));
  page.line("namespaces", joined(security.get("namespaces"), " "));
  page.line("capabilities", joined(security.get("capabilities"), " "));
  const Value& seccomp = security.get("seccomp");
  std::string allowed = seccomp.get("allowed").is_array() ? count_of(seccomp.get("allowed")) : seccomp.get("allowed").text();
  page.line("seccomp", seccomp.is_object() ? seccomp.get("profile").text() + (allowed.empty() ? "" : fmt::format(" ({} calls allowed)", allowed)) : seccomp.text());
  page.line("devices", joined(security.get("devices"), " "));
  page.line("masked paths", count_of(security.get("maskedPaths")));
  page.line("read-only paths", count_of(security.get("readonlyPaths")));
  page.line("no new privs", yes_no(security.get("noNewPrivileges")));
}

}  // namespace

std::string render_limits(const Value& limits, const Output& output) {
  Table table({{"LIMIT"}, {"VALUE"}, {"STATE"}, {"BY"}});
  for (const auto& limit : limits.items()) {
    std::string state = limit.get("state").text();
    Colour colour = state == "enforced" ? Colour::kGreen : state == "unavailable" ? Colour::kRed : Colour::kYellow;
    std::string by = limit.get("file").text();
    const auto& reason = limit.get("reason").string();
    if (!reason.empty()) by += (by.empty() ? "" : ": ") + reason;
    table.add({{limit.get("limit").text()}, {limit.get("value").text()}, {state, colour}, {by}});
  }
  return table.empty() ? std::string() : table.render(output);
}

std::string render_show(const Value& vps, const Output& output) {
  Page page(output);
  show_status(page, vps);
  auto limits = render_limits(vps.get("limits"), output);
  page.heading("Limits");
  page.block(limits.empty() ? "none are set" : limits);
  show_interfaces(page, vps.get("interfaces"), output);
  show_usage(page, vps.get("usage"));
  show_security(page, vps.get("security"));
  return page.take();
}

}  // namespace vps::cli
