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
    daemon = pss_kib(bench.vpsd.pid)
    starts = [bench.ctl("start", vps)["ms"] for vps in ids]
    tenth = 50 if count >= 200 else 10
    figures["start each (ms)"] = harness.quantile(starts, 0.5)
    figures[f"last {tenth} / first {tenth} starts"] = harness.quantile(starts[-tenth:], 0.5) / harness.quantile(starts[:tenth], 0.5)
    time.sleep(1)
    mine = [pss_kib(pid) for pid, command in supervisors() if bench.run in command or bench.root in command]
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
    figures["floor: start each (ms)"] = floor_starts(bench, count)
    return table_of(f"density {count}", f"density, {count} VPSes", figures)


def table_of(case, title, figures):
    table = f"### {title}\n\n| | |\n|---|---|\n" + "\n".join(f"| {name} | {value:.2f} |" for name, value in figures.items()) + "\n"
    return {"case": case, "figures": figures, "table": table}


def floor_starts(bench, count):
    cleans, starts = [], []
    for _ in range(count):
        command, clean = bench.floor_run(SLEEP, detach=True)
        starts.append(must(bench.host.run(command), "floor")["ms"])
        cleans.append(clean)
    for clean in cleans:
        clean()
    return harness.quantile(starts, 0.5)


def kernel_memory(bench, blocks=6, size=100):
    """what the kernel itself uses for an idle VPS and for a container of the floor: hundreds of each, in turn, all running"""
    bench.template("busybox")
    ids = [f"k{i}" for i in range(blocks * size)]
    for vps in ids:
        bench.create(vps, "busybox", "--ram", "32M", "--set", f"init={json.dumps(SLEEP)}")
    used, cleans = {"VPS": [], "floor": []}, []
    for block in range(blocks):
        for kind in used:
            before = kernel_kib()
            for i in range(size):
                if kind == "VPS":
                    bench.ctl("start", ids[block * size + i])
                else:
                    command, clean = bench.floor_run(SLEEP, detach=True)
                    must(bench.host.run(command), "floor")
                    cleans.append(clean)
            time.sleep(1)
            used[kind].append((kernel_kib() - before) / size)
    for clean in cleans:
        clean()
    bench.ctl("destroy", "--force", *ids)
    # The first of each fills what earlier ones have left in the kernel's caches.
    middle = {kind: harness.quantile(values[1:], 0.5) for kind, values in used.items()}
    yield table_of("kernel-memory", f"kernel-memory, {blocks} times {size} of each in turn", {
        "kernel per VPS (KiB)": middle["VPS"], "least": min(used["VPS"][1:]), "most": max(used["VPS"][1:]),
        "floor: kernel per container (KiB)": middle["floor"], "floor: least": min(used["floor"][1:]), "floor: most": max(used["floor"][1:]),
        "VPS / floor": middle["VPS"] / middle["floor"]})


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
