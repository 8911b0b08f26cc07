"""Many VPSes at once: density, lists, a restart of vpsd."""
import json
import os
import time

import harness
from world import SLEEP, must


def kernel_kib():
    """Memory that the kernel uses for itself."""
    with open("/proc/meminfo", encoding="ascii") as file:
        values = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return sum(values[key] for key in ("SUnreclaim", "KernelStack", "PageTables", "Percpu"))


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def supervisors():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe").split(" ")[0].endswith("/vps-supervise"):
                with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                    yield pid, file.read()
        except OSError:
            continue


def density(bench):
    """many idle VPSes: start, memory, list, restart of vpsd, teardown"""
    yield from (many(bench, count) for count in bench.counts)


def many(bench, count):
    ids = [f"n{i}" for i in range(count)]
    bench.template("busybox")
    began = time.perf_counter()
    for vps in ids:
        bench.create(vps, "busybox", "--ram", "32M", "--set", f"init={json.dumps(SLEEP)}")
    figures = {"create each (ms)": (time.perf_counter() - began) * 1000 / count}
    daemon, kernel = pss_kib(bench.vpsd.pid), kernel_kib()
    starts = [bench.ctl("start", vps)["ms"] for vps in ids]
    tenth = 50 if count >= 200 else 10
    figures["start each (ms)"] = harness.quantile(starts, 0.5)
    figures[f"last {tenth} / first {tenth} starts"] = harness.quantile(starts[-tenth:], 0.5) / harness.quantile(starts[:tenth], 0.5)
    time.sleep(1)
    mine = [pss_kib(pid) for pid, command in supervisors() if bench.run in command or bench.root in command]
    figures["kernel per VPS (KiB)"] = (kernel_kib() - kernel) / count
    figures["supervisor PSS (KiB)"] = sum(mine) / max(len(mine), 1)
    figures["vpsd per VPS (KiB)"] = (pss_kib(bench.vpsd.pid) - daemon) / count
    figures["vpsd PSS (KiB)"] = pss_kib(bench.vpsd.pid)
    figures["list (ms)"] = harness.quantile([bench.ctl("list")["ms"] for _ in range(20)], 0.5)
    bench.vpsd.kill()
    bench.vpsd.wait()
    figures["vpsd killed, ready again (ms)"] = bench.start_vpsd() * 1000
    began = time.perf_counter()
    bench.ctl("stop", "--force", *ids)
    figures["forced stop each (ms)"] = (time.perf_counter() - began) * 1000 / count
    began = time.perf_counter()
    bench.ctl("start", *ids)
    figures["start all at once, each (ms)"] = (time.perf_counter() - began) * 1000 / count
    began = time.perf_counter()
    bench.ctl("destroy", "--force", *ids)
    figures["forced stop and destroy each (ms)"] = (time.perf_counter() - began) * 1000 / count
    figures.update(floor_many(bench, count))
    table = f"### density, {count} VPSes\n\n| | |\n|---|---|\n" + "\n".join(f"| {name} | {value:.2f} |" for name, value in figures.items()) + "\n"
    return {"case": f"density {count}", "figures": figures, "table": table}


def floor_many(bench, count):
    kernel, cleans, starts = kernel_kib(), [], []
    for _ in range(count):
        command, clean = bench.floor_run(SLEEP, detach=True)
        starts.append(must(bench.host.run(command), "floor")["ms"])
        cleans.append(clean)
    time.sleep(1)
    used = (kernel_kib() - kernel) / count
    for clean in cleans:
        clean()
    return {"floor: start each (ms)": harness.quantile(starts, 0.5), "floor: kernel per container (KiB)": used}


def list_1000(bench):
    """`vpsctl list -a` of 1000 definitions"""
    bench.template("busybox")
    ids = [f"l{i}" for i in range(1000)]
    for vps in ids:
        bench.create(vps, "busybox")
    yield harness.Case("list-1000", bench.rounds).measure({"vpsd": lambda: bench.ctl("list", "-a"), "vpsd, as json": lambda: bench.ctl("-o", "json", "list", "-a")})
    bench.ctl("destroy", *ids)


def daemon_restart(bench):
    """vpsd killed and started again with 500 VPSes running (--restart-count N), until READY"""
    count = bench.restart_count
    ids = [f"r{i}" for i in range(count)]
    bench.template("busybox")
    for vps in ids:
        bench.create(vps, "busybox", "--ram", "32M", "--set", f"init={json.dumps(SLEEP)}")
    bench.ctl("start", *ids)
    pids = {entry["id"]: entry["pid"] for entry in bench.vps_json("list")}

    def restart():
        bench.vpsd.kill()
        bench.vpsd.wait()
        return {"ms": bench.start_vpsd() * 1000}

    yield harness.Case(f"daemon-restart, {count} VPSes running", min(bench.rounds, 5)).measure({"vpsd": restart})
    if {entry["id"]: entry["pid"] for entry in bench.vps_json("list")} != pids:
        raise RuntimeError("the VPSes after the restart are not those before it")
    bench.ctl("destroy", "--force", *ids)
