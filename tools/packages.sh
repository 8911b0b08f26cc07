#!/usr/bin/env bash
# The one list of Debian packages that this project uses, by purpose.
#   tools/packages.sh install GROUP...   installs what is missing (root); quick when nothing is
#   tools/packages.sh missing GROUP...   prints what is missing
#   tools/packages.sh list GROUP...      prints the packages of the groups
# Groups: build run test dev vm bench
set -euo pipefail

packages_of() {
  case "$1" in
    build)  # compile and link every program
      echo ca-certificates git g++ cmake ninja-build ccache pkg-config linux-libc-dev \
        libboost1.81-dev libfmt-dev libspdlog-dev nlohmann-json3-dev libcli11-dev libyaml-cpp-dev libsqlite3-dev \
        libseccomp-dev libcap-dev libacl1-dev libmnl-dev libnftnl-dev libarchive-dev libzstd-dev ;;
    run)    # what vpsd calls or reads on a host: templates are built from Debian's own packages
      echo mmdebstrap busybox-static debian-archive-keyring procps util-linux ;;
    test)   # tests, their tools and the cheap checks
      echo libgtest-dev libgmock-dev python3 python3-yaml acl attr e2fsprogs socat jq tmux xz-utils zstd mandoc fish zsh \
        shellcheck strace iproute2 nftables dpkg-dev fakeroot ;;
    dev)    # for people who change the code: fuzzing, clang builds, tidy, format
      echo clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev gdb ;;
    vm)     # the virtual machine of the vm tests
      echo qemu-system-x86 cpio bc kmod e2fsprogs busybox-static mmdebstrap xz-utils ;;
    bench)  # the peers that benchmarks run against
      echo crun runc podman lxc systemd-container bubblewrap jq ;;
    *) echo "packages.sh: unknown group '$1' (build run test dev vm bench)" >&2; return 2 ;;
  esac
}

usage() {
  sed -n '2,6s/^# //p' "$0" >&2
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

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o Dpkg::Use-Pty=0 \
    -o DPkg::Lock::Timeout=300 "${missing[@]}" </dev/null
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
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    if ! apt_install >"$log" 2>&1; then
      if ! DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null >"$log" 2>&1 || ! apt_install >>"$log" 2>&1; then
        tail -n 30 "$log" >&2
        echo "packages.sh: could not install: ${missing[*]}" >&2
        exit 1
      fi
    fi
    find_missing
    if [ ${#missing[@]} -gt 0 ]; then
      echo "packages.sh: still missing after the installation: ${missing[*]}" >&2
      exit 1
    fi
    ;;
  *) usage ;;
esac
