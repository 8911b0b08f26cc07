#include "netns/devices.h"

#include <fmt/core.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "base/files.h"
#include "base/units.h"
#include "netns/link_messages.h"
#include "netns/port.h"

namespace vps::netns {
namespace {

std::string folder_of(const Host& host) { return host.run_dir + "/devices"; }
std::string path_of(const Host& host, const std::string& name) { return folder_of(host) + "/" + name; }

}  // namespace

std::string held_folder(const Host& host) { return host.run_dir + "/held"; }
std::string held_path(const Host& host, const std::string& id) { return held_folder(host) + "/" + id; }
bool holds_namespace(const Host& host, const std::string& id) { return path_exists(held_path(host, id)); }

std::string format_lent(const LentDevice& device) {
  std::string text = fmt::format("vps {}\nname {}\nguest-name {}\nmtu {}\nup {}\n", device.vps, device.name, device.guest_name, device.mtu,
                                 device.up ? 1 : 0);
  if (!device.alias.empty()) text += fmt::format("alias {}\n", device.alias);
  if (device.permanent) text += fmt::format("permanent {}\n", format_mac(*device.permanent));
  if (device.mac) text += fmt::format("mac {}\n", format_mac(*device.mac));
  for (const auto& address : device.addresses) text += fmt::format("address {}\n", format_prefix(address));
  return text;
}

Result<LentDevice> parse_lent(std::string_view text) {
  LentDevice device;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    std::string_view key = line.substr(0, line.find(' '));
    std::string_view value = line.substr(std::min(line.size(), key.size() + 1));
    if (key == "vps") device.vps = value;
    else if (key == "name") device.name = value;
    else if (key == "guest-name") device.guest_name = value;
    else if (key == "alias") device.alias = value;
    else if (key == "mtu") device.mtu = static_cast<std::uint32_t>(VPS_TRY(parse_u64(value)));
    else if (key == "up") device.up = value == "1";
    else if (key == "permanent") device.permanent = VPS_TRY(parse_mac(value));
    else if (key == "mac") device.mac = VPS_TRY(parse_mac(value));
    else if (key == "address") device.addresses.push_back(VPS_TRY(parse_prefix(value)));
  }
  if (device.name.empty() || device.vps.empty()) return fail(Code::kUsage, "the record of a lent device names no device or no VPS");
  return device;
}

Result<> save_lent(const Host& host, const LentDevice& device) {
  VPS_TRY(make_dirs(folder_of(host), 0700));
  return write_file_atomic(path_of(host, device.name), format_lent(device));
}

Result<std::optional<LentDevice>> find_lent(const Host& host, const std::string& name) {
  if (!path_exists(path_of(host, name))) return std::optional<LentDevice>();
  auto text = VPS_TRY(read_file(path_of(host, name)));
  return VPS_TRY_CTX("device " + name, parse_lent(text));
}

Result<> forget_lent(const Host& host, const LentDevice& device) { return remove_file(path_of(host, device.name)); }

Result<std::vector<LentDevice>> all_lent(const Host& host) {
  std::vector<LentDevice> all;
  if (!path_exists(folder_of(host))) return all;
  for (const auto& name : VPS_TRY(list_dir(folder_of(host))))
    // One that is torn (a temporary of write_file_atomic among them) says nothing.
    if (auto device = find_lent(host, name); device && *device && (*device)->name == name) all.push_back(std::move(**device));
  return all;
}

LentDevice describe_device(const Link& link, const std::vector<Address>& addresses) {
  LentDevice device;
  device.name = link.name;
  device.alias = link.alias;
  device.permanent = link.permanent_mac;
  device.mac = link.mac;
  device.mtu = link.mtu;
  device.up = link.up();
  for (const auto& address : addresses)
    // What the kernel or a router gives comes back by itself.
    if (address.link == link.index && (address.flags & IFA_F_PERMANENT) != 0 &&
        !(address.prefix.family() == Family::kV6 && address.scope == RT_SCOPE_LINK))
      device.addresses.push_back(address.prefix);
  return device;
}

std::string device_marker(const Host& host, const LentDevice& device) { return marker(host, "device", device.vps + ":" + device.name); }

const Link* recognise(const Host& host, const LentDevice& device, const std::vector<Link>& links) {
  auto find = [&](auto&& matches) {
    auto found = std::ranges::find_if(links, matches);
    return found == links.end() ? nullptr : &*found;
  };
  if (device.permanent)
    // Ports of a card may share a MAC: the one with a known name first.
    for (const auto& name : {device.guest_name, device.name, std::string()})
      if (const Link* link = find([&](const Link& each) { return each.permanent_mac == device.permanent && (name.empty() || each.name == name); }))
        return link;
  return find([&](const Link& each) { return each.alias == device_marker(host, device); });
}

Result<> restore_device(const Host& host, Socket& socket, const LentDevice& device, const Link& link) {
  std::vector<Message> messages;
  messages.push_back(set_up(link.index, link.name, false));
  if (link.name != device.name) messages.push_back(rename_link(link.index, link.name, device.name));
  if (device.mac && device.mac != link.mac) messages.push_back(set_mac(link.index, device.name, *device.mac));
  if (device.mtu != 0 && device.mtu != link.mtu) messages.push_back(set_mtu(link.index, device.name, device.mtu));
  VPS_TRY(socket.run(messages));
  messages.clear();
  if (device.up) messages.push_back(set_up(link.index, device.name, true));
  for (const auto& address : device.addresses) messages.push_back(add_address(link.index, device.name, address));
  // The marker goes last: until then the device is found again.
  messages.push_back(set_alias(link.index, device.name, device.alias));
  VPS_TRY(socket.run(messages));
  return forget_lent(host, device);
}

Result<std::vector<std::string>> recover_devices(const Host& host, const std::vector<std::string>& in_use) {
  std::vector<std::string> restored;
  auto lent = VPS_TRY(all_lent(host));
  if (lent.empty()) return restored;
  auto socket = VPS_TRY(Socket::open());
  for (const auto& device : lent) {
    if (std::ranges::find(in_use, device.vps) != in_use.end()) continue;
    auto all = VPS_TRY(links(socket));
    const Link* link = recognise(host, device, all);
    if (link == nullptr) continue;  // its namespace is still dying, or it was a virtual device and has died with it
    VPS_TRY_CTX(fmt::format("take back the device {} of VPS {}", device.name, device.vps), restore_device(host, socket, device, *link));
    restored.push_back(fmt::format("device {} is back from VPS {}", device.name, device.vps));
  }
  return restored;
}

}  // namespace vps::netns
