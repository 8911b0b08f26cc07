#!/usr/bin/env python3
"""Runs ctest on a build tree and says, before ctest's own summary, which tests were skipped and why.

usage: run-ctest.py --build DIR --label REGEX [--jobs N] [--regex REGEX]
Exit code: ctest's; 1 when no test matched (a tier that runs nothing has not passed).
"""
import argparse
import collections
import os
import re
import subprocess
import sys
import xml.etree.ElementTree

SUMMARY = re.compile(r"^\d+% tests passed")
GUEST_SKIP = re.compile(r"^skipped in the guest: (\S+): (.*)$", re.M)  # tests/vm/run.py
SKIP_REASON = re.compile(r"^\S+:\d+: Skipped\n(.*?)(?=\n\n|\n\[|\Z)", re.M | re.S)


def skipped(junit_path):
    """[(test, reason)] of the tests that did not run."""
    try:
        suite = xml.etree.ElementTree.parse(junit_path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return []
    result = []
    for case in suite.iter("testcase"):
        for test, reason in GUEST_SKIP.findall(case.findtext("system-out") or ""):
            result.append((f"{case.get('name')}.{test}", reason))
        note = case.find("skipped")
        if case.get("status") not in ("notrun", "disabled") and note is None:
            continue
        output = case.findtext("system-out") or ""
        found = SKIP_REASON.search(output)
        reason = found.group(1).strip() if found else output.strip().splitlines()[-1:] or [note.get("message") if note is not None else ""]
        result.append((case.get("name"), reason if isinstance(reason, str) else reason[0]))
    return result


def print_skips(skips):
    by_reason = collections.defaultdict(list)
    for name, reason in skips:
        by_reason[" ".join(reason.split()) or "no reason given"].append(name)
    print(f"\n{len(skips)} tests skipped" + (":" if skips else ""))
    for reason, names in sorted(by_reason.items()):
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        print(f"  {reason}: {shown}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--label", default="")
    parser.add_argument("--regex", default="")
    parser.add_argument("--jobs", default=str(os.cpu_count() or 1))
    options = parser.parse_args()

    junit = os.path.abspath(os.path.join(options.build, "ctest-results.xml"))
    if os.path.exists(junit):
        os.unlink(junit)
    command = ["ctest", "--test-dir", options.build, "--output-on-failure", "--no-tests=error", "-j", options.jobs,
               "--output-junit", junit, "--test-output-size-passed", "65536"]
    if options.label:
        command += ["-L", options.label]
    if options.regex:
        command += ["-R", options.regex]
    summary = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", bufsize=1) as ctest:
        for line in ctest.stdout:
            # Passed tests are counted by the summary; printed one by one they would hide what matters.
            if summary or SUMMARY.match(line):
                summary.append(line)
            elif not re.match(r"^ *(Start +\d+:|\d+/\d+ Test +#\d+: .* Passed )", line):
                sys.stdout.write(line)
                sys.stdout.flush()
        code = ctest.wait()
    print_skips(skipped(junit))
    sys.stdout.write("".join(summary))
    return code


if __name__ == "__main__":
    sys.exit(main())
