#!/usr/bin/env python3
"""vpsd has threads, so it must hold no launch code; vpsctl must hold no mechanism at all. Looks at the symbols of the built
programs. usage: link_map.py BUILD_DIR; exit code 77 when neither program is built."""
import pathlib
import re
import subprocess
import sys

# Namespaces whose symbols a program must not define.
FORBIDDEN = {
    "vpsd": r"^vps::(launch|runtime|namespaces)::",
    "vpsctl": r"^vps::(launch|runtime|namespaces|cgroups|netns|storage|daemon)::",
}


def main():
    build = pathlib.Path(sys.argv[1])
    checked, bad = 0, []
    for name, pattern in FORBIDDEN.items():
        program = build / "bin" / name
        if not program.exists():
            continue
        checked += 1
        symbols = subprocess.run(["nm", "--defined-only", "-C", "--format=just-symbols", program], check=True, capture_output=True, text=True)
        lines = symbols.stdout.splitlines()
        if not any(line.startswith("vps::") for line in lines):
            bad.append(f"{name}: no symbol of ours found, the check is blind (stripped?)")
        bad += [f"{name} holds {line}" for line in lines if re.match(pattern, line)]
    print(*bad[:40], f"{checked} programs checked", sep="\n")
    if not checked:
        return 77
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
