#!/usr/bin/env python3
"""Holds the #include lines of the tree against the layers of the design: a folder includes only folders below it, and the
four mechanism folders never include each other. usage: layers.py ROOT | --self-test"""
import pathlib
import re
import sys
import tempfile

MECHANISMS = {"cgroups", "namespaces", "netns", "storage"}
BASE = {"base"}
SPECS = BASE | {"specs"}
RUNTIME = SPECS | MECHANISMS | {"runtime"}
ALLOWED = {
    "base": BASE,
    "specs": SPECS,
    **{name: SPECS | {name} for name in MECHANISMS},
    "runtime": RUNTIME,
    # No launch code: threads never clone. What vpsd may know of runtime/ is the client of a supervisor.
    "daemon": SPECS | (MECHANISMS - {"namespaces"}) | {"daemon", "runtime/supervisor/client.h", "runtime/supervisor/protocol.h"},
    "cli/oci": RUNTIME | {"cli/oci", "cli/common"},
    # Clients of the API; the session protocol of a supervisor is their other contract.
    "cli": SPECS | {"cli", "runtime/supervisor/protocol.h"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def rules_for(path):
    for folder in sorted(ALLOWED, key=len, reverse=True):
        if path == folder or path.startswith(folder + "/"):
            return ALLOWED[folder]
    return None


def violations(root):
    root = pathlib.Path(root)
    count = 0
    found = []
    for file in sorted(p for top in {f.split("/")[0] for f in ALLOWED} for p in (root / top).rglob("*") if p.suffix in (".h", ".cc")):
        path = file.relative_to(root).as_posix()
        allowed = rules_for(path)
        for name in INCLUDE.findall(file.read_text(errors="replace")):
            count += 1
            if not any(name == a or name.startswith(a + "/") for a in allowed):
                found.append(f"{path} includes {name}: not allowed by the layers")
    return count, found


def self_test():
    with tempfile.TemporaryDirectory() as root:
        for path, include in (("cgroups/a.cc", "namespaces/clone.h"), ("daemon/b.cc", "runtime/launcher.h"),
                              ("cli/vpsctl/c.cc", "storage/disk.h"), ("base/d.h", "specs/vps/id.h"),
                              ("daemon/fine.cc", "runtime/supervisor/client.h"), ("runtime/fine.cc", "cgroups/cgroup.h")):
            file = pathlib.Path(root, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'#include "{include}"\n')
        count, found = violations(root)
        assert count == 6, count
        assert [f.split()[0] for f in found] == ["base/d.h", "cgroups/a.cc", "cli/vpsctl/c.cc", "daemon/b.cc"], found
    print("self-test passed")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    count, found = violations(sys.argv[1])
    if count == 0:
        print("no includes found: the search is broken")
        return 1
    print(*found, f"{count} includes, {len(found)} against the layers", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
