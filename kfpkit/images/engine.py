"""The Docker engine: found, or on a bare Debian machine installed and started."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import KitError
from kfpkit.core.waiting import wait_for
from kfpkit.images import runc_bounded

if TYPE_CHECKING:
    from collections.abc import Callable

#: Label that holds the content address of an image's inputs.
INPUTS_LABEL = "kfpkit.inputs"

LOG = Path("/var/log/kfpkit-dockerd.log")

#: There where systemd starts the services.
SYSTEMD = Path("/run/systemd/system")

#: Where the runtime wrapper is installed; it must outlive the checkout.
WRAPPER = Path("/usr/local/libexec/kfpkit-runc-bounded")


def answers() -> bool:
    """Whether a Docker engine answers."""
    # The cheapest question; `docker info` has the engine gather all that it knows.
    return process.query(["docker", "ps", "--quiet", "--last=1"], check=False, timeout=30).ok


def version() -> str:
    """Return the engine's version, or an empty text when none answers."""
    asked = process.query(
        ["docker", "version", "--format", "{{.Server.Version}}"], check=False, timeout=30
    )
    return asked.stdout.strip() if asked.ok else ""


def machine() -> str:
    """Return the engine's processor architecture by Linux's name, for example `x86_64`.

    Raises:
        CommandError: No engine answers.
    """
    said = process.query(["docker", "version", "--format", "{{.Server.Arch}}"]).stdout.strip()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(said, said)


def inputs_of(reference: str) -> str:
    """Return the content address an image in the engine was built from, or an empty text."""
    template = f'{{{{index .Config.Labels "{INPUTS_LABEL}"}}}}'
    seen = process.query(
        ["docker", "image", "inspect", "--format", template, reference], check=False
    )
    return seen.stdout.strip() if seen.ok else ""


def has(reference: str) -> bool:
    """Whether an image is in the engine."""
    return process.query(["docker", "image", "inspect", reference], check=False).ok


def remove_replaced() -> None:
    """Remove the kit's own images that lost their name to a newer one and serve nothing."""
    argv = ["docker", "image", "prune", "--force", "--filter", f"label={INPUTS_LABEL}"]
    process.run(argv, check=False)


def ensure(confirm: Callable[[str], bool] | None = None) -> None:
    """Make sure that a Docker engine answers; install and start one where that is ours to do.

    Args:
        confirm: Asked before one is installed; None where nobody can be asked. One that is
            installed is started without a question.

    Raises:
        KitError: None answers, and this is no Debian machine, we are not root, or the user did not
            agree.
    """
    if answers():
        return
    if not _may_install():
        raise KitError(
            "no Docker engine answers",
            "Start Docker, or install it (https://docs.docker.com/engine/install); "
            "on Debian the kit does both when run as root with YES=1",
        )
    if not shutil.which("dockerd"):
        install_if_agreed(["docker.io", "iptables"], confirm)
    if SYSTEMD.is_dir():
        process.run(["systemctl", "start", "docker"])
    else:
        _start_by_hand()
    if not process.dry_run():
        wait_for(
            "the Docker engine",
            lambda: None if answers() else "no answer yet",
            timeout=60,
            do=f"Its log is {LOG}",
        )


def install_if_agreed(packages: list[str], confirm: Callable[[str], bool] | None) -> None:
    """Install Debian packages once the user has agreed; in a dry run nobody is asked.

    Raises:
        KitError: As `install`, or the user did not agree; then nothing has changed.
    """
    names = " ".join(packages)
    question = f"Install Debian's packages {names} on this machine?"
    if _may_install() and not process.dry_run() and not (confirm and confirm(question)):
        raise KitError(
            f"this machine lacks Debian's packages {names}, and installing them was not agreed to",
            f"YES=1 agrees; by hand: apt-get install {names}",
        )
    install(packages)


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: list[str]) -> None:
    """Install Debian packages; only as root on Debian.

    Raises:
        KitError: We may not, or it failed.
    """
    if not _may_install():
        names = " ".join(packages)
        raise KitError(
            f"these Debian packages are needed: {names}", f"As root: apt-get install {names}"
        )
    process.run(["apt-get", "update", "--quiet"])
    process.run(
        ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages],
        env={"DEBIAN_FRONTEND": "noninteractive"},
    )


def _start_by_hand() -> None:
    """Start dockerd in the background, without systemd."""
    argv = ["dockerd"]
    missing = runc_bounded.missing_capabilities()
    if missing:
        console.say(
            f"this machine withholds {', '.join(sorted(missing))}: containers are started "
            f"without it, by {WRAPPER}"
        )
        _install_wrapper()
        argv += ["--add-runtime", f"bounded={WRAPPER}", "--default-runtime", "bounded"]
    console.say(f"$ {process.line(argv)} >>{LOG} 2>&1 &")
    if not process.dry_run():
        process.start(argv, log=LOG, detach=True)


def _install_wrapper() -> None:
    if process.dry_run():
        return
    source = Path(runc_bounded.__file__).read_text(encoding="utf-8")
    interpreter = Path(sys.executable).resolve()
    part = WRAPPER.with_suffix(".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(f"#!{interpreter} -I\n{source}", encoding="utf-8")
    part.chmod(0o755)
    part.rename(WRAPPER)
