#!/usr/bin/env bash
# Builds and runs every test tier; a failing tier makes the exit code non-zero. Ends with ctest's summary.
#   tools/check.sh [--no-install] [--jobs N] [TIER...]
# Tiers (default: all): lint unit fuzz conformance system fault   tests of the ordinary build
#                       interop                       that build's vpsrun under podman, containerd and docker
#                       vm                            system tests of that build in virtual machines
#                       asan tsan                     the same code under sanitizers (asan+ubsan: unit and fuzz seeds;
#                                                     tsan: the daemon's tests)
# docs/testing.md says what each tier covers.
set -euo pipefail
cd "$(dirname "$0")/.."

install=1
jobs=$(nproc)
tiers=()
while [ $# -gt 0 ]; do
  case "$1" in
    --no-install) install=0 ;;
    --jobs) jobs="${2:?--jobs needs a number}"; shift ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    lint | unit | fuzz | conformance | system | fault | interop | vm | asan | tsan) tiers+=("$1") ;;
    *) echo "check.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done
[ ${#tiers[@]} -gt 0 ] || tiers=(lint unit fuzz conformance system fault interop vm asan tsan)

wants() {
  local tier
  for tier in "${tiers[@]}"; do [ "$tier" != "$1" ] || return 0; done
  return 1
}

started=$SECONDS
say() { printf '\n== %s (%d s)\n' "$*" "$((SECONDS - started))"; }

# Compiler noise is worth printing only when something breaks.
build() {  # PRESET [TARGET...]
  local preset="$1" log
  shift
  mkdir -p "build/$preset"
  log="build/$preset/check.log"
  say "build $preset"
  if ! { cmake --preset "$preset" && cmake --build "build/$preset" --parallel "$jobs" ${1+--target "$@"}; } >"$log" 2>&1 </dev/null; then
    grep -E -A12 'error|FAILED|Error' "$log" | tail -n 80 >&2 || true
    echo "check.sh: the $preset build failed; all of its output is in $log" >&2
    exit 1
  fi
}

run_ctest() {  # PRESET LABEL_REGEX
  python3 tools/run-ctest.py --build "build/$1" --label "$2" --jobs "$jobs" </dev/null
}

if [ "$install" -eq 1 ]; then
  groups=(build run test)
  if wants vm; then groups+=(vm); fi
  if wants interop; then groups+=(interop); fi
  ./tools/packages.sh install "${groups[@]}"
fi

dev_tiers=()
for tier in lint unit fuzz conformance system fault interop vm; do
  if wants "$tier"; then dev_tiers+=("$tier"); fi
done

# What a mistake breaks most often is built first; the ordinary build's tests run last, so that their summary ends the output.
failed=()
if [ ${#dev_tiers[@]} -gt 0 ]; then build dev; fi

if wants asan; then
  build asan-ubsan tests/unit/all tests/support/all tests/fuzz/all
  say "asan+ubsan: unit tests and fuzz seeds"
  ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 run_ctest asan-ubsan '^(unit|fuzz)$' || failed+=(asan)
fi

if wants tsan; then
  build tsan tests/unit/daemon/all
  say "tsan: the daemon's tests"
  TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 run_ctest tsan '^daemon$' || failed+=(tsan)
fi

if [ ${#failed[@]} -gt 0 ]; then say "FAILED so far: ${failed[*]}"; fi
if [ ${#dev_tiers[@]} -gt 0 ]; then
  say "tests: ${dev_tiers[*]}"
  labels=$(IFS='|'; echo "${dev_tiers[*]}")
  run_ctest dev "^($labels)\$" || failed+=("${dev_tiers[*]}")
fi
if [ ${#failed[@]} -gt 0 ]; then
  echo "check.sh: failed: ${failed[*]}" >&2
  exit 1
fi
