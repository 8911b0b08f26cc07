#!/bin/bash
# Runs in the guest: AppArmor profiles of containers and of exec by vpsrun (/in/vpsrun).
set -u
run=/in/vpsrun
fail() { echo "FAIL $*"; exit 1; }
check() { echo "+ $*"; "$@" || fail "$*: exit $?"; }

mount -t securityfs securityfs /sys/kernel/security
umount /tmp
mkdir -p /bundle/rootfs/{bin,proc,dev,sys,tmp}
cp /bin/busybox /bundle/rootfs/bin/
for name in sh sleep cat; do ln -s busybox /bundle/rootfs/bin/$name; done
echo secret >/bundle/rootfs/tmp/secret
echo word >/bundle/rootfs/tmp/word
cd /bundle || exit 1
[ "$($run features | jq .linux.apparmor.enabled)" = true ] || fail "features: $($run features | jq .linux.apparmor)"

# One profile may read all but a secret; the other not the word either.
profile() { echo "profile $1 flags=(attach_disconnected,mediate_deleted) { capability, file, signal, umount, $2 }"; }
{ profile vpsrun-first "deny /tmp/secret rw,"; profile vpsrun-second "deny /tmp/{secret,word} rw,"; } >/profiles
check apparmor_parser --replace --skip-cache /profiles
check $run spec
jq '.process.terminal = false | .process.rlimits = [] | .process.args = ["/bin/sleep", "100000"]' config.json >plain.json
jq '.process.apparmorProfile = "vpsrun-first"' plain.json >config.json

check $run run -d one </dev/null >/dev/null 2>&1
pid=$($run state one | jq .pid)
[ "$(cat "/proc/$pid/attr/current")" = "vpsrun-first (enforce)" ] || fail "the first process: $(cat "/proc/$pid/attr/current")"
label() { [ "$1" = "$2 (enforce)" ] || fail "$1 is not $2"; }
label "$($run exec one cat /proc/self/attr/current)" vpsrun-first
label "$($run exec --apparmor vpsrun-second one cat /proc/self/attr/current)" vpsrun-second
[ "$($run exec one cat /tmp/word)" = word ] || fail "the word"
$run exec one cat /tmp/secret && fail "the secret"
$run exec --apparmor vpsrun-second one cat /tmp/word && fail "the word under the second profile"

# A program file of the process, as engines give it.
jq '.process | .args = ["/bin/cat", "/proc/self/attr/current"] | .apparmorProfile = "vpsrun-second"' config.json >process.json
label "$($run exec --process process.json one)" vpsrun-second

# A profile that is not loaded is an error that names it, and leaves nothing.
$run exec --apparmor vpsrun-none one cat /tmp/word 2>/errors
[ $? = 255 ] || fail "exec with a profile that is not there"
grep -q "apparmor profile vpsrun-none: it is not loaded" /errors || fail "its words: $(cat /errors)"
check $run delete --force one
jq '.process.apparmorProfile = "vpsrun-none"' plain.json >config.json
$run run -d one </dev/null >/dev/null 2>/errors && fail "run with a profile that is not there"
grep -q "apparmor profile vpsrun-none: it is not loaded" /errors || fail "its words: $(cat /errors)"
cat /errors
[ -z "$($run list -q)" ] || fail "a container is left"

# Without a profile there is none.
cp plain.json config.json
check $run run -d one </dev/null >/dev/null 2>&1
[ "$($run exec one cat /tmp/secret)" = secret ] || fail "the secret without a profile"
label "$($run exec --apparmor vpsrun-first one cat /proc/self/attr/current)" vpsrun-first
check $run delete --force one
echo "apparmor: all good"
