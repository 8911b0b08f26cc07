#!/usr/bin/env bash
# No trailing blanks, no conflict markers. (files.py looks at the ends of files.)
set -euo pipefail
empty_tree=$(git hash-object -t tree /dev/null)
status=0
# Seeds and golden files are data: what stands in them is the test.
git diff --check "$empty_tree" -- . ':!tests/fuzz/seeds' ':!*/testdata/*' ':!*/golden/*' || status=1
exit $status
