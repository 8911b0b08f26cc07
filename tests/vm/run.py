#!/usr/bin/env python3
"""Runs a set of the test binaries in a virtual machine with a pure cgroup v2 tree and reports their single results.

usage: run.py --build DIR --kernel 6.1|6.12 SET
Exit code: 0 all passed, 1 a test failed or did not run, 77 the kernel is not to be had.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = ["vpsd", "vpsctl", "vps-supervise", "vpsrun"]
KERNEL_MISSING = 77

# What runs in one boot: [(binary below tests/, gtest filter)], further binaries that those start, the templates, Debian packages
# that the guest has beside the usual ones, whether it has a network card to lend, and its time limit in seconds. What a pure v2
# tree and full root cannot change (parsing, the API's input checks) runs natively only.
SETS = {
    "life": {
        "tests": [("system/system_test", "LifecycleTest.*:ExecTest.*:InitTest.*:RecoveryTest.*:SmallDiskTest.*:ConcurrencyTest.ManyExecsAtOnce"
                   "-LifecycleTest.*Bad*:LifecycleTest.Unknown*:LifecycleTest.Existing*:LifecycleTest.Errors*:LifecycleTest.DryRuns*:LifecycleTest.TheShown*")],
        "templates": ["busybox"],
        "limit": 900,
    },
    "limits": {
        "tests": [("system/system_cgroups", "*"), ("system/system_test", "LimitsTest.*:SecurityTest.*"), ("system/system_operator_test", "*")],
        "templates": ["busybox", "debian-12"],
        "limit": 900,
    },
    "net": {
        "tests": [("system/system_net", "*"), ("system/system_net_filter", "-*Thousand*")],
        "templates": [],
        "card": True,
        "limit": 600,
    },
    # Of the same what touches most of the kernel, for the second one.
    "netmain": {
        "tests": [("system/system_net", "NetPorts.*:NetDevices.*:NetRates.TheCap*:NetRates.Guarantees*:NetRates.TheKernel*"),
                  ("system/system_net_filter", "NetFilter.*:*DropsEachKind*:*ClassesAreExact*")],
        "templates": [],
        "card": True,
        "limit": 600,
    },
    "oci": {
        "tests": [("interop/interop_podman", "Podman.RunGives*:Podman.TopAndStats:Podman.PauseAndUnpause:Podman.MemoryLimitKills:Podman.LimitsAreInTheGroup:"
                   "Podman.Checkpoint"),
                  ("conformance/conformance_test", "Conformance.*:Engines.*:Commands.FromCreate*:Commands.PauseUpdate*:SystemdCgroups.Limits*:SystemdCgroups.OfAn*")],
        "helpers": ["conformance/conformance_probe"],
        "templates": [],
        "packages": "podman netavark catatonit uidmap criu iptables apparmor systemd",
        "limit": 600,
    },
    "smoke": {
        "tests": [("system/system_cgroups", "*"),
                  ("system/system_test", "LifecycleTest.FromCreateToDestroy:LifecycleTest.Pause*:ExecTest.Streams*:ExecTest.CommandsRun*:InitTest.Reboot*:"
                   "LimitsTest.A*:LimitsTest.Set*:LimitsTest.SwapGoes*:RecoveryTest.VpsExec*:SecurityTest.Forbidden*")],
        "templates": ["busybox"],
        "limit": 600,
    },
}


def stripped(source, target):
    subprocess.run(["strip", "--strip-debug", "-o", target, source], check=True)


def stage_inputs(build, work, chosen):
    """--input options for vm.sh: the programs, the test binaries and the templates."""
    options = []
    os.makedirs(work + "/bin")
    os.makedirs(work + "/tests")
    for program in PROGRAMS:
        stripped(f"{build}/bin/{program}", f"{work}/bin/{program}")
    for name in {test for test, _ in chosen["tests"]} | set(chosen.get("helpers", ["system/security_probe"])):
        stripped(f"{build}/tests/{name}", f"{work}/tests/{os.path.basename(name)}")
    options += ["--input", work + "/bin", "--input", work + "/tests"]
    if not chosen["templates"]:
        return options
    # Builds what is missing and says where it lies.
    listing = subprocess.run([build + "/tests/system/ensure_templates", *chosen["templates"]], check=True, text=True, stdout=subprocess.PIPE).stdout
    for line in listing.splitlines():
        name, path = line.split(": ", 1)
        options += ["--input", f"{path}=cache/{os.path.basename(os.path.dirname(path))}/{name}"]
    return options


def results(out, tests):
    """[(outcome, test, seconds, text)]; a binary without a result file counts as failed."""
    found = []
    for test, _ in tests:
        name = os.path.basename(test)
        try:
            root = xml.etree.ElementTree.parse(f"{out}/{name}.xml").getroot()
        except (OSError, xml.etree.ElementTree.ParseError) as error:
            found.append(("FAIL", name, 0.0, f"no results: {error}"))
            continue
        for case in root.iter("testcase"):
            if case.get("status") != "run" and case.get("result") != "skipped":
                continue
            outcome, text = "ok", ""
            if case.find("failure") is not None:
                outcome, text = "FAIL", "\n".join(each.text or each.get("message", "") for each in case.findall("failure"))
            elif case.find("skipped") is not None or case.get("result") == "skipped":
                note = case.find("skipped")
                outcome, text = "skip", (note.get("message") or note.text or "") if note is not None else ""
            found.append((outcome, f"{case.get('classname')}.{case.get('name')}", float(case.get("time", "0")), text.strip()))
    return found


def report(found):
    for outcome, name, seconds, text in found:
        if outcome == "skip":
            # run-ctest.py collects these lines.
            print(f"skipped in the guest: {name}: {re.sub(r'^.*:[0-9]+ *', '', text.splitlines()[0]) if len(text.splitlines()) == 1 else ' '.join(text.splitlines()[1:])}")
    for outcome, name, seconds, text in found:
        if outcome != "skip":
            print(f"{outcome:4} {name} ({seconds:.1f} s)" + (f"\n{text}" if text else ""))
    count = {kind: sum(1 for each in found if each[0] == kind) for kind in ("ok", "FAIL", "skip")}
    print(f"{count['ok']} passed, {count['FAIL']} failed, {count['skip']} skipped")
    return count["FAIL"] == 0 and count["ok"] > 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--kernel", default="6.1")
    parser.add_argument("set", choices=SETS)
    options = parser.parse_args()
    chosen = SETS[options.set]
    work = tempfile.mkdtemp(prefix="vpsd-vm-set-")
    try:
        packages = ["--packages", chosen["packages"]] if "packages" in chosen else []
        card = ["--nic"] if chosen.get("card") else []
        arguments = [part for test, names in chosen["tests"] for part in (os.path.basename(test), names)]
        command = [SOURCE + "/tools/vm.sh", "--kernel", options.kernel, "--timeout", str(chosen["limit"]), "--out", work + "/out",
                   *card, *packages, *stage_inputs(options.build, work, chosen),
                   SOURCE + "/tests/vm/guest.sh", os.path.abspath(options.build), *arguments]
        run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        if run.returncode == KERNEL_MISSING:
            print(run.stdout)
            return KERNEL_MISSING
        good = report(results(work + "/out", chosen["tests"]))
        if not good or run.returncode != 0:
            print(f"\nvm.sh ended with {run.returncode}; the end of the console:\n" + "\n".join(run.stdout.splitlines()[-300:]))
        return 0 if good and run.returncode == 0 else 1
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
