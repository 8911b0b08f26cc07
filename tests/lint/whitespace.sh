#!/usr/bin/env bash
# No trailing blanks, no conflict markers, a newline at the end of every text file.
set -euo pipefail
empty_tree=$(git hash-object -t tree /dev/null)
status=0
# Seeds and golden files are data: what stands in them is the test.
git diff --check "$empty_tree" -- . ':!tests/fuzz/seeds' ':!*/testdata/*' ':!*/golden/*' || status=1
while IFS= read -r -d '' file; do
  if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then
    echo "$file: no newline at the end"
    status=1
  fi
done < <(git ls-files -z '*.cc' '*.h' '*.txt' '*.cmake' '*.md' '*.sh' '*.py' '*.yaml' '*.[1-8]')
exit $status
