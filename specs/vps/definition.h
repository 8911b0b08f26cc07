// A VPS as its operator defines it: the content of vps.yaml as plain data. Absent optionals mean "no limit" or "default";
// the YAML form, its key names and its errors are in definition_yaml.h. Values, freely copyable between threads.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/units.h"
#include "specs/net/plan.h"

namespace vps {

enum class RestartPolicy { kNever, kOnFailure, kAlways };
enum class DiskLayout { kAuto, kOverlay, kImage, kBtrfs, kDir };

struct CpuResources {
  std::optional<double> limit;          // in CPUs: 1.5
  std::optional<std::uint32_t> weight;  // 1..10000, 100 is the default of the kernel
  std::optional<std::uint32_t> count;   // how many CPUs are visible (a cpuset of that many)
  std::string set;                      // "0-1,3"
  bool operator==(const CpuResources&) const = default;
};

struct MemoryResources {
  std::optional<Bytes> limit;
  std::optional<Bytes> swap;       // swap beyond memory; 0 forbids swapping
  std::optional<Bytes> guarantee;  // not reclaimed below this
  bool operator==(const MemoryResources&) const = default;
};

struct IoResources {
  std::optional<std::uint32_t> weight;        // 1..10000
  std::optional<Bytes> read, write;           // bytes per second
  std::optional<std::uint64_t> read_iops, write_iops;
  bool operator==(const IoResources&) const = default;
};

struct VpsResources {
  CpuResources cpu;
  MemoryResources memory;
  std::optional<std::uint64_t> pids_limit;
  IoResources io;
  bool operator==(const VpsResources&) const = default;
};

struct Disk {
  std::optional<Bytes> size;
  std::optional<std::uint64_t> inodes;
  DiskLayout layout = DiskLayout::kAuto;
  bool operator==(const Disk&) const = default;
};

// What the host end of a port lets through; on unless switched off by name.
struct InterfaceGuards {
  bool mac = true, ip = true, arp = true, router = true;
  bool operator==(const InterfaceGuards&) const = default;
};

struct Interface {
  std::string name, network, mac = "auto";
  std::vector<std::string> addresses;  // "auto", "10.0.0.2/24", ...
  std::vector<Prefix> allowed;         // further source addresses that may come from it
  std::vector<Prefix> routed;          // further prefixes that the host routes to it (routed networks)
  std::optional<BitRate> rate_in, rate_out, guarantee_in, guarantee_out;
  std::optional<std::uint64_t> packet_rate;  // packets per second from the VPS
  std::optional<std::uint32_t> mtu;
  InterfaceGuards guards;
  bool operator==(const Interface&) const = default;
};

// A port of the host that leads to one of the VPS; `guest` absent: the VPS's first address of that family.
struct Forward {
  std::uint32_t number = 0;
  std::optional<IpAddress> listen;
  net::Protocol protocol = net::Protocol::kTcp;
  std::uint16_t port = 0, guest_port = 0;
  std::optional<IpAddress> guest;
  // Whose ports it takes where it listens on every address.
  [[nodiscard]] Family family() const { return guest ? guest->family : listen ? listen->family : Family::kV4; }
  bool operator==(const Forward&) const = default;
};

struct Firewall {
  net::Verdict default_in = net::Verdict::kAccept, default_out = net::Verdict::kAccept;
  std::vector<net::FirewallRule> rules;
  std::vector<Forward> forwards;
  std::uint32_t last_number = 0;  // of a rule or forward, the highest that was ever given: none is used twice
  [[nodiscard]] bool filters() const {
    return default_in != net::Verdict::kAccept || default_out != net::Verdict::kAccept || !rules.empty();
  }
  bool operator==(const Firewall&) const = default;
};

struct VpsNetwork {
  bool none = true;  // "network: none": a namespace with loopback only
  std::vector<Interface> interfaces;
  std::vector<std::string> nameservers, search;
  bool configure = true;            // write the guest's own network files
  std::string smtp = "allow";       // allow | deny | N/min: to mail servers outside (TCP 25, 465, 587)
  std::uint32_t connections = 65536;  // tracked at once; 0: no cap
  std::uint32_t connection_rate = 0;  // new ones per second; 0: no cap
  Firewall firewall;
  bool operator==(const VpsNetwork&) const = default;
};

struct Security {
  std::string idmap = "auto";             // auto | host | BASE:SIZE
  std::vector<std::string> capabilities;  // "+sys_nice", "-net_raw": against the default set
  std::string seccomp = "default";        // default | unconfined
  std::vector<std::string> features;      // tun, fuse, nesting
  bool no_new_privileges = false;
  bool time_namespace = false;
  bool operator==(const Security&) const = default;
};

struct VpsMount {
  std::string source, target;
  bool readonly = false;
  bool operator==(const VpsMount&) const = default;
};

struct VpsHooks {  // hook name (prestart, poststart, poststop) -> programs of the host
  std::map<std::string, std::vector<std::string>> programs;
  bool operator==(const VpsHooks&) const = default;
};

struct Definition {
  std::string id;
  std::string name;       // unique among all VPSes when not empty
  std::string uuid;       // never changes; empty until created
  std::string template_name;
  std::string hostname;   // empty: the id
  bool onboot = false;
  std::int32_t boot_order = 0;  // lower starts first
  RestartPolicy restart = RestartPolicy::kOnFailure;
  Milliseconds stop_timeout{90'000};
  std::vector<std::string> init;         // empty: /sbin/init; else the program that runs as pid 1
  std::map<std::string, std::string> environment;  // for pid 1
  VpsResources resources;
  Disk disk;
  VpsNetwork network;
  Security security;
  std::vector<VpsMount> mounts;
  VpsHooks hooks;
  std::map<std::string, std::string> labels;
  bool operator==(const Definition&) const = default;
};

}  // namespace vps
