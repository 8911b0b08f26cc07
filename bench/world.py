"""What the cases run in: a vpsd of their own, root file systems and bundles for the peers, processes that start commands."""
import json
import os
import shutil
import signal
import subprocess
import time

import harness
import seccomp

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

    def __init__(self, build, rounds, counts, containers=200, restart_count=500):
        self.bin, self.floor_path = build + "/bin", build + "/bench/floor"
        self.rounds, self.counts, self.containers, self.restart_count = rounds, counts, containers, restart_count
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
        self.own_network = False  # whether vpsd starts in a network namespace of its own
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
        listener = harness.notify_socket(path, timeout=120)
        with open(self.root + "/vpsd.log", "ab") as log:
            began = time.perf_counter()
            inside = ["unshare", "--net"] if self.own_network else []
            self.vpsd = subprocess.Popen([*inside, self.bin + "/vpsd", "--config", self.root + "/etc/vpsd.yaml"], stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, env=dict(os.environ, NOTIFY_SOCKET=path))
            while b"READY=1" not in listener.recv(4096):
                pass
        listener.close()
        return time.perf_counter() - began

    def stop_vpsd(self):
        if self.vpsd is not None:
            self.vpsd.send_signal(signal.SIGTERM)
            self.vpsd.wait()

    def vpsd_cpu_ms(self):
        """CPU time of vpsd's threads that live."""
        used = 0
        for task in os.listdir(f"/proc/{self.vpsd.pid}/task"):
            try:
                with open(f"/proc/{self.vpsd.pid}/task/{task}/schedstat", encoding="ascii") as file:
                    used += int(file.read().split()[0])
            except OSError:
                continue
        return used / 1e6

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

    def oci_rootfs(self):
        """busybox and mount points: all that the OCI bundles need."""
        path = f"{self.root}/rootfs-oci"
        if not os.path.isdir(path):
            for directory in ("bin", "proc", "sys", "dev", "tmp", "etc"):
                os.makedirs(f"{path}/{directory}")
            shutil.copy(shutil.which("busybox"), path + "/bin/busybox")
            for name in ("true", "sleep", "sh", "echo"):
                os.symlink("busybox", f"{path}/bin/{name}")
        return path

    def seccomp_bytes(self):
        """File with podman's profile compiled, or None."""
        path, profile = f"{self.root}/podman.bpf", seccomp.podman_profile()
        if profile is not None and not os.path.exists(path):
            seccomp.compile_profile(profile, path)
        return path if profile is not None else None

    def bundle(self, args, name):
        path = f"{self.root}/bundle-{name}"
        if not os.path.isdir(path):
            os.makedirs(path)
            subprocess.run([shutil.which("runc") or self.bin + "/vpsrun", "spec", "-b", path], check=True)
            with open(path + "/config.json", encoding="utf-8") as file:
                spec = json.load(file)
            spec["process"].update(args=args, terminal=False)
            # Without CAP_SYS_RESOURCE crun cannot load a device filter nor podman raise a limit; none of them has one then.
            spec["process"].pop("rlimits", None)
            spec["linux"].pop("resources", None)
            spec["root"] = {"path": self.oci_rootfs(), "readonly": False}
            spec["process"]["capabilities"] = {key: seccomp.CAPABILITIES for key in ("bounding", "effective", "permitted")}
            profile = seccomp.podman_profile()
            if profile is not None:
                spec["linux"]["seccomp"] = profile
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
