#!/bin/bash
# Runs in the guest: checkpoint and restore of a counting container by vpsrun (/in/vpsrun) and Debian's criu. The container has a
# pipe, a bind of the host, limits and namespaces of its own. tty.py and stream.py stand for an engine and for another host.
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

# A terminal: the engine gets its master anew. Hooks of the runtime run again, with the pid of the process that is to come.
mkdir -p /terminal
ln -s /bundle/rootfs /terminal/rootfs
# shellcheck disable=SC2016
jq '.process.terminal = true | .process.args = ["/bin/sh", "-c", "stty -echo; while read line; do echo \"got $line\"; done"] | .linux.cgroupsPath = ""
  | .hooks = {"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", "cat >/prestart.json"]}],
              "createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "cat >/runtime.json"]}]}' config.json >/terminal/config.json
ln -s busybox rootfs/bin/stty
python3 /in/tty.py /tty.sock /tty.log /tty.in 2>/tty.errors &
wait_for() { for _ in $(seq 300); do grep -q "$1" "$2" 2>/dev/null && return 0; sleep 0.1; done; cat "$2" /tty.errors; fail "no '$1' in $2"; }
for _ in $(seq 100); do [ -p /tty.in ] && break; sleep 0.1; done
check $run run -d --bundle /terminal --console-socket /tty.sock tty
echo before >/tty.in
wait_for "got before" /tty.log
check $run checkpoint --image-path /terminal-images --work-path /work tty
rm /prestart.json /runtime.json
$run restore -d --bundle /terminal --image-path /terminal-images --work-path /work tty && fail "a terminal without a console socket"
check $run restore -d --bundle /terminal --image-path /terminal-images --work-path /work --pid-file /pid --console-socket /tty.sock tty
echo after >/tty.in
wait_for "got after" /tty.log
for hook in prestart runtime; do
  [ "$(jq -r '"\(.status) \(.pid) \(.id)"' "/$hook.json")" = "creating $(cat /pid) tty" ] || fail "$hook hook: $(cat "/$hook.json")"
done
check $run delete --force tty
# In the foreground it is shown on ours.
mkfifo /typed
script -qec "$run restore --bundle /terminal --image-path /terminal-images --work-path /work tty" /dev/null </typed >/shown 2>&1 &
shown=$!
exec 8>/typed
for _ in $(seq 300); do [ "$($run state tty 2>/dev/null | jq -r .status)" = running ] && break; sleep 0.1; done
echo again >&8
wait_for "got again" /shown
check $run kill tty KILL
exec 8>&-
wait "$shown"
[ -z "$($run list -q)" ] || fail "a container is left of a restore in the foreground"
jq '.hooks.createRuntime[0].args[2] = "echo not today >&2; exit 3"' /terminal/config.json >edited && mv edited /terminal/config.json
$run restore -d --bundle /terminal --image-path /terminal-images --work-path /work --console-socket /tty.sock tty 2>/errors && fail "a hook that fails"
grep -q "createRuntime hook.*not today" /errors || fail "the hook's words: $(cat /errors)"
[ -z "$($run list -q)" ] || fail "a container after a hook that failed"

# A connection that lives on: the other end sees nothing but a pause.
ip netns add stream
ip link add near type veth peer name far netns stream
ip address add 10.9.0.1/24 dev near
ip link set near up
ip -n stream address add 10.9.0.2/24 dev far
ip -n stream link set far up
mkdir -p /stream
ln -s /bundle/rootfs /stream/rootfs
ln -s busybox rootfs/bin/nc
# shellcheck disable=SC2016
jq '.process.args = ["/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done | nc 10.9.0.1 7000"]
  | .linux.namespaces |= map(if .type == "network" then .path = "/run/netns/stream" else . end)' config.json >/stream/config.json
python3 /in/stream.py 10.9.0.1 7000 /stream.log &
for _ in $(seq 100); do ss -ltn | grep -q 10.9.0.1:7000 && break; sleep 0.1; done
check $run run -d --bundle /stream stream </dev/null >/dev/null 2>&1
wait_for '^5$' /stream.log
$run checkpoint --image-path /refused --work-path /work stream 2>/errors && fail "a connection without --tcp-established"
check $run checkpoint --tcp-established --image-path /stream-images --work-path /work stream
at=$(tail -n 1 /stream.log)
check $run restore -d --tcp-established --bundle /stream --image-path /stream-images --work-path /work stream </dev/null >/dev/null 2>&1
wait_for "^$((at + 5))\$" /stream.log
check $run delete --force stream
[ "$(grep -c new /stream.log)" = 1 ] || fail "another connection: $(head /stream.log)"
[ "$(head -n "$((at + 6))" /stream.log)" = "$(echo new; seq "$((at + 5))")" ] || fail "the stream has a gap: $(cat /stream.log)"

# Memory over the wire.
mkdir -p /served
check criu page-server --images-dir /served --address 127.0.0.1 --port 7001 --daemon
echo 0 >/bundle/rootfs/tmp/n
$run run -d three </dev/null >/dev/null 2>&1
wait_beyond 1
check $run checkpoint --page-server 127.0.0.1:7001 --image-path /half --work-path /work three
ls /served/pages-*.img >/ls || fail "no pages at the server: $(ls /served /half)"
ls /half/pages-*.img 2>/ls && fail "pages on both sides"
cp /half/* /served/
at=$(counter)
check $run restore -d --image-path /served --work-path /work three </dev/null >/dev/null 2>&1
wait_beyond "$at"
check $run delete --force three

# Memory that stays where it was until it is touched.
echo 0 >/bundle/rootfs/tmp/n
$run run -d four </dev/null >/dev/null 2>&1
wait_beyond 1
mkfifo /ready
exec 9<>/ready
$run checkpoint --lazy-pages --page-server 127.0.0.1:7002 --status-fd 9 --image-path /lazy --work-path /work four >/lazy.out 2>&1 &
dump=$!
timeout 120 head -c 1 <&9 >/dev/null || fail "no word on the status descriptor: $(cat /lazy.out)"
at=$(counter)
mkdir /lazy-work
(cd /lazy-work && exec criu lazy-pages --page-server --address 127.0.0.1 --port 7002 --images-dir /lazy --work-dir /lazy-work --log-file lazy.log) &
for _ in $(seq 100); do [ -S /lazy-work/lazy-pages.socket ] && break; sleep 0.1; done
check $run restore -d --lazy-pages --image-path /lazy --work-path /lazy-work five </dev/null >/dev/null 2>&1
wait_beyond "$at"
wait "$dump" || fail "lazy checkpoint: $(cat /lazy.out)"
[ "$($run list -q)" = five ] || fail "there is $($run list -q)"
check $run delete --force five

# Errors leave nothing.
mkdir /empty
$run restore -d --image-path /empty one && fail "no images"
[ -z "$($run list -q)" ] || fail "a container without images"
echo "criu: all good"
