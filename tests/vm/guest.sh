#!/bin/bash
# Runs in the guest: guest.sh BUILD BINARY FILTER [BINARY FILTER]...  Results go to /out/<BINARY>.xml; fails when one of them does.
export VPS_TEST_BIN=/in/bin VPS_TEST_CACHE=/in/cache
# Some binaries know their helpers by the path that these had in the build tree.
mkdir -p "$1/tests"
ln -s /in/bin "$1/bin"
ln -s /in/tests "$1/tests/conformance"
shift
VPS_TEST_NIC=
for card in /sys/class/net/*/device; do
  [ ! -e "$card" ] || VPS_TEST_NIC=$(basename "$(dirname "$card")")
done
export VPS_TEST_NIC
umount /tmp  # tests that want a disk under /tmp
fallocate -l 256M /swapfile && chmod 600 /swapfile && mkswap -q /swapfile && swapon /swapfile
echo "guest: $(uname -r), controllers: $(cat /sys/fs/cgroup/cgroup.controllers), $(cut -d' ' -f1 /proc/uptime) s after boot"
failed=0
while [ $# -ge 2 ]; do
  "/in/tests/$1" --gtest_filter="$2" --gtest_output="xml:/out/$1.xml" 2>&1 || failed=1
  shift 2
done
exit $failed
