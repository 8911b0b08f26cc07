"""The cases by name."""
from cases_many import daemon_restart, density, kernel_memory, list_1000
from cases_oci import oci_exec, oci_many, oci_run
from cases_vps import vps_delete, vps_enter, vps_exec, vps_start, vps_start_busybox, vps_start_systemd
from net import net_start, network
from world import Bench

CASES = {"oci-run": oci_run, "oci-exec": oci_exec, "oci-many": oci_many, "vps-start": vps_start, "vps-start-busybox": vps_start_busybox,
         "vps-start-systemd": vps_start_systemd, "vps-delete": vps_delete, "vps-exec": vps_exec, "vps-enter": vps_enter, "list-1000": list_1000,
         "density": density, "kernel-memory": kernel_memory, "daemon-restart": daemon_restart, "net-start": net_start, "network": network}

# Without names: each once.
DEFAULT = [name for name in CASES if not name.startswith("vps-start-")]

__all__ = ["Bench", "CASES", "DEFAULT"]
