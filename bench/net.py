"""The cases `network` and `net-start`: what a port and a network cost, and what packets lose on their way through the host."""
import json
import os
import subprocess

import harness
from cases_vps import start_to_line
from world import LINE


def figures(bench, *arguments):
    program = os.path.dirname(bench.bin) + "/bench/netbench"
    done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"netbench {' '.join(arguments)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def network(bench):
    """ports: cost of a start, up to 1000 on one bridge; round trip and throughput against a bare veth; new connections with and without a cap"""
    count = max([1000] if 1000 in bench.counts else bench.counts)
    starts = figures(bench, "start", str(count))
    lines = [f"### network, {count} ports one after another", "",
             "| | median us | p10 | cpu us | cpu, first twentieth | cpu, last twentieth | last / first | release us |", "|---|---|---|---|---|---|---|---|"]
    for kind, each in starts.items():
        lines.append(f"| {kind} | {each['us']} | {each['p10']} | {each['cpu']} | {each['first']} | {each['last']} | {each['last'] / each['first']:.2f} | {each['release']} |")
    yield {"case": "network ports", "figures": starts, "table": "\n".join(lines + [""])}
    paths = figures(bench, "path", str(bench.rounds))
    bare = paths["bare veth"]
    lines = ["### network, out of a VPS", "", "| | round trip us | p10 | to bare veth (p10) | Gbit/s | best | to bare veth (best) |", "|---|---|---|---|---|---|---|"]
    for path, each in paths.items():
        lines.append(f"| {path} | {each['rtt_us']:.1f} | {each['rtt_p10']:.1f} | {each['rtt_p10'] / bare['rtt_p10']:.2f} | "
                     f"{each['gbit']:.1f} | {each['gbit_best']:.1f} | {each['gbit_best'] / bare['gbit_best']:.2f} |")
    yield {"case": "network paths", "figures": paths, "table": "\n".join(lines + [""])}
    opened = figures(bench, "connections", "10000")
    lines = ["### network, a new connection of a VPS", "", "| | each of many us | alone us |", "|---|---|---|"]
    for case, each in opened.items():
        lines.append(f"| {case} | {each['each_us']} | {each['alone_us']} |")
    yield {"case": "network connections", "figures": opened, "table": "\n".join(lines + [""])}


def net_start(bench):
    """a VPS with and without a bridge network, in turn: start to the first line of its init, forced stop; cpu of vpsd"""
    bench.template("busybox")
    # Networks of its own: nothing of the machine's is touched.
    bench.stop_vpsd()
    bench.own_network = True
    try:
        bench.start_vpsd()
        bench.ctl("network", "create", "bench", "--mode", "bridge", "--subnet", "10.99.0.0/16", "--subnet", "fd99::/64", "--nat")
        stops = {}

        def candidate(vps, *options):
            bench.ctl("create", vps, "--template", "busybox", "--ram", "64M", "--set", f"init={json.dumps(LINE)}", "--set", "restart=never", *options)
            stops[vps] = []

            def sample():
                before = bench.vpsd_cpu_ms()
                result = start_to_line(bench, vps)
                result["cpu_ms"] = bench.vpsd_cpu_ms() - before
                before = bench.vpsd_cpu_ms()
                stopped = bench.ctl("stop", "--force", vps)
                stops[vps].append((stopped["ms"], bench.vpsd_cpu_ms() - before))
                return result

            return sample

        names = {"without a network": "bare", "bridge": "bridged"}
        case = harness.Case("net-start, busybox to its first line", bench.rounds)
        yield case.measure({"without a network": candidate(names["without a network"], "--ip", "none"),
                            "bridge": candidate(names["bridge"], "--ip", "auto", "--set", "network.interfaces=[{name: eth0, network: bench, addresses: [auto]}]")})
        stop = harness.Case("net-start, forced stop", bench.rounds)
        stop.samples = {name: [ms for ms, _ in stops[vps][1:]] for name, vps in names.items()}
        stop.cpu = {name: [cpu for _, cpu in stops[vps][1:]] for name, vps in names.items()}
        yield stop
        for vps in names.values():
            bench.ctl("destroy", "--force", vps)
        bench.ctl("network", "delete", "bench")
    finally:
        bench.stop_vpsd()
        bench.own_network = False
        bench.start_vpsd()
