#!/usr/bin/env bash
# The one list of Debian packages that this project uses, by purpose.
#   tools/packages.sh install GROUP...   installs what is missing (root); quick when nothing is
#   tools/packages.sh missing GROUP...   prints what is missing
#   tools/packages.sh list GROUP...      prints the packages of the groups
# Groups: build run test dev vm bench interop
# An installation starts no service, neither now nor at the next boot.
set -euo pipefail

packages_of() {
  case "$1" in
    build)  # compile and link every program
      echo ca-certificates git g++ cmake ninja-build ccache pkg-config linux-libc-dev \
        libboost1.81-dev libfmt-dev libspdlog-dev nlohmann-json3-dev libcli11-dev libyaml-cpp-dev libsqlite3-dev \
        libseccomp-dev libcap-dev libacl1-dev libarchive-dev libzstd-dev ;;
    run)    # what vpsd calls or reads on a host: templates are built from Debian's own packages
      echo mmdebstrap busybox-static debian-archive-keyring procps util-linux ;;
    test)   # tests, their tools and the cheap checks
      echo libgtest-dev libgmock-dev python3 python3-yaml acl attr e2fsprogs socat jq tmux xz-utils zstd mandoc fish zsh \
        shellcheck strace iproute2 nftables iptables openssh-client dpkg-dev fakeroot ;;
    dev)    # for people who change the code: fuzzing, clang builds, tidy, format
      echo clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev gdb ;;
    vm)     # the virtual machine of the vm tests
      echo qemu-system-x86 cpio bc kmod e2fsprogs busybox-static mmdebstrap xz-utils ;;
    bench)  # the peers that benchmarks run against
      echo crun runc podman lxc systemd-container bubblewrap jq ;;
    interop)  # the engines that the interop tests drive vpsrun with
      echo podman containerd docker.io runc crun conmon catatonit netavark aardvark-dns iptables uidmap busybox-static ;;
    *) echo "packages.sh: unknown group '$1' (build run test dev vm bench interop)" >&2; return 2 ;;
  esac
}

usage() {
  sed -n '2,7s/^# //p' "$0" >&2
  exit 2
}

[ $# -ge 2 ] || usage
command="$1"
shift

wanted=()
for group in "$@"; do
  names=$(packages_of "$group")
  for name in $names; do wanted+=("$name"); done
done

missing=()
find_missing() {
  local installed name
  missing=()
  # One call for all: unknown names only make dpkg-query complain and exit 1.
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^installed //p' || true)
  for name in "${wanted[@]}"; do
    grep -qxF -- "$name" <<<"$installed" || missing+=("$name")
  done
}

# Debian's packages start their daemons when they are installed, and at every boot from then on: a machine that only runs tests
# wants neither. invoke-rc.d and deb-systemd-invoke ask policy-rc.d, which ours stands in for while apt runs.
policy=/usr/sbin/policy-rc.d
apt_install() {
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o Dpkg::Use-Pty=0
    -o DPkg::Lock::Timeout=300 "${missing[@]}")
  printf '#!/bin/sh\nexit 101\n' >"$work/policy"
  chmod 755 "$work/policy"
  if [ ! -e "$policy" ]; then
    cp "$work/policy" "$policy"
    own_policy=1
    "${install[@]}" </dev/null
  elif [ "$("$policy" docker start >/dev/null 2>&1; echo $?)" = 101 ]; then
    "${install[@]}" </dev/null
  else
    # shellcheck disable=SC2016  # expanded by the inner shell
    unshare --mount sh -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' sh "$work/policy" "$policy" "${install[@]}" </dev/null
  fi
}

units_of() {
  case "$1" in
    docker.io) echo docker.service docker.socket ;;
    containerd) echo containerd.service ;;
    podman) echo podman.service podman.socket podman-restart.service podman-auto-update.service podman-auto-update.timer ;;
    lxc) echo lxc.service lxc-net.service lxc-monitord.service ;;
  esac
}

# What was there before is the administrator's, and stays as it is.
disable_units_of() {
  local name units=()
  for name in "$@"; do
    # shellcheck disable=SC2207  # words
    units+=($(units_of "$name"))
  done
  [ ${#units[@]} -eq 0 ] || ! command -v systemctl >/dev/null || systemctl --quiet --no-reload disable "${units[@]}" >/dev/null 2>&1 || true
}

cleanup() {
  [ -z "$own_policy" ] || rm -f "$policy"
  rm -rf "$work"
}

case "$command" in
  list) printf '%s\n' "${wanted[@]}" ;;
  missing)
    find_missing
    [ ${#missing[@]} -eq 0 ] || printf '%s\n' "${missing[@]}"
    ;;
  install)
    find_missing
    [ ${#missing[@]} -gt 0 ] || exit 0
    if [ "$(id -u)" -ne 0 ]; then
      echo "packages.sh: needs root to install: ${missing[*]}" >&2
      exit 6
    fi
    echo "installing: ${missing[*]}"
    # Package lists may be absent (a fresh machine) or old (the mirror has dropped what they name): fetch them only then.
    work=$(mktemp -d)
    own_policy=""
    trap cleanup EXIT
    log=$work/log
    new=("${missing[@]}")
    if ! apt_install >"$log" 2>&1; then
      if ! DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null >"$log" 2>&1 || ! apt_install >>"$log" 2>&1; then
        tail -n 30 "$log" >&2
        echo "packages.sh: could not install: ${missing[*]}" >&2
        exit 1
      fi
    fi
    disable_units_of "${new[@]}"
    find_missing
    if [ ${#missing[@]} -gt 0 ]; then
      echo "packages.sh: still missing after the installation: ${missing[*]}" >&2
      exit 1
    fi
    ;;
  *) usage ;;
esac
