// Devices of the host that are lent to VPSes: what they were like is written down before they leave (Host::run_dir/devices/NAME), so
// that they come back as they were whatever dies meanwhile.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "netns/dump.h"
#include "netns/host.h"

namespace vps::netns {

struct LentDevice {
  std::string vps;                     // id of who has it
  std::string name;                    // on the host
  std::string guest_name;              // inside
  std::string alias;                   // before we marked it
  std::optional<MacAddress> permanent; // of the hardware; virtual devices have none
  std::optional<MacAddress> mac;
  std::uint32_t mtu = 0;
  bool up = false;
  std::vector<Prefix> addresses;       // that do not end by themselves
  bool operator==(const LentDevice&) const = default;
};

std::string format_lent(const LentDevice& device);
Result<LentDevice> parse_lent(std::string_view text);

Result<> save_lent(const Host& host, const LentDevice& device);
Result<std::optional<LentDevice>> find_lent(const Host& host, const std::string& name);
Result<> forget_lent(const Host& host, const LentDevice& device);
Result<std::vector<LentDevice>> all_lent(const Host& host);

LentDevice describe_device(const Link& link, const std::vector<Address>& addresses);
// Where the namespace of a VPS with such devices is kept (lent_namespace.h).
std::string held_folder(const Host& host);
std::string held_path(const Host& host, const std::string& id);

std::string device_marker(const Host& host, const LentDevice& device);
// The device among `links`, which may bear any name by now. By its hardware's MAC where it has one: name and alias are in the
// guest's hands while it has the device.
const Link* recognise(const Host& host, const LentDevice& device, const std::vector<Link>& links);
// Gives the device, now `link` on the host, what it had, and forgets the record.
Result<> restore_device(const Host& host, Socket& socket, const LentDevice& device, const Link& link);

}  // namespace vps::netns
