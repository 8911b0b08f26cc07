#!/usr/bin/env python3
"""Source files stay small enough to be one thing, every header says #pragma once, text files end with a newline.
usage: files.py ROOT"""
import pathlib
import subprocess
import sys

MAX_LINES = 600


def main():
    root = pathlib.Path(sys.argv[1])
    patterns = ["*.cc", "*.h", "*.txt", "*.cmake", "*.md", "*.sh", "*.py", "*.yaml", "*.in", "*.[1-8]"]
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=root, check=True, capture_output=True, text=True).stdout.split()
    # Seeds and golden files are data: what stands in them is the test.
    names = [name for name in listed if "/seeds/" not in name and "/testdata/" not in name and "/golden/" not in name]
    if not names:
        print("no sources found: the search is broken")
        return 1
    bad = []
    for name in names:
        file = root / name
        if not file.exists():
            continue
        text = file.read_text()
        lines = text.count("\n")
        if text and not text.endswith("\n"):
            bad.append(f"{name}: no newline at the end")
        if name.endswith((".cc", ".h")) and lines > MAX_LINES:
            bad.append(f"{name}: {lines} lines, more than {MAX_LINES}: is it still one thing?")
        if name.endswith(".h") and "#pragma once" not in text:
            bad.append(f"{name}: no #pragma once")
    print(*bad, f"{len(names)} files", sep="\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
