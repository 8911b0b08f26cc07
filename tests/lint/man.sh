#!/usr/bin/env bash
set -euo pipefail
command -v mandoc >/dev/null || { echo "mandoc is not installed"; exit 77; }
shopt -s nullglob
pages=(docs/man/*.[1-8])
[ ${#pages[@]} -gt 0 ] || { echo "there are no man pages yet"; exit 77; }
mandoc -T lint -W warning "${pages[@]}"
echo "${#pages[@]} pages"
