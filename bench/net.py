"""The case `network`: what a port costs, and what packets lose on their way through the host."""
import json
import os
import subprocess


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
