#!/usr/bin/env bash
# Measures vpsd side by side with its peers (crun, runc, podman, lxc, systemd-nspawn, bubblewrap) and with the bare kernel calls.
#   tools/bench.sh [--no-install] [--no-build] [OPTION...] [CASE...]     --list names the cases; other options: bench/bench.py --help
# Builds the release preset first. Needs root. Results are kept as JSON in bench/results/.
set -euo pipefail
cd "$(dirname "$0")/.."

install=1 build=1
while [ $# -gt 0 ]; do
  case $1 in
    --no-install) install=0; shift ;;
    --no-build) build=0; shift ;;
    -h | --help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) break ;;
  esac
done
[ "$install" -eq 0 ] || tools/packages.sh install build run bench
if [ "$build" -eq 1 ]; then
  cmake --preset release >/dev/null
  cmake --build build/release --target vpsd vpsctl vps-supervise vpsrun floor netbench
fi
exec python3 bench/bench.py "$@"
