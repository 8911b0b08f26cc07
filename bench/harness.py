"""Runs commands of several candidates in turn, times them, compares them, says on what machine."""
import ctypes
import json
import os
import platform
import random
import socket
import statistics
import subprocess
import time

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000


class Runner:
    """A small process that starts the commands: where they are born decides what a fork costs and which mounts they see.

    `unified`: with the pure v2 tree at /sys/fs/cgroup, in a mount namespace of its own (peers that refuse hybrid hosts).
    """

    def __init__(self, unified=False):
        self.parent, child = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self.parent.close()
            if unified:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) or \
                        libc.mount(b"/sys/fs/cgroup/unified", b"/sys/fs/cgroup", None, MS_BIND | MS_REC, None):
                    os._exit(1)
            try:
                self.serve(child)
            finally:
                os._exit(0)
        child.close()
        self.stream = self.parent.makefile("rw")

    @staticmethod
    def serve(channel):
        stream = channel.makefile("rw")
        for line in stream:
            request = json.loads(line)
            if request.get("reap"):
                os.waitpid(request["reap"], 0)
                answer = {"code": 0}
            else:
                answer = timed(request["argv"], request.get("until"), request.get("env"))
            stream.write(json.dumps(answer) + "\n")
            stream.flush()

    def run(self, argv, until=None, env=None, reap=None):
        """timed() in that process; with `reap` it waits for the end of an earlier command instead."""
        self.stream.write(json.dumps({"argv": argv, "until": until, "env": env, "reap": reap}) + "\n")
        self.stream.flush()
        line = self.stream.readline()
        if not line:
            raise RuntimeError("the process that starts commands has died")
        return json.loads(line)

    def close(self):
        self.parent.close()
        self.stream.close()
        os.waitpid(self.pid, 0)


def timed(argv, until=None, env=None):
    """{"ms", "cpu_ms", "code", "out", "pid"}; with `until` the time ends when that text has been printed and the command lives on.

    Without it the command's end counts, whoever still holds its output.
    """
    if until is None:
        read_end = os.memfd_create("output")
        write_end = os.dup(read_end)
    else:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    environment = dict(os.environ, **(env or {}))
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, write_end, 1), (os.POSIX_SPAWN_DUP2, write_end, 2)]
    start = time.perf_counter_ns()
    try:
        pid = os.posix_spawnp(argv[0], argv, environment, file_actions=actions)
    except OSError as error:
        return {"ms": 0, "cpu_ms": 0, "code": 127, "out": str(error), "pid": 0}
    finally:
        os.close(write_end)
        os.close(null)
    out = b""
    code, usage = None, None
    while until is not None and until.encode() not in out:
        piece = os.read(read_end, 65536)
        if not piece:
            break
        out += piece
    seen = time.perf_counter_ns()
    if until is None or until.encode() not in out:
        _, status, usage = os.wait4(pid, 0)
        seen = time.perf_counter_ns()
        code = os.waitstatus_to_exitcode(status)
    if until is None:
        out = os.pread(read_end, 1 << 20, 0)
    if code is not None:
        os.close(read_end)  # else the command may go on writing
    cpu = (usage.ru_utime + usage.ru_stime) * 1000 if usage else 0
    return {"ms": (seen - start) / 1e6, "cpu_ms": cpu, "code": code, "out": out.decode(errors="replace")[-2000:], "pid": pid}


def notify_socket(path, timeout):
    """Where READY=1 comes in (sd_notify(3))."""
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path)
    listener.settimeout(timeout)
    return listener


def quantile(values, q):
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def ratio_interval(ours, theirs, rounds=2000):
    """Ratio of the medians with a 95 % bootstrap interval."""
    generator = random.Random(1)
    ratios = sorted(statistics.median(generator.choices(ours, k=len(ours))) / statistics.median(generator.choices(theirs, k=len(theirs)))
                    for _ in range(rounds))
    return statistics.median(ours) / statistics.median(theirs), ratios[int(0.025 * rounds)], ratios[int(0.975 * rounds)]


def machine():
    def first(path, prefix):
        try:
            with open(path, encoding="utf-8") as lines:
                return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(prefix)), "")
        except OSError:
            return ""

    with open("/proc/mounts", encoding="utf-8") as mounts:
        kinds = {line.split()[2] for line in mounts if "/sys/fs/cgroup" in line}
    return {
        "cpu": first("/proc/cpuinfo", "model name"), "cpus": os.cpu_count(), "memory": first("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(), "load": os.getloadavg()[0],
        "cgroups": "hybrid" if "cgroup" in kinds and "cgroup2" in kinds else "v2" if "cgroup2" in kinds else "v1",
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def version_of(argv):
    try:
        out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=20).stdout
        return out.splitlines()[0].strip() if out else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""


class Case:
    """Samples of several candidates, taken in turn: each round runs every candidate once, in an order that rotates."""

    def __init__(self, name, rounds):
        self.name, self.rounds = name, rounds
        self.samples, self.cpu, self.notes = {}, {}, []

    def measure(self, candidates):
        """candidates: {name: function returning {"ms", "cpu_ms"} or None when it does not work here}"""
        names = list(candidates)
        for index in range(self.rounds + 1):
            for at in range(len(names)):
                name = names[(at + index) % len(names)]
                if name not in candidates:
                    continue
                try:
                    sample = candidates[name]()
                except RuntimeError as error:
                    self.notes.append(f"{name}: {str(error).strip().splitlines()[-1][:200] if str(error).strip() else 'failed'}")
                    del candidates[name]
                    self.samples.pop(name, None)
                    self.cpu.pop(name, None)
                    continue
                if index == 0:
                    continue  # warm caches
                self.samples.setdefault(name, []).append(sample["ms"])
                if sample.get("cpu_ms"):
                    self.cpu.setdefault(name, []).append(sample["cpu_ms"])
        return self

    def rows(self, reference):
        """[(candidate, n, median, p10, p90, cpu median or None, ratio or None)]: reference / candidate as (ratio, low, high)"""
        result = []
        for name, values in self.samples.items():
            ratio = None
            if name != reference and reference in self.samples:
                ratio = ratio_interval(self.samples[reference], values)
            cpu = statistics.median(self.cpu[name]) if name in self.cpu else None
            result.append((name, len(values), statistics.median(values), quantile(values, 0.1), quantile(values, 0.9), cpu, ratio))
        return result

    def table(self, reference="vpsd"):
        lines = [f"### {self.name}", "", f"| | n | median ms | p10 | p90 | cpu ms | {reference} / this (95 %) | p10 / p10 | cpu / cpu |",
                 "|---|---|---|---|---|---|---|---|---|"]
        rows = sorted(self.rows(reference), key=lambda row: row[2])
        own = next((row for row in rows if row[0] == reference), None)
        for name, n, median, p10, p90, cpu, ratio in rows:
            shown = low = work = ""
            if ratio is not None:
                shown, low = f"{ratio[0]:.2f} ({ratio[1]:.2f}-{ratio[2]:.2f})", f"{own[3] / p10:.2f}"
                work = f"{own[5] / cpu:.2f}" if cpu and own[5] else ""
            bold = "**" if name == reference else ""
            lines.append(f"| {bold}{name}{bold} | {n} | {median:.2f} | {p10:.2f} | {p90:.2f} | {'' if cpu is None else f'{cpu:.2f}'} | {shown} | {low} | {work} |")
        return "\n".join(lines + [""] + [f"- {note}" for note in self.notes] + ([""] if self.notes else []))

    def as_json(self):
        return {"case": self.name, "samples_ms": self.samples, "cpu_ms": self.cpu, "notes": self.notes}
