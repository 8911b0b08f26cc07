"""The cases of the benchmark: what is run, with which candidates."""
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import time

import harness
import net

CACHE = "/var/cache/vpsd-bench"
LINE = ["/bin/sh", "-c", "echo line-of-init; exec sleep 100000"]
MARK = "line-of-init"
SLEEP = ["/bin/sleep", "100000"]


def must(result, what):
    if result["code"] not in (0, None):
        raise RuntimeError(f"{what}: exit {result['code']}: {result['out']}")
    return result


class Bench:
    """A vpsd of its own, root file systems and bundles for the peers, and two processes that start commands."""

    def __init__(self, build, rounds, counts):
        self.bin, self.floor_path = build + "/bin", build + "/bench/floor"
        self.rounds, self.counts = rounds, counts
        self.name = f"vps-bench-{os.getpid()}"
        self.root = f"{CACHE}/{self.name}"
        self.run = f"/dev/shm/{self.name}"  # memory, as /run is on a host
        # cpuset takes no process before it has CPUs and memory nodes: left out.
        hybrid = os.path.isdir("/sys/fs/cgroup/unified")
        self.unified = "/sys/fs/cgroup/unified" if hybrid else "/sys/fs/cgroup"
        self.v1 = [] if not hybrid else sorted({os.path.realpath(f"/sys/fs/cgroup/{name}") for name in os.listdir("/sys/fs/cgroup")
                                                if name not in ("unified", "systemd", "cpuset") and os.path.exists(f"/sys/fs/cgroup/{name}/cgroup.procs")})
        # Before vpsd and before this process has grown.
        self.host, self.pure = harness.Runner(), harness.Runner(unified=hybrid)
        self.vpsd, self.serial = None, 0
        for directory in (f"{self.root}/state/templates", f"{self.root}/etc", f"{self.root}/rw", self.run):
            os.makedirs(directory)
        with open(f"{self.root}/etc/vpsd.yaml", "w", encoding="utf-8") as file:
            file.write(f"stateDir: {self.root}/state\nrunDir: {self.run}\nsocket: {self.run}/vpsd.sock\n"
                       f"cgroup: {self.name}\nsupervisor: {self.bin}/vps-supervise\n")
        self.runtimes = {}
        for key in ("crun", "runc", "crun2", "runc2"):
            path = os.environ.get(key.upper()) or (shutil.which(key) if not key.endswith("2") else None)
            if path:
                self.runtimes[key] = path

    def versions(self):
        found = {name: harness.version_of([path, "--version"]) for name, path in self.runtimes.items()}
        for name in ("podman", "lxc-start", "systemd-nspawn", "bwrap", "nsenter"):
            if shutil.which(name):
                found[name] = harness.version_of([name, "--version"])
        return found

    # --- vpsd ---
    def start_vpsd(self):
        """Seconds until READY=1."""
        path = self.root + "/notify.sock"
        if os.path.exists(path):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(path)
        listener.settimeout(120)
        with open(self.root + "/vpsd.log", "ab") as log:
            began = time.perf_counter()
            self.vpsd = subprocess.Popen([self.bin + "/vpsd", "--config", self.root + "/etc/vpsd.yaml"], stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, env=dict(os.environ, NOTIFY_SOCKET=path))
            while b"READY=1" not in listener.recv(4096):
                pass
        listener.close()
        return time.perf_counter() - began

    def ctl(self, *arguments):
        return must(self.host.run([self.bin + "/vpsctl", "--socket", self.run + "/vpsd.sock", *arguments]), f"vpsctl {arguments[0]}")

    def vps_json(self, *arguments):
        command = [self.bin + "/vpsctl", "--socket", self.run + "/vpsd.sock", "-o", "json", *arguments]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    def template(self, name):
        """Built once, kept in the cache; placed by hard links."""
        if self.vpsd is None:
            for kept in os.listdir(CACHE):
                if kept.startswith("template-"):
                    subprocess.run(["cp", "-al", f"{CACHE}/{kept}", f"{self.root}/state/templates/{kept[9:]}"], check=True)
            self.start_vpsd()
        if not os.path.isdir(f"{self.root}/state/templates/{name}"):
            self.ctl("template", "build", name)
            subprocess.run(["cp", "-al", f"{self.root}/state/templates/{name}", f"{CACHE}/template-{name}"], check=True)
        return f"{self.root}/state/templates/{name}/rootfs"

    def create(self, vps, template, *more):
        self.template(template)
        self.ctl("create", vps, "--template", template, "--ip", "none", *more)

    def pid_of(self, vps):
        return str(self.vps_json("show", vps)["status"]["pid"])

    # --- peers ---
    def rootfs(self, template):
        """A writable copy for the peers."""
        path = f"{self.root}/rootfs-{template}"
        if not os.path.isdir(path):
            subprocess.run(["cp", "-a", self.template(template), path], check=True)
        return path

    def bundle(self, args, name):
        path = f"{self.root}/bundle-{name}"
        if not os.path.isdir(path):
            os.makedirs(path)
            subprocess.run(["runc", "spec", "-b", path], check=True)
            with open(path + "/config.json", encoding="utf-8") as file:
                spec = json.load(file)
            spec["process"].update(args=args, terminal=False)
            # Without CAP_SYS_RESOURCE crun cannot load a device filter nor podman raise a limit; none of them has one then.
            spec["process"].pop("rlimits", None)
            spec["linux"].pop("resources", None)
            spec["root"] = {"path": self.rootfs("busybox"), "readonly": False}
            with open(path + "/config.json", "w", encoding="utf-8") as file:
                json.dump(spec, file)
        return path

    def fresh(self, prefix):
        self.serial += 1
        return f"{prefix}-{os.getpid()}-{self.serial}"

    def floor_run(self, args, detach=False):
        """(command, v2 cgroup, clean-up): overlay with idmapped layers, user namespace, a cgroup in each hierarchy."""
        name = self.fresh("vps-bench-floor")
        layers = f"{self.root}/rw/{name}"
        for directory in ("rw/upper", "rw/work", "at"):
            os.makedirs(f"{layers}/{directory}")
        groups = [f"{self.unified}/{name}"] + [f"{hierarchy}/{name}" for hierarchy in self.v1]
        command = [self.floor_path, "run", *(["-d"] if detach else []), "-u", "200000000", "-o", f"{self.template('busybox')}:{layers}/rw", "-r", f"{layers}/at"]
        for group in groups:
            command += ["-g", group]

        def clean():
            with open(groups[0] + "/cgroup.kill", "w", encoding="ascii") as file:
                file.write("1")
            for group in groups:
                for _ in range(2000):
                    try:
                        os.rmdir(group)
                        break
                    except FileNotFoundError:
                        break
                    except OSError:
                        time.sleep(0.002)
            shutil.rmtree(layers, ignore_errors=True)

        return command + args, clean

    def close(self):
        if self.vpsd is not None:
            try:
                for vps in self.vps_json("list", "-a"):
                    self.ctl("destroy", "--force", vps["id"])
            finally:
                self.vpsd.send_signal(signal.SIGTERM)
                self.vpsd.wait()
        for base in [self.unified, *(f"/sys/fs/cgroup/{name}" for name in os.listdir("/sys/fs/cgroup"))]:
            if os.path.isdir(f"{base}/{self.name}"):
                os.rmdir(f"{base}/{self.name}")
        self.pure.close()  # it holds the other one's socket as well
        self.host.close()
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.run, ignore_errors=True)


# --- starts ---

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


def vps_start(bench):
    """a VPS to the first line of its init (busybox, overlay, limits), and its forced stop"""
    bench.create("line", "busybox", "--ram", "64M", "--set", f"init={json.dumps(LINE)}", "--set", "restart=never")
    log = f"{bench.root}/state/containers/line/console.log"
    stops = {"vpsd": []}

    def size():
        return os.path.getsize(log) if os.path.exists(log) else 0

    def ours():
        before = size()
        result = bench.ctl("start", "line")
        began = time.perf_counter()
        while size() == before:
            if time.perf_counter() - began > 10:
                raise RuntimeError("no line of init on the console")
        result["ms"] += (time.perf_counter() - began) * 1000
        result["cpu_ms"] = 0  # the client's only
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
        if os.path.exists(path):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(path)
        listener.settimeout(60)
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


# --- many ---

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
    tenth = max(count // 20, 10)
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


# --- the OCI runtime ---

def with_vpsrun(bench):
    path = os.environ.get("VPSRUN", bench.bin + "/vpsrun")
    return dict(bench.runtimes, vpsrun=path) if os.access(path, os.X_OK) else None


def oci_run(bench):
    """`run` of true in a fresh container"""
    runtimes = with_vpsrun(bench)
    if runtimes is None:
        yield {"case": "oci-run", "table": "### oci-run\n\nnot run: vpsrun is not part of this build (VPSRUN=/path names another one)\n"}
        return
    bundle = bench.bundle(["/bin/true"], "true")
    yield OciCase("oci-run, true", bench.rounds).measure({
        name: lambda name=name, path=path: must(bench.pure.run([path, "run", "--bundle", bundle, bench.fresh(name)]), "run") for name, path in runtimes.items()})


def oci_exec(bench):
    """`exec` of true in a running container"""
    runtimes = with_vpsrun(bench)
    if runtimes is None:
        yield {"case": "oci-exec", "table": "### oci-exec\n\nnot run: vpsrun is not part of this build (VPSRUN=/path names another one)\n"}
        return
    candidates, running = {}, []
    for name, path in runtimes.items():
        container = bench.fresh(name)
        started = bench.pure.run([path, "run", "--bundle", bench.bundle(LINE, "line"), container], until=MARK)
        running.append((path, container, started["pid"]))
        candidates[name] = lambda path=path, container=container: must(bench.pure.run([path, "exec", container, "/bin/true"]), "exec")
    yield OciCase("oci-exec, true", bench.rounds).measure(candidates)
    for path, container, process in running:
        bench.pure.run([path, "delete", "-f", container])
        bench.pure.run([], reap=process)


class OciCase(harness.Case):
    def table(self, reference="vpsrun"):
        return super().table(reference)


CASES = {"vps-start": vps_start, "vps-start-systemd": vps_start_systemd, "vps-exec": vps_exec, "vps-enter": vps_enter, "oci-run": oci_run, "oci-exec": oci_exec,
         "list-1000": list_1000, "density": density, "network": net.network}
