#!/usr/bin/env python3
"""Measures vpsd side by side with its peers and with the floor, candidates taking turns in one run.

usage: bench.py [--build DIR] [--rounds N] [--out DIR] [--count N[,N...]] [--containers N] [--restart-count N] [CASE...]
CASE: see --list. CRUN=/path, RUNC=/path, VPSRUN=/path take other builds of a runtime, and CRUN2=, RUNC2=, VPSRUN2= add a second one.
"""
import argparse
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases  # noqa: E402
import harness  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--build", default=source + "/build/release")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--count", default="50,200,1000", help="how many VPSes for density")
    parser.add_argument("--containers", type=int, default=200, help="how many containers for oci-many")
    parser.add_argument("--restart-count", type=int, default=500, help="how many running VPSes for daemon-restart")
    parser.add_argument("--out", default=source + "/bench/results")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("case", nargs="*")
    options = parser.parse_args()
    if options.list:
        for name, function in cases.CASES.items():
            print(f"{name:20} {function.__doc__.splitlines()[0]}")
        return 0
    unknown = [name for name in options.case if name not in cases.CASES]
    if unknown:
        parser.error(f"no case {unknown[0]} (see --list)")
    facts = harness.machine()
    bench = cases.Bench(options.build, options.rounds, [int(n) for n in options.count.split(",")], options.containers, options.restart_count)
    # A TERM ends the run as an INT does: with what it made taken down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    facts["versions"] = bench.versions()
    print("\n".join(f"{key}: {value}" for key, value in facts.items()) + "\n", flush=True)
    results, tables = [], []
    try:
        for name in options.case or cases.DEFAULT:
            started = time.monotonic()
            for result in cases.CASES[name](bench):
                tables.append(result.table() if isinstance(result, harness.Case) else result["table"])
                print(tables[-1], flush=True)
                results.append(result.as_json() if isinstance(result, harness.Case) else {key: value for key, value in result.items() if key != "table"})
            print(f"({name}: {time.monotonic() - started:.0f} s)\n", flush=True)
    finally:
        bench.close()
        if results:
            os.makedirs(options.out, exist_ok=True)
            facts["load at the end"] = os.getloadavg()[0]
            path = f"{options.out}/{time.strftime('%Y%m%d-%H%M%S')}"
            with open(path + ".json", "w", encoding="utf-8") as file:
                json.dump({"machine": facts, "results": results}, file, indent=1)
            with open(path + ".md", "w", encoding="utf-8") as file:
                file.write("".join(f"- {key}: {value}\n" for key, value in facts.items()) + "\n" + "\n".join(tables))
            print(f"samples: {path}.json, tables: {path}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
