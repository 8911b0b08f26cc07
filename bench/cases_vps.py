"""One VPS: its start, its forced stop, commands and shells in it."""
import json
import os
import pty
import shutil
import signal
import subprocess
import time

import harness
from world import LINE, MARK, SLEEP, must


def until_line(runner, command, clean, stops=None):
    """To the first line of its init; `clean` ends the container, `stops` takes how long that took."""
    result = runner.run(command, until=MARK)
    if MARK not in result["out"]:
        raise RuntimeError(f"exit {result['code']}: {result['out']}")
    began = time.perf_counter()
    clean()
    runner.run([], reap=result["pid"])
    if stops is not None:
        stops.append({"ms": (time.perf_counter() - began) * 1000})
    return result


def oci_start(bench, name, stops):
    path, bundle = bench.runtimes[name], bench.bundle(LINE, "line")

    def sample():
        vps = bench.fresh(name)

        # `run` deletes the container itself when its process has ended.
        return until_line(bench.pure, [path, "run", "--bundle", bundle, vps], lambda: must(bench.pure.run([path, "kill", vps, "KILL"]), "kill"), stops)

    return sample


def lxc_start(bench):
    config = bench.root + "/lxc.conf"
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"lxc.rootfs.path = dir:{bench.rootfs('busybox')}\nlxc.init.cmd = {bench.root}/none\nlxc.net.0.type = empty\nlxc.apparmor.profile = unconfined\n"
                   "lxc.mount.auto = proc:mixed sys:ro\nlxc.autodev = 1\nlxc.console.path = none\nlxc.uts.name = bench\n"
                   .replace(f"{bench.root}/none", "/bin/line"))
    with open(bench.rootfs("busybox") + "/bin/line", "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + LINE[2] + "\n")
    os.chmod(bench.rootfs("busybox") + "/bin/line", 0o755)

    def sample():
        vps = bench.fresh("lxc")
        return until_line(bench.host, ["lxc-start", "-F", "-P", bench.root, "-n", vps, "-f", config],
                          lambda: must(bench.host.run(["lxc-stop", "-k", "-P", bench.root, "-n", vps]), "lxc-stop"))

    return sample


def killed_start(bench, command):
    def sample():
        result = bench.host.run(command, until=MARK)
        if MARK not in result["out"]:
            raise RuntimeError(f"exit {result['code']}: {result['out']}")
        os.kill(result["pid"], signal.SIGTERM)
        bench.host.run([], reap=result["pid"])
        return result

    return sample


def start_to_line(bench, vps):
    """The client's `start` until the init of that VPS (LINE) has written its line to the console."""
    log = f"{bench.root}/state/containers/{vps}/console.log"

    def size():
        return os.path.getsize(log) if os.path.exists(log) else 0

    before = size()
    result = bench.ctl("start", vps)
    began = time.perf_counter()
    while size() == before:
        if time.perf_counter() - began > 10:
            raise RuntimeError("no line of init on the console")
    result["ms"] += (time.perf_counter() - began) * 1000
    result["cpu_ms"] = 0  # the client's only
    return result


def vps_start(bench):
    """both of the next two"""
    yield from vps_start_busybox(bench)
    yield from vps_start_systemd(bench)


def vps_start_busybox(bench):
    """a VPS to the first line of its init (busybox, overlay, limits), and its forced stop"""
    bench.create("line", "busybox", "--ram", "64M", "--set", f"init={json.dumps(LINE)}", "--set", "restart=never")
    stops = {"vpsd": []}

    def ours():
        result = start_to_line(bench, "line")
        stops["vpsd"].append(bench.ctl("stop", "--force", "line"))
        return result

    def floor():
        command, clean = bench.floor_run(LINE)
        return until_line(bench.host, command, clean, stops["floor"])

    stops["floor"] = []
    candidates = {"vpsd": ours, "floor": floor}
    for name in bench.runtimes:
        stops[name] = []
        candidates[name] = oci_start(bench, name, stops[name])
    rootfs = bench.rootfs("busybox")
    if shutil.which("lxc-start"):
        candidates["lxc-start"] = lxc_start(bench)
    if shutil.which("systemd-nspawn"):
        candidates["systemd-nspawn"] = killed_start(bench, ["systemd-nspawn", "-q", "--register=no", "--keep-unit", "--private-network", "-D", rootfs, "--", *LINE])
    if shutil.which("bwrap"):
        candidates["bwrap"] = killed_start(bench, ["bwrap", "--die-with-parent", "--unshare-all", "--bind", rootfs, "/", "--proc", "/proc", "--dev", "/dev", "--", *LINE])
    if shutil.which("podman"):
        candidates["podman"] = killed_start(bench, ["podman", "run", "--rm", "--network", "none", "--cgroups", "disabled", "--ulimit", "host", "--rootfs", rootfs, *LINE])
    yield harness.Case("vps-start, busybox to its first line", bench.rounds).measure(candidates)
    stop = harness.Case("forced stop of that VPS (peers: kill and delete)", bench.rounds)
    stop.samples = {name: [sample["ms"] for sample in values[1:]] for name, values in stops.items() if len(values) > 1}
    yield stop
    bench.ctl("destroy", "--force", "line")


def vps_delete(bench):
    """forced stop and deletion of a running one, by one command"""
    def ours():
        bench.create("gone", "busybox", "--ram", "64M", "--set", f"init={json.dumps(SLEEP)}")
        bench.ctl("start", "gone")
        result = bench.ctl("destroy", "--force", "gone")
        result["cpu_ms"] = 0  # the client's only
        return result

    def floor():
        command, clean = bench.floor_run(SLEEP, detach=True)
        must(bench.host.run(command), "floor")
        began = time.perf_counter()
        clean()
        return {"ms": (time.perf_counter() - began) * 1000}

    def oci(path):
        def sample():
            vps = bench.fresh("gone")
            must(bench.pure.run([path, "run", "-d", "--bundle", bench.bundle(LINE, "line"), vps]), "run")
            return must(bench.pure.run([path, "delete", "--force", vps]), "delete")
        return sample

    candidates = {"vpsd": ours, "floor": floor}
    candidates.update({name: oci(path) for name, path in bench.runtimes.items()})
    yield harness.Case("forced stop and deletion, one command", bench.rounds).measure(candidates)


def vps_start_systemd(bench):
    """a Debian 12 VPS until systemd says READY"""
    bench.create("systemd", "debian-12", "--ram", "512M")
    rootfs = bench.rootfs("debian-12")

    def ours():
        result = bench.ctl("start", "--wait", "systemd")
        result["cpu_ms"] = 0
        bench.ctl("stop", "--force", "systemd")
        return result

    def nspawn():
        path = bench.root + "/nspawn.sock"
        listener = harness.notify_socket(path, timeout=60)
        began = time.perf_counter()
        process = subprocess.Popen(["systemd-nspawn", "-q", "-b", "--register=no", "--keep-unit", "--private-network", "--notify-ready=yes", "-D", rootfs],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, NOTIFY_SOCKET=path))
        try:
            while b"READY=1" not in listener.recv(4096):
                pass
            return {"ms": (time.perf_counter() - began) * 1000}
        except TimeoutError as error:
            raise RuntimeError("no READY=1 within 60 s") from error
        finally:
            listener.close()
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    candidates = {"vpsd": ours}
    if shutil.which("systemd-nspawn"):
        candidates["systemd-nspawn"] = nspawn
    yield harness.Case("vps-start, Debian 12 to systemd's READY", min(bench.rounds, 20)).measure(candidates)
    bench.ctl("destroy", "--force", "systemd")


# --- exec ---

def vps_exec(bench):
    """`true` in a running VPS"""
    bench.create("exec", "busybox", "--set", f"init={json.dumps(SLEEP)}")
    bench.ctl("start", "exec")
    pid = bench.pid_of("exec")
    candidates = {
        "vpsd": lambda: bench.ctl("exec", "exec", "--", "/bin/true"),
        "floor": lambda: must(bench.host.run([bench.floor_path, "exec", pid, "/bin/true"]), "floor exec"),
        "nsenter": lambda: must(bench.host.run(["nsenter", "-t", pid, "-a", "/bin/true"]), "nsenter"),
    }
    running = []
    for name, path in bench.runtimes.items():
        container = bench.fresh(name)
        started = bench.pure.run([path, "run", "--bundle", bench.bundle(LINE, "line"), container], until=MARK)
        if MARK not in started["out"]:
            continue
        running.append((path, container, started["pid"]))
        candidates[name] = lambda path=path, container=container: must(bench.pure.run([path, "exec", container, "/bin/true"]), "exec")
    yield harness.Case("vps-exec, true", bench.rounds).measure(candidates)
    for path, container, process in running:
        bench.pure.run([path, "delete", "-f", container])
        bench.pure.run([], reap=process)
    bench.ctl("destroy", "--force", "exec")


def vps_enter(bench):
    """a shell on a terminal, to its prompt"""
    bench.create("enter", "busybox", "--set", f"init={json.dumps(SLEEP)}")
    bench.ctl("start", "enter")
    pid = bench.pid_of("enter")

    def prompt(argv):
        def sample():
            began = time.perf_counter()
            child, terminal = pty.fork()
            if child == 0:
                os.execvp(argv[0], argv)
            out = b""
            while b"# " not in out:
                try:
                    piece = os.read(terminal, 4096)
                except OSError:
                    piece = b""
                if not piece:
                    raise RuntimeError(f"no prompt: {out.decode(errors='replace')}")
                out += piece
            took = (time.perf_counter() - began) * 1000
            os.write(terminal, b"exit\n")
            try:
                while os.read(terminal, 4096):
                    pass
            except OSError:
                pass
            os.waitpid(child, 0)
            os.close(terminal)
            return {"ms": took}
        return sample

    yield harness.Case("vps-enter, to the prompt", bench.rounds).measure({
        "vpsd": prompt([bench.bin + "/vpsctl", "--socket", bench.run + "/vpsd.sock", "enter", "enter"]),
        "nsenter": prompt(["nsenter", "-t", pid, "-a", "/bin/sh", "-l"]),
    })
    bench.ctl("destroy", "--force", "enter")
