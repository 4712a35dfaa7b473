"""Runs runc without the capabilities that this machine withholds from everybody.

Where the bounding set lacks a capability (a container or virtual machine with reduced rights),
`docker run --privileged`, which kind uses, asks runc for it and runc fails with "unable to apply
caps". As Docker's default runtime this program takes the missing ones out of what runc is asked
for (`config.json` of a bundle, the process file of an exec), then becomes runc. It is copied to a
place of its own and run by a bare Python, so it imports nothing of the kit.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

#: Capabilities by bit number, from linux/capability.h.
_NUMBERED = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
NAMES = tuple(_NUMBERED.split())


def missing_capabilities(status: str | None = None, last: int | None = None) -> set[str]:
    """Return the capabilities the kernel knows and the bounding set lacks.

    Args:
        status: Text of `/proc/self/status`; default this process's.
        last: Number of the kernel's last capability; default this kernel's.
    """
    if status is None:
        status = Path("/proc/self/status").read_text()
    if last is None:
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    bounding = next(int(x.split()[1], 16) for x in status.splitlines() if x.startswith("CapBnd:"))
    return {
        f"CAP_{name}" for bit, name in enumerate(NAMES) if bit <= last and not bounding >> bit & 1
    }


def without(process: dict[str, Any], missing: set[str]) -> dict[str, Any]:
    """Return an OCI process description with the missing capabilities left out of every set."""
    sets = process.get("capabilities") or {}
    kept = {kind: [c for c in names if c not in missing] for kind, names in sets.items()}
    return {**process, "capabilities": kept}


def _value(arguments: list[str], *options: str) -> str | None:
    for number, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in options:
            return value if equals else arguments[number + 1]
    return None


def _rewrite(file: Path, missing: set[str], *, whole: bool) -> None:
    data = json.loads(file.read_text())
    changed = {**data, "process": without(data["process"], missing)} if whole else None
    file.write_text(json.dumps(changed or without(data, missing)))


def main(arguments: list[str]) -> None:
    """Take the missing capabilities out of the request, then become runc."""
    missing = missing_capabilities()
    bundle = _value(arguments, "--bundle", "-b")
    if bundle and {"create", "run"} & set(arguments):
        _rewrite(Path(bundle) / "config.json", missing, whole=True)
    process_file = _value(arguments, "--process", "-p")
    if process_file and "exec" in arguments:
        _rewrite(Path(process_file), missing, whole=False)
    os.execvp("runc", ["runc", *arguments])  # noqa: S606, S607


if __name__ == "__main__":
    main(sys.argv[1:])
