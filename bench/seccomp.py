"""podman's seccomp profile for config.json, and compiled for the floor."""
import ctypes
import json
import os
import platform

PROFILES = ("/usr/share/containers/seccomp.json", "/etc/containers/seccomp.json")
ARCHITECTURES = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID",
                "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"]
ACTIONS = {"SCMP_ACT_ALLOW": 0x7FFF0000, "SCMP_ACT_ERRNO": 0x00050000}
OPERATORS = {name: number for number, name in enumerate(
    ("SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"), 1)}
CTL_OPTIMIZE, EPERM = 8, 1


def podman_profile():
    """linux.seccomp as podman writes it for its default capabilities on this machine; None without podman's file."""
    path = next((path for path in PROFILES if os.path.exists(path)), None)
    if path is None or platform.machine() != "x86_64":
        return None
    with open(path, encoding="utf-8") as file:
        profile = json.load(file)
    rules = []
    for rule in profile["syscalls"]:
        wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
        if "amd64" not in wanted.get("arches", ["amd64"]) or "amd64" in unwanted.get("arches", []):
            continue
        if not set(wanted.get("caps", [])) <= set(CAPABILITIES) or set(unwanted.get("caps", [])) & set(CAPABILITIES):
            continue
        rules.append({key: rule[key] for key in ("names", "action", "errnoRet", "args") if rule.get(key)})
    return {"defaultAction": profile["defaultAction"], "defaultErrnoRet": profile["defaultErrnoRet"], "architectures": ARCHITECTURES, "syscalls": rules}


class Condition(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def compile_profile(profile, path):
    """The instructions that seccomp(2) takes, into a file."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p

    def action(rule, errno_key):
        value = ACTIONS[rule["defaultAction" if errno_key == "defaultErrnoRet" else "action"]]
        return value | (rule.get(errno_key, EPERM) if value == ACTIONS["SCMP_ACT_ERRNO"] else 0)

    default = action(profile, "defaultErrnoRet")
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(default)))
    library.seccomp_attr_set(context, CTL_OPTIMIZE, 2)
    for name in profile["architectures"]:
        library.seccomp_arch_add(context, library.seccomp_arch_resolve_name(name[len("SCMP_ARCH_"):].lower().encode()))
    for rule in profile["syscalls"]:
        conditions = (Condition * len(rule.get("args", [])))(
            *(Condition(arg["index"], OPERATORS[arg["op"]], arg["value"], arg.get("valueTwo", 0)) for arg in rule.get("args", [])))
        for name in rule["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number != -1 and action(rule, "errnoRet") != default:
                library.seccomp_rule_add_array(context, ctypes.c_uint32(action(rule, "errnoRet")), number, len(conditions), conditions)
    with open(path, "wb") as file:
        if library.seccomp_export_bpf(context, file.fileno()) != 0:
            raise RuntimeError("libseccomp cannot export podman's profile")
    library.seccomp_release(context)
