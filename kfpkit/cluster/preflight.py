"""What this machine must offer before a cluster is made: one line for each check."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from kfpkit.core import process
from kfpkit.core.findings import Finding, Verdict, fault, ok, warning
from kfpkit.images import engine, runc_bounded

#: kind's advice against "too many open files" in clusters with many pods
#: (https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files).
INOTIFY = {"max_user_instances": 512, "max_user_watches": 524288}

#: Bytes. A node with KFP's images takes about 9 GiB, building them all 17 more; both measured.
DISK_NEEDED = 10 * 2**30
DISK_NEEDED_TO_BUILD = 28 * 2**30

#: Bytes. KFP and its stores idle at 0.5 GiB beside Kubernetes' 1.2; runs come on top.
MEMORY_NEEDED = 4 * 2**30

#: The oldest Docker engine the kit is tested with.
DOCKER_NEEDED = (20, 10)

INOTIFY_FOLDER = Path("/proc/sys/fs/inotify")


def all_checks(ports: list[int], *, build: bool) -> list[Finding]:
    """Look at everything a cluster needs; `ports` are to be published on this machine.

    Args:
        ports: Ports of 127.0.0.1 that must be free.
        build: Whether images must be built first, which takes more disk.
    """
    return [
        docker(engine.version()),
        capabilities(runc_bounded.missing_capabilities(), _default_runtime())
        if Path("/proc/self/status").exists()
        else ok("the engine runs in a machine of its own", subject="capabilities"),
        cgroup(is_v2=Path("/sys/fs/cgroup/cgroup.controllers").exists()),
        *inotify(_inotify_limits()),
        disk(_free_disk(), build=build),
        memory(_memory()),
        *(port(number, free=_is_free(number)) for number in ports),
    ]


def docker(found: str) -> Finding:
    """Judge the engine's version, empty when none answers."""
    if not found:
        return fault("no engine answers", "Start Docker and try again", subject="Docker")
    numbers = found.split("+")[0].split("-")[0].split(".")
    try:
        new_enough = tuple(int(n) for n in numbers[:2]) >= DOCKER_NEEDED
    except ValueError:
        return warning(f"engine {found}", "Its version cannot be read", subject="Docker")
    if new_enough:
        return ok(f"engine {found}", subject="Docker")
    return fault(f"engine {found}", "Update to Docker 20.10 or newer", subject="Docker")


def capabilities(missing: set[str], default_runtime: str) -> Finding:
    """Judge whether the engine can start kind's privileged containers."""
    if not missing:
        return ok("complete", subject="capabilities")
    names = ", ".join(sorted(missing))
    if default_runtime == "bounded":
        return ok(f"without {names}, which the engine's runtime leaves out", subject="capabilities")
    return warning(
        f"this process lacks {names}",
        "Fine if the engine has them; else start it as `kfpkit cluster up` does on Debian",
        subject="capabilities",
    )


def cgroup(*, is_v2: bool) -> Finding:
    """Judge the cgroup version: Kubernetes runs on both up to 1.34."""
    if is_v2:
        return ok("version 2", subject="cgroup")
    return ok("version 1, which Kubernetes 1.34 still supports", subject="cgroup")


def inotify(found: dict[str, int]) -> list[Finding]:
    """Judge the kernel's limits on watching files."""
    checks = []
    for name, needed in INOTIFY.items():
        have = found.get(name)
        if have is None or have >= needed:
            checks.append(
                ok("not limited" if have is None else f"{have}", subject=f"inotify {name}")
            )
        else:
            command = f"sysctl --write fs.inotify.{name}={needed}"
            checks.append(
                warning(
                    f"{have}, kind advises {needed}",
                    f"As root: {command}",
                    subject=f"inotify {name}",
                )
            )
    return checks


def disk(free: int, *, build: bool) -> Finding:
    """Judge the free bytes where Docker keeps its data."""
    needed = DISK_NEEDED_TO_BUILD if build else DISK_NEEDED
    found = f"{free / 2**30:.0f} GiB free"
    if free >= needed:
        return ok(found, subject="disk")
    return fault(found, f"Free {(needed - free) / 2**30:.0f} GiB more", subject="disk")


def memory(total: int) -> Finding:
    """Judge the bytes of memory of this machine."""
    found = f"{total / 2**30:.0f} GiB"
    if total >= MEMORY_NEEDED:
        return ok(found, subject="memory")
    return fault(found, f"A cluster needs {MEMORY_NEEDED / 2**30:.0f} GiB", subject="memory")


def port(number: int, *, free: bool) -> Finding:
    """Judge a port to be published."""
    if free:
        return ok("free", subject=f"port {number}")
    return fault(
        "in use",
        "End the program that uses it, or change hostPort in kind-config.yaml",
        subject=f"port {number}",
    )


def raise_inotify(checks: list[Finding]) -> None:
    """As root on Linux, raise the limits that were found too low; the commands are printed."""
    if os.geteuid() != 0:
        return
    for name, needed in INOTIFY.items():
        if any(c.subject == f"inotify {name}" and c.verdict is Verdict.WARNING for c in checks):
            process.run(["sysctl", "--write", f"fs.inotify.{name}={needed}"], check=False)


def _inotify_limits() -> dict[str, int]:
    if not INOTIFY_FOLDER.is_dir():
        return {}
    return {name: int((INOTIFY_FOLDER / name).read_text()) for name in INOTIFY}


def _default_runtime() -> str:
    said = process.query(["docker", "info", "--format", "{{.DefaultRuntime}}"], check=False)
    return said.stdout.strip()


def _free_disk() -> int:
    said = process.query(["docker", "info", "--format", "{{.DockerRootDir}}"], check=False)
    folder = Path(said.stdout.strip() or "/")
    return shutil.disk_usage(folder if folder.is_dir() else "/").free


def _memory() -> int:
    said = process.query(["docker", "info", "--format", "{{.MemTotal}}"], check=False)
    return int(said.stdout.strip() or 0) if said.ok else os.sysconf("SC_PHYS_PAGES") * 4096


def _is_free(number: int) -> bool:
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True
