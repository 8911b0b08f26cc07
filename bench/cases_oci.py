"""The OCI runtime beside crun, runc, nsenter and the bare kernel calls."""
import json
import os
import time

import harness
from world import must

TRUE, SLEEP = ["/bin/true"], ["/bin/sleep", "100000"]


class OciCase(harness.Case):
    def table(self, reference="vpsrun"):
        return super().table(reference)


class Runtime:
    """One runtime on state directories of its own."""

    def __init__(self, bench, name, path):
        self.bench, self.name = bench, name
        self.command = [path, "--root", f"{bench.run}/oci-{name}"]

    def call(self, *arguments):
        return must(self.bench.pure.run([*self.command, *arguments]), f"{self.name} {arguments[0]}")

    def run(self, bundle):
        return self.call("run", "--bundle", bundle, self.bench.fresh(self.name))

    def in_three(self, bundle):
        """create, start and delete as an engine calls them."""
        container = self.bench.fresh(self.name)
        return added(self.call("create", "--bundle", bundle, container), self.call("start", container), self.call("delete", "--force", container))

    def detached(self, bundle):
        container = self.bench.fresh(self.name)
        return container, self.call("run", "--detach", "--bundle", bundle, container)

    def pid(self, container):
        return str(json.loads(self.call("state", container)["out"])["pid"])

    def peak_kib(self, bundle):
        out = must(self.bench.pure.run([self.bench.floor_path, "peak", *self.command, "run", "--bundle", bundle, self.bench.fresh(self.name)]), "peak")
        return int(out["out"].split()[-1])


class Floor:
    """The same container by the bare kernel calls."""

    name = "floor"

    def __init__(self, bench):
        self.bench = bench
        self.options = ["-r", bench.oci_rootfs(), *(["-s", bench.seccomp_bytes()] if bench.seccomp_bytes() else [])]

    def group(self, name):
        return f"/sys/fs/cgroup/{name}"  # as the other mount namespace shows the v2 tree

    def call(self, command, *arguments):
        return must(self.bench.pure.run([self.bench.floor_path, command, *arguments]), f"floor {command}")

    def run(self, _):
        return self.call("oci-run", "-g", self.group(self.bench.fresh("floor")), *self.options, *TRUE)

    def in_three(self, _, args=TRUE):
        name = self.bench.fresh("floor")
        group, state = ["-g", self.group(name)], ["-d", f"{self.bench.run}/{name}"]
        return added(self.call("oci-create", *group, *state, *self.options, *args), self.call("oci-start", *state), self.call("oci-delete", *group, *state))

    def detached(self, _):
        name = self.bench.fresh("floor")
        group, state = ["-g", self.group(name)], ["-d", f"{self.bench.run}/{name}"]
        return (group, state), added(self.call("oci-create", *group, *state, *self.options, *SLEEP), self.call("oci-start", *state))

    def delete(self, container):
        return self.call("oci-delete", *container[0], *container[1])

    def peak_kib(self, _):
        out = must(self.bench.pure.run([self.bench.floor_path, "peak", self.bench.floor_path, "oci-run", "-g", self.group(self.bench.fresh("floor")),
                                        *self.options, *TRUE]), "peak")
        return int(out["out"].split()[-1])


def added(*results):
    return {"ms": sum(result["ms"] for result in results), "cpu_ms": sum(result["cpu_ms"] for result in results)}


def candidates(bench):
    """[Runtime ...] and the floor; None where the build has no vpsrun."""
    own = os.environ.get("VPSRUN", bench.bin + "/vpsrun")
    if not os.access(own, os.X_OK):
        return None
    named = {"vpsrun": own, **({"vpsrun2": os.environ["VPSRUN2"]} if "VPSRUN2" in os.environ else {}), **bench.runtimes}
    return [Runtime(bench, name, path) for name, path in named.items()] + [Floor(bench)]


def missing(case):
    return {"case": case, "table": f"### {case}\n\nnot run: vpsrun is not part of this build (VPSRUN=/path names another one)\n"}


def oci_run(bench):
    """`true` in a fresh container: run, and create+start+delete; the most memory of the process"""
    who = candidates(bench)
    if who is None:
        yield missing("oci-run")
        return
    bundle = bench.bundle(TRUE, "true")
    yield OciCase("oci-run: run of true (seccomp, own network namespace, cgroup)", bench.rounds).measure(
        {one.name: lambda one=one: one.run(bundle) for one in who})
    yield OciCase("oci-run: create, start, delete", bench.rounds).measure({one.name: lambda one=one: one.in_three(bundle) for one in who})
    peaks = {}
    for one in who:
        try:
            peaks[one.name] = min(one.peak_kib(bundle) for _ in range(3))
        except RuntimeError:
            pass  # said above
    yield {"case": "oci-run: peak memory", "figures": peaks,
           "table": "### oci-run: peak memory of run, KiB\n\n| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in peaks.items()) + "\n"}


def oci_exec(bench):
    """`exec` of true in a running container"""
    who = candidates(bench)
    if who is None:
        yield missing("oci-exec")
        return
    bundle, measured, running = bench.bundle(SLEEP, "sleep"), {}, []
    for one in who:
        if isinstance(one, Floor):
            continue
        try:
            container, _ = one.detached(bundle)
        except RuntimeError as error:
            print(f"{one.name}: {str(error).strip().splitlines()[-1]}")
            continue
        running.append((one, container))
        measured[one.name] = lambda one=one, container=container: one.call("exec", container, *TRUE)
    own, container = running[0]
    pid = own.pid(container)
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
        group = next(line.split("::")[1].strip() for line in file if line.startswith("0::"))
    floor = who[-1]
    measured["nsenter"] = lambda: must(bench.pure.run(["nsenter", "-t", pid, "-a", *TRUE]), "nsenter")
    measured["floor"] = lambda: floor.call("oci-exec", "-g", "/sys/fs/cgroup" + group, *floor.options[2:], pid, *TRUE)
    try:
        yield OciCase("oci-exec: exec of true", bench.rounds).measure(measured)
    finally:
        for one, container in running:
            one.call("delete", "--force", container)


def oci_many(bench):
    """200 containers that stay, started one after another (--containers N), and their deletion"""
    who = candidates(bench)
    if who is None:
        yield missing("oci-many")
        return
    bundle, count = bench.bundle(SLEEP, "sleep"), bench.containers
    running = {one.name: [] for one in who}
    case = OciCase(f"oci-many: {count} containers, each start", count)

    def start(one):
        container, sample = one.detached(bundle)
        running[one.name].append(container)
        return sample

    try:
        yield case.measure({one.name: lambda one=one: start(one) for one in who})
        edge = max(count // 10, 5)
        growth = {name: harness.quantile(values[-edge:], 0.5) / harness.quantile(values[:edge], 0.5) for name, values in case.samples.items()}
        yield {"case": "oci-many: growth", "figures": growth,
               "table": f"last {edge} / first {edge} starts: " + ", ".join(f"{name} {value:.2f}" for name, value in growth.items()) + "\n"}
    finally:
        took = {}
        for one in who:
            began = time.perf_counter()
            for container in running[one.name]:
                one.delete(container) if isinstance(one, Floor) else one.call("delete", "--force", container)
            took[one.name] = (time.perf_counter() - began) * 1000 / max(len(running[one.name]), 1)
    yield {"case": "oci-many: deletion", "figures": took,
           "table": "forced deletion, each (ms): " + ", ".join(f"{name} {value:.1f}" for name, value in took.items()) + "\n"}
