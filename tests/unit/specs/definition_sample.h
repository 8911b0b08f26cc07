// A definition that sets every key, as text in the printed form and as data.
#pragma once

#include <string>

#include "specs/vps/definition.h"

namespace vps::test {

inline const std::string kFullYaml = R"(id: "101"
name: web
uuid: "0f8fad5b-d9cb-469f-a165-70867728950e"
template: debian-12
hostname: web.example.org
onboot: true
bootOrder: 10
restart: always
stopTimeout: 30s
init: [/sbin/init, "--show-status", "a b"]
environment:
  LANG: C.UTF-8
  NOTE: "two\nlines: \"x\""
resources:
  cpu: {limit: 1.5, weight: 100, count: 2, set: "0-1"}
  memory: {limit: 512M, swap: 0, guarantee: 128M}
  pids: {limit: 4096}
  io: {weight: 100, read: 50M, write: 1000, readIops: 2000, writeIops: 3000}
disk:
  size: 10G
  inodes: 655360
  layout: overlay
network:
  interfaces:
    - {name: eth0, network: default, addresses: [auto, 10.0.0.2/24, "fd00::2/64"], mac: "02:00:0a:c8:00:05", rateIn: 100M, rateOut: 1G}
    - {name: eth1, network: back}
  nameservers: [inherit, "9.9.9.9"]
  search: [example.org]
  configure: false
  smtp: 20/min
  connections: 1000
  connectionRate: 100
  firewall:
    in: drop
    out: reject
    rules:
      - {number: 1, direction: in, action: accept, protocol: tcp, ports: [22, "8000-8080"], peers: [10.0.0.0/8], log: true, comment: office}
    forwards:
      - {number: 2, protocol: udp, listen: "192.0.2.1", port: 53, guestPort: 5353, guest: "10.0.0.2"}
    lastNumber: 2
security:
  idmap: "100000:65536"
  capabilities: [+sys_nice, -net_raw]
  seccomp: unconfined
  features: [tun, fuse, nesting]
  noNewPrivileges: true
  timeNamespace: true
mounts:
  - {source: /srv/data, target: /data, readonly: true}
  - {source: /srv/more, target: /srv/more}
hooks:
  poststart: [/usr/local/bin/announce]
  prestart: [/usr/local/bin/a, /usr/local/bin/b]
labels:
  customer: "42"
  example.org/tier: gold
)";

inline Definition full_definition() {
  Definition d;
  d.id = "101";
  d.name = "web";
  d.uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
  d.template_name = "debian-12";
  d.hostname = "web.example.org";
  d.onboot = true;
  d.boot_order = 10;
  d.restart = RestartPolicy::kAlways;
  d.stop_timeout = Milliseconds(30'000);
  d.init = {"/sbin/init", "--show-status", "a b"};
  d.environment = {{"LANG", "C.UTF-8"}, {"NOTE", "two\nlines: \"x\""}};
  d.resources.cpu = {.limit = 1.5, .weight = 100, .count = 2, .set = "0-1"};
  d.resources.memory = {.limit = Bytes{512u << 20}, .swap = Bytes{0}, .guarantee = Bytes{128u << 20}};
  d.resources.pids_limit = 4096;
  d.resources.io = {.weight = 100, .read = Bytes{50u << 20}, .write = Bytes{1000}, .read_iops = 2000, .write_iops = 3000};
  d.disk = {.size = Bytes{10ull << 30}, .inodes = 655360, .layout = DiskLayout::kOverlay};
  d.network.none = false;
  Interface eth0;
  eth0.name = "eth0";
  eth0.network = "default";
  eth0.addresses = {"auto", "10.0.0.2/24", "fd00::2/64"};
  eth0.mac = "02:00:0a:c8:00:05";
  eth0.rate_in = BitRate{100'000'000};
  eth0.rate_out = BitRate{1'000'000'000};
  Interface eth1;
  eth1.name = "eth1";
  eth1.network = "back";
  d.network.interfaces = {eth0, eth1};
  d.network.nameservers = {"inherit", "9.9.9.9"};
  d.network.search = {"example.org"};
  d.network.configure = false;
  d.network.smtp = "20/min";
  d.network.connections = 1000;
  d.network.connection_rate = 100;
  auto& firewall = d.network.firewall;
  firewall.default_in = net::Verdict::kDrop;
  firewall.default_out = net::Verdict::kReject;
  net::FirewallRule rule;
  rule.number = 1;
  rule.protocol = net::Protocol::kTcp;
  rule.ports = {{22, 22}, {8000, 8080}};
  rule.peers = {*parse_network("10.0.0.0/8")};
  rule.log = true;
  rule.comment = "office";
  firewall.rules = {rule};
  Forward forward;
  forward.number = 2;
  forward.protocol = net::Protocol::kUdp;
  forward.listen = *parse_ip("192.0.2.1");
  forward.port = 53;
  forward.guest_port = 5353;
  forward.guest = *parse_ip("10.0.0.2");
  firewall.forwards = {forward};
  firewall.last_number = 2;
  d.security.idmap = "100000:65536";
  d.security.capabilities = {"+sys_nice", "-net_raw"};
  d.security.seccomp = "unconfined";
  d.security.features = {"tun", "fuse", "nesting"};
  d.security.no_new_privileges = true;
  d.security.time_namespace = true;
  d.mounts = {{"/srv/data", "/data", true}, {"/srv/more", "/srv/more", false}};
  d.hooks.programs = {{"poststart", {"/usr/local/bin/announce"}}, {"prestart", {"/usr/local/bin/a", "/usr/local/bin/b"}}};
  d.labels = {{"customer", "42"}, {"example.org/tier", "gold"}};
  return d;
}

// The least that is complete.
inline Definition small_definition() {
  Definition d;
  d.id = "101";
  d.template_name = "busybox";
  return d;
}

}  // namespace vps::test
