#!/usr/bin/env bash
set -euo pipefail
command -v shellcheck >/dev/null || { echo "shellcheck is not installed"; exit 77; }
scripts=()
while IFS= read -r -d '' file; do
  [ -f "$file" ] || continue
  head -c 64 "$file" | head -n 1 | tr -d '\0' | grep -qE '^#!.*\b(ba)?sh\b' && scripts+=("$file")
done < <(git ls-files -z)
[ ${#scripts[@]} -gt 0 ] || { echo "no shell scripts found: the search is broken"; exit 1; }
shellcheck "${scripts[@]}"
echo "${#scripts[@]} scripts"
