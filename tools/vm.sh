#!/usr/bin/env bash
# Runs a script in a throw-away virtual machine: Debian's kernel, a pure cgroup v2 tree with every controller, full root.
# QEMU's emulation is enough (no KVM); a run that does nothing takes some seconds.
#
#   tools/vm.sh [--kernel 6.1|6.12] [--cpus N] [--mem M] [--timeout S] [--input FILE|DIR]... [--out DIR] [--packages "a b"]
#               [--pair|--nic] SCRIPT [ARG...]
#
# Each input is found in the guest as /in/<its name>, or with --input PATH=NAME as /in/NAME. What the script leaves in /out
# comes back into --out. The exit status is the script's; 77: the archive has no such kernel.
# --pair boots two guests, a and b, on one virtual wire. The script runs in both, with VM_NAME (a or b), VM_ADDRESS and VM_PEER
# (the other's address) set; lines of the console begin with the name, files come back into --out/a and --out/b, and the exit
# status is that of the first guest that failed.
# --nic gives the guest a network card that leads nowhere, for scripts to do with as they like.
# Kernel, initramfs and root image are kept in $VPS_VM_CACHE (/var/cache/vpsd-vm), named by what they are made of.
set -euo pipefail

kernel=6.1 cpus=1 mem=2048 limit=600 out="" inputs=() pair="" nic=""
packages="bash coreutils procps iproute2 kmod busybox-static util-linux libarchive13 libyaml-cpp0.7 libspdlog1.10 libfmt9 libsqlite3-0
  libseccomp2 libcap2 libmnl0 libnftnl11 libzstd1 acl attr e2fsprogs jq nftables iputils-ping strace"
die() { echo "vm.sh: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case $1 in
    --kernel) kernel=$2; shift 2 ;;
    --cpus) cpus=$2; shift 2 ;;
    --mem) mem=$2; shift 2 ;;
    --timeout) limit=$2; shift 2 ;;
    --input) inputs+=("$2"); shift 2 ;;
    --out) out=$2; shift 2 ;;
    --packages) packages+=" $2"; shift 2 ;;
    --pair) pair=1; shift ;;
    --nic) nic=1; shift ;;
    -h | --help) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) die "unknown option $1" ;;
    *) break ;;
  esac
done
[ $# -ge 1 ] || die "no script (see --help)"
script=$1
shift
[ -f "$script" ] || die "no such script: $script"
case $kernel in
  6.1) meta=linux-image-cloud-amd64 ;;
  6.12) meta=linux-image-6.12-cloud-amd64 ;;
  *) die "unknown kernel $kernel (6.1 or 6.12)" ;;
esac

here=$(cd "$(dirname "$0")" && pwd)
"$here/packages.sh" install vm >&2
cache=${VPS_VM_CACHE:-/var/cache/vpsd-vm}
mkdir -p "$cache"
work=$(mktemp -d "${TMPDIR:-/tmp}/vpsd-vm-XXXXXX")
trap 'rm -rf "$work"' EXIT
exec 9>"$cache/lock"
flock 9

# --- kernel: the .deb that Debian's meta package names, unpacked once ---
image_package() {
  apt-cache depends "$1" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -1
}
package=$(image_package "$meta")
[ -n "$package" ] || package=$(apt-cache pkgnames "linux-image-$kernel." | grep -E "^linux-image-${kernel}[.0-9+a-z-]*-cloud-amd64$" | sort -V | tail -1)
[ -n "$package" ] || { echo "vm.sh: the package archive has no cloud kernel $kernel" >&2; exit 77; }
kdir=$cache/$package
if [ ! -f "$kdir/ok" ]; then
  rm -rf "$kdir"
  mkdir -p "$kdir"
  (cd "$work" && apt-get download -q "$package" >&2 && dpkg-deb -x ./"$package"_*.deb "$kdir")
  version=$(ls "$kdir/lib/modules")
  depmod -b "$kdir" "$version"
  touch "$kdir/ok"
fi
version=$(ls "$kdir/lib/modules")

# --- initramfs: busybox, the disk drivers, and the switch to the real root ---
modules="virtio_pci virtio_blk virtio_net ext4 overlay loop veth bridge br_netfilter nf_tables nft_masq nft_chain_nat sch_tbf quota_v2
  dummy vxlan ifb act_mirred sch_ingress cls_matchall unix_diag inet_diag"
initramfs=$cache/initramfs-$version-$(echo "$modules" | md5sum | cut -c1-12)
if [ ! -f "$initramfs" ]; then
  tree=$work/initramfs
  mkdir -p "$tree"/{bin,proc,sys,dev,root,lib/modules}
  cp /bin/busybox "$tree/bin/busybox"
  early=""
  for module in virtio_pci virtio_blk ext4; do
    early+=" $(modprobe -d "$kdir" -S "$version" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p')"
  done
  i=0
  for file in $early; do
    name=$(printf '%02d-%s' "$i" "$(basename "${file%.xz}")")
    i=$((i + 1))
    case $file in *.xz) xz -dc "$file" >"$tree/lib/modules/$name" ;; *) cp "$file" "$tree/lib/modules/$name" ;; esac
  done
  cat >"$tree/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
for m in /lib/modules/*.ko; do /bin/busybox insmod "$m" 2>/dev/null; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount --move /proc /root/proc
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/vm-init
INIT
  chmod 755 "$tree/init"
  (cd "$tree" && find . | cpio -o -H newc --quiet | gzip -1) >"$initramfs.tmp"
  mv "$initramfs.tmp" "$initramfs"
fi

# --- root image: a small Debian with the kernel's modules and our init ---
cat >"$work/vm-init" <<'INIT'
#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
mount -t sysfs sys /sys
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
ln -sf /proc/self/fd /dev/fd
mount -t cgroup2 cgroup2 /sys/fs/cgroup
sysctl -qw kernel.printk='3 4 1 3'
ip link set lo up
hostname vm
mkdir -p /in /out
tar -xf /dev/vdb -C / --numeric-owner --xattrs --xattrs-include='*' 2>/dev/null
for m in $(cat /etc/vm-modules); do modprobe -q "$m"; done
for word in $(cat /proc/cmdline); do
  case $word in vm_name=*) export VM_NAME=${word#*=} ;; esac
done
if [ -n "$VM_NAME" ]; then
  [ "$VM_NAME" = a ] && own=1 other=2 || own=2 other=1
  export VM_ADDRESS=10.255.0.$own VM_PEER=10.255.0.$other
  hostname "vm-$VM_NAME"
  ip address add "$VM_ADDRESS/24" dev eth0
  ip link set eth0 up
fi
cd /
mapfile -d '' -t arguments </in/.args
/in/.script "${arguments[@]}" </dev/null
status=$?
tar -cf /dev/vdc -C /out . 2>/dev/null
sync
dmesg -n 1
echo "vm-exit-status $status"
echo 1 >/proc/sys/kernel/sysrq
echo o >/proc/sysrq-trigger
sleep 60
INIT
rootfs=$cache/root-$(echo "$version $packages $modules $(cat "$work/vm-init")" | md5sum | cut -c1-12).img
if [ ! -f "$rootfs" ]; then
  base=$cache/base-$(echo "$packages" | md5sum | cut -c1-12).tar
  if [ ! -f "$base" ]; then
    # shellcheck disable=SC2086  # the list is words
    mmdebstrap --quiet --variant=minbase --include="$(echo $packages | tr ' ' ',')" bookworm "$base.tmp.tar" >&2
    mv "$base.tmp.tar" "$base"
  fi
  tree=$work/root
  mkdir -p "$tree"
  tar -xf "$base" -C "$tree" --exclude='./dev/*'
  rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* "$tree"/usr/share/{doc,man,locale}/*
  cp -a "$kdir/lib/modules" "$tree/usr/lib/"
  install -m 755 "$work/vm-init" "$tree/sbin/vm-init"
  echo "$modules" >"$tree/etc/vm-modules"
  mke2fs -q -t ext4 -d "$tree" -E lazy_itable_init=1 -m 0 "$rootfs.tmp" 4G
  mv "$rootfs.tmp" "$rootfs"
  rm -rf "$tree"
fi
flock -u 9

# --- inputs as a raw tar disk ---
mkdir -p "$work/stage/in"
install -m 755 "$script" "$work/stage/in/.script"
: >"$work/stage/in/.args"
[ $# -eq 0 ] || printf '%s\0' "$@" >"$work/stage/in/.args"
tar -cf "$work/in.tar" -C "$work/stage" in
for input in ${inputs[@]+"${inputs[@]}"}; do
  path=${input%%=*}
  name=${input#*=}
  [ "$name" != "$input" ] || name=$(basename "$path")
  [ -e "$path" ] || die "no such input: $path"
  # The target of a symbolic link stays what it is.
  tar -rf "$work/in.tar" --numeric-owner --xattrs --xattrs-include='*' --transform "flags=rSh;s,^[^/]*,in/$name," \
    -C "$(dirname "$path")" "$(basename "$path")"
done
truncate -s %512 "$work/in.tar"

# boot NAME [QEMU-OPTION...]: becomes the guest NAME, whose console is $work/console.NAME
boot() {
  local name=$1
  shift
  truncate -s 256M "$work/out.$name"
  # -display none rather than -nographic: that would put the BIOS on the serial line.
  exec timeout "$limit" qemu-system-x86_64 -M pc -cpu max -smp "$cpus" -m "$mem" -display none -vga none -no-reboot -nodefaults -serial stdio \
    -monitor none -kernel "$kdir/boot/vmlinuz-$version" -initrd "$initramfs" \
    -append "console=ttyS0 quiet panic=-1 cgroup_no_v1=all psi=1 net.ifnames=0${pair:+ vm_name=$name}" \
    -drive file="$rootfs",if=virtio,format=raw,snapshot=on -drive file="$work/in.tar",if=virtio,format=raw,readonly=on \
    -drive file="$work/out.$name",if=virtio,format=raw "$@" </dev/null >"$work/console.$name" 2>"$work/qemu.$name.err"
}

# finish NAME QEMU-STATUS OUT: fetches the guest's files and says how its script ended
finish() {
  local status
  status=$(tr -d '\r' <"$work/console.$1" | sed -n 's/^vm-exit-status //p' | tail -1)
  if [ -n "$3" ]; then
    mkdir -p "$3"
    tar -xf "$work/out.$1" -C "$3" 2>/dev/null || true
  fi
  [ -z "$status" ] || return "$status"
  cat "$work/qemu.$1.err" >&2
  [ "$2" != 124 ] || echo "vm.sh: no end after $limit s" >&2
  echo "vm.sh: the guest ended without a status" >&2
  return 1
}

# show NAME PID PREFIX: the console as it comes, without the status line, until the guest has ended
show() {
  tail -n +1 -f --pid="$2" "$work/console.$1" 2>/dev/null | sed -u "s/\r//g; /^vm-exit-status /d; s/^/$3/"
}

names=(a)
[ -z "$pair" ] || names=(a b)
guests=() shows=()
# shellcheck disable=SC2317  # called by the trap
end() {
  local pid
  for pid in ${guests[@]+"${guests[@]}"}; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM
for name in "${names[@]}"; do
  : >"$work/console.$name"
  wire=()
  if [ -n "$pair" ]; then
    [ "$name" = a ] && other=b mac=01 || other=a mac=02
    wire=(-netdev "dgram,id=wire,local.type=unix,local.path=$work/wire.$name,remote.type=unix,remote.path=$work/wire.$other"
      -device "virtio-net-pci,netdev=wire,mac=02:00:00:00:00:$mac")
  fi
  [ -z "$nic" ] || wire+=(-netdev "hubport,id=nic,hubid=0" -device "virtio-net-pci,netdev=nic,mac=02:00:00:00:01:01")
  boot "$name" ${wire[@]+"${wire[@]}"} &
  guests+=($!)
  show "$name" $! "${pair:+$name| }" &
  shows+=($!)
done
status=0
for i in "${!names[@]}"; do
  ended=0
  wait "${guests[i]}" || ended=$?
  wait "${shows[i]}" || true
  result=0
  finish "${names[i]}" "$ended" "${out:+$out${pair:+/${names[i]}}}" || result=$?
  [ "$status" -ne 0 ] || status=$result
done
guests=()
exit "$status"
