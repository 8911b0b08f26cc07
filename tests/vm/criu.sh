#!/bin/bash
# Runs in the guest: checkpoint and restore of a counting container by vpsrun (/in/vpsrun) and Debian's criu. The container has a
# pipe, a bind of the host, limits and namespaces of its own.
set -u
run=/in/vpsrun
fail() { echo "FAIL $*"; tail -n 20 /work/*.log 2>/dev/null; exit 1; }
check() { echo "+ $*"; "$@" || fail "$*: exit $?"; }
counter() { cat /bundle/rootfs/tmp/n; }
wait_beyond() { for _ in $(seq 600); do [ "$(counter)" -gt "$1" ] && return 0; sleep 0.1; done; fail "the counter stays at $(counter)"; }

umount /tmp
mkdir -p /bundle/rootfs/{bin,proc,dev,sys,tmp} /data
cp /bin/busybox /bundle/rootfs/bin/
for name in sh sleep cat; do ln -s busybox /bundle/rootfs/bin/$name; done
echo from-the-host >/data/file
echo 0 >/bundle/rootfs/tmp/n
cd /bundle || exit 1
check $run spec
# shellcheck disable=SC2016
jq '.process.terminal = false | .process.rlimits = [] | .root.readonly = false | .linux.resources.pids = {"limit": 50}
  | .process.args = ["/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i >/tmp/n; echo $i; sleep 0.1; done"]
  | .mounts += [{"destination": "/data", "type": "bind", "source": "/data", "options": ["rbind", "rw"]}]' config.json >edited && mv edited config.json

$run run -d one </dev/null 2>/errors | cat >/work-one &
wait_beyond 3
check $run checkpoint --image-path /images --work-path /work one
[ -z "$($run list -q)" ] || fail "the container is still there"
at=$(counter)
sleep 1
[ "$(counter)" = "$at" ] || fail "somebody counts on"

$run restore -d --image-path /images --work-path /work --pid-file /pid one </dev/null 2>/errors | cat >/work-two &
wait_beyond "$((at + 3))"
[ "$(head -n 1 /work-two)" -ge "$at" ] || fail "the output begins with $(head -n 1 /work-two), not behind $at"
check $run state one
[ "$($run state one | jq .pid)" = "$(cat /pid)" ] || fail "pid file"
[ "$($run exec one cat /data/file)" = from-the-host ] || fail "the bind"
[ "$(cat /sys/fs/cgroup/vpsrun/one/pids.max)" = 50 ] || fail "the limit"
grep -q "$(cat /pid)" /sys/fs/cgroup/vpsrun/one/cgroup.procs || fail "the cgroup"

# Memory first, the rest later, and the container goes on.
check $run checkpoint --pre-dump --image-path /first one
check $run checkpoint --parent-path ../first --leave-running --image-path /second --work-path /work one
at=$(counter)
wait_beyond "$at"
check $run delete --force one
# The images of a container that went on afterwards.
$run restore -d --image-path /second --work-path /work two </dev/null 2>/errors | cat >/work-three &
for _ in $(seq 300); do [ "$($run state two 2>/dev/null | jq -r .status)" = running ] && break; sleep 0.1; done
[ "$($run state two | jq -r .status)" = running ] || fail "restored under another name: $($run state two)"
check $run delete --force two
! grep -q criu-root /proc/mounts || fail "a mount is left"

# Errors leave nothing.
mkdir /empty
$run restore -d --image-path /empty one && fail "no images"
[ -z "$($run list -q)" ] || fail "a container without images"
echo "criu: all good"
