#!/bin/bash
# Runs in both guests of a pair: each serves its name on the wire and reads the other's.
set -e
echo "$VM_NAME" >/tmp/name
busybox nc -ll -p 7777 -e cat /tmp/name &
for _ in $(seq 60); do
  heard=$(busybox nc -w 5 "$VM_PEER" 7777 </dev/null 2>/dev/null || true)
  [ -z "$heard" ] || break
  sleep 1
done
echo "$VM_NAME at $VM_ADDRESS heard '$heard' from $VM_PEER"
case $VM_NAME$heard in ab | ba) ;; *) exit 1 ;; esac
echo "$heard" >/out/heard
sleep 5  # the other one may be slower
