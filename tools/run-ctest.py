#!/usr/bin/env python3
"""Runs ctest on a build tree and says, before ctest's own summary, which tests were skipped and why.

usage: run-ctest.py --build DIR --label REGEX [--jobs N] [--regex REGEX]
What failed runs once more, alone; what passes then is named as unsteady. Exit code: ctest's of the last run; 1 when no test matched (a tier that runs nothing has not passed).
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
CASE_SKIP = re.compile(r"^\S+:\d+: Skipped\n(.*?)\n+\[  SKIPPED \] (\S+)", re.M | re.S)  # an entry of several tests (tests/interop)
SANITIZER = re.compile(r"(Address|Thread|Leak|UndefinedBehavior)Sanitizer|runtime error: ")
MANY = 10  # more failures than these are no accident of timing
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
        if case.get("status") == "run":
            result += [(f"{case.get('name')}.{test}", reason) for reason, test in CASE_SKIP.findall(case.findtext("system-out") or "")]
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


def failed(junit_path):
    """{test: output} of the tests that failed."""
    try:
        suite = xml.etree.ElementTree.parse(junit_path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return {}
    return {case.get("name"): case.findtext("system-out") or "" for case in suite.iter("testcase") if case.get("status") == "fail"}


def run(command):
    """Runs ctest, prints what is worth reading; (exit code, the lines of its summary)."""
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
        return ctest.wait(), summary


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--label", default="")
    parser.add_argument("--regex", default="")
    parser.add_argument("--jobs", default=str(os.cpu_count() or 1))
    options = parser.parse_args()

    def ctest(junit, *more):
        if os.path.exists(junit):
            os.unlink(junit)
        return run(["ctest", "--test-dir", options.build, "--output-on-failure", "--no-tests=error", "--output-junit", junit,
                    "--test-output-size-passed", "65536", "--test-output-size-failed", "262144", *more])

    chosen = []
    if options.label:
        chosen += ["-L", options.label]
    if options.regex:
        chosen += ["-R", options.regex]
    junit = os.path.abspath(os.path.join(options.build, "ctest-results.xml"))
    code, summary = ctest(junit, "-j", options.jobs, *chosen)
    skips = skipped(junit)
    first = failed(junit)
    # What fails beside others may have met a loaded machine: it gets one more run, alone, and is named whatever comes of it. What a
    # sanitizer has found is a fault however often it shows.
    if code != 0 and 0 < len(first) <= MANY and not any(SANITIZER.search(output) for output in first.values()):
        print(f"\n{len(first)} failed; once more, one at a time:")
        again = os.path.abspath(os.path.join(options.build, "ctest-again.xml"))
        code, second_summary = ctest(again, "-j", "1", "--rerun-failed", *chosen)
        unsteady = sorted(set(first) - set(failed(again)))
        print(f"\n{len(unsteady)} unsteady tests, failed first and passed alone" + (": " + ", ".join(unsteady) if unsteady else ""))
        # The first summary holds the counts and times of all; what it says of failures has been run again.
        cut = next((i for i, line in enumerate(summary) if line.startswith("The following tests FAILED")), len(summary))
        summary = summary[1:cut] + second_summary
    print_skips(skips)
    sys.stdout.write("".join(summary))
    return code


if __name__ == "__main__":
    sys.exit(main())
