"""Makes the root file system of the Debian base image with debootstrap."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from kfpkit.core.errors import KitError
from kfpkit.images import engine

if TYPE_CHECKING:
    from kfpkit.images.builder import Build

#: Parts of a minimal system that only people read.
UNREAD = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")


def prepare(build: Build) -> None:
    """Write `rootfs.tar` into the context.

    Raises:
        KitError: We are not root, which debootstrap needs to make device files and owners.
    """
    if os.geteuid() != 0:
        raise KitError("debootstrap needs root", "Run `make images` as root")
    if not shutil.which("debootstrap"):
        engine.install(["debootstrap"])
    suite = (build.recipe.args or {})["SUITE"]
    mirror = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
    security = os.environ.get("DEBIAN_SECURITY_MIRROR", "http://deb.debian.org/debian-security")
    root = build.work / "rootfs"
    argv = ["debootstrap", "--variant=minbase", "--include=ca-certificates,tzdata"]
    build.run([*argv, suite, str(root), mirror])
    (root / "etc/apt/sources.list").write_text(
        f"deb {mirror} {suite} main\n"
        f"deb {mirror} {suite}-updates main\n"
        f"deb {security} {suite}-security main\n",
        encoding="utf-8",
    )
    for folder in UNREAD:
        shutil.rmtree(root / folder, ignore_errors=True)
    for folder in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
        for file in (root / folder).rglob("*"):
            if file.is_file():
                file.unlink()
    build.run(["tar", "-C", str(root), "-cf", str(build.context / "rootfs.tar"), "."])
