#!/usr/bin/env bash
# From a checkout on a fresh Debian 12 to a running VPS: installs packages, builds and installs under /usr/local, starts
# vpsd, builds the template debian-12, makes and starts VPS 101. Safe to run again after any earlier run, finished or not.
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=/usr/local
template=debian-12
id=101
pid_file=/run/vps/vpsd.pid

step() { printf '\n== %s\n' "$*"; }
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" -eq 0 ] || die "must run as root: it installs packages and starts a daemon"
if ! grep -qx 'ID=debian' /etc/os-release || ! grep -qx 'VERSION_ID="12"' /etc/os-release; then
  echo "quickstart: this is not Debian 12; going on, but only Debian 12 is tried" >&2
fi

step "packages"
./tools/packages.sh install build run

step "build (release)"
mkdir -p build/release
if ! { cmake --preset release && cmake --build build/release; } >build/release/quickstart.log 2>&1; then
  tail -n 40 build/release/quickstart.log >&2
  die "the build failed; all of its output is in build/release/quickstart.log"
fi
cmake --install build/release --prefix "$prefix" >/dev/null
vpsctl="$prefix/bin/vpsctl"
vpsd="$prefix/sbin/vpsd"

# vpsd's pid when it runs from the pid file, checked against what that pid really is.
running_vpsd() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null) || return 1
  [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = vpsd ] && echo "$pid"
}

step "vpsd"
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # Firewalls between VPSes of one bridge: what a boot does. Where somebody has loaded it already, its switches are theirs.
  if [ ! -e /proc/sys/net/bridge ] && modprobe -q br_netfilter; then
    /lib/systemd/systemd-sysctl --prefix=/net/bridge || true
  fi
  systemctl enable --quiet vpsd.service vps-guests.service
  # Type=notify: returns when vpsd listens. A restart leaves running VPSes alone.
  systemctl restart vpsd.service || die "vpsd did not start; see: journalctl -u vpsd"
  systemctl start vps-guests.service
else
  if pid=$(running_vpsd) && ! cmp -s "/proc/$pid/exe" "$vpsd"; then
    echo "replacing the running vpsd (pid $pid) by the new build; VPSes keep running"
    kill "$pid"
    timeout 60 tail --pid="$pid" -f /dev/null || die "vpsd (pid $pid) does not end"
  fi
  if ! running_vpsd >/dev/null; then
    # Returns when vpsd listens, or with its error.
    "$vpsd" --daemon || die "vpsd did not start"
  fi
fi
"$vpsctl" version || die "vpsd does not answer"

step "template $template"
if "$vpsctl" -q template show "$template" >/dev/null 2>&1; then
  echo "already there"
else
  "$vpsctl" template build "$template" || die "building the template failed"
fi

state_of() { "$vpsctl" list -a --columns id,state | awk -v id="$1" '$1 == id { print $2 }'; }

step "VPS $id"
state=$(state_of "$id") || die "vpsctl list failed"
if [ -z "$state" ]; then
  # A host may lack what the default network needs (nftables, a bridge): vpsctl has said what, and a VPS is of use without.
  ip=auto
  "$vpsctl" network show default >/dev/null 2>&1 || "$vpsctl" network create default --nat || ip=none
  "$vpsctl" create "$id" --template "$template" --hostname "vps$id" --ip "$ip" --ram 512M --cpus 1.5 || die "create failed"
  state=stopped
fi
case "$state" in
  running) echo "already running" ;;
  paused) "$vpsctl" resume "$id" || die "resume failed" ;;
  # An operation of an earlier run may still be going on: start waits its turn, and says so if it cannot.
  *) "$vpsctl" start --wait --timeout 180 "$id" || die "start failed; the console says: $("$vpsctl" logs "$id" 2>&1 | tail -n 20)" ;;
esac

step "inside VPS $id"
"$vpsctl" exec "$id" -- systemctl is-system-running || true
"$vpsctl" exec "$id" -- cat /etc/os-release || die "exec failed"

step "vpsctl list"
"$vpsctl" list
printf '\nGo in with: vpsctl enter %s\n' "$id"
