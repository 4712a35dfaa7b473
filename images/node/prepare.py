"""Brings kind's node files and the two default manifests into the node image's context."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from kfpkit.core import process
from kfpkit.core.errors import KitError
from kfpkit.images import recipe

if TYPE_CHECKING:
    from kfpkit.images.builder import Build

KIND = "sigs.k8s.io/kind"
CALICO = "github.com/projectcalico/calico"


def prepare(build: Build) -> None:
    """Write `kind/files` (systemd units, entrypoint) and `manifests` into the context.

    Both come from the modules' own folders, as their go.sum has them. Calico's resource
    definitions go before the kit's manifest.
    """
    kind = _module(build, KIND, recipe.IMAGES / "node/go")
    shutil.copytree(kind / "images/base/files", build.context / "kind/files")
    for file in (build.context / "kind/files").rglob("*"):
        # Modules are read-only and know no executable files.
        file.chmod(0o755 if file.is_dir() or "bin" in file.parts[-2:] else 0o644)
    calico = _module(build, CALICO, recipe.IMAGES / "calico/go")
    parts = sorted((calico / "libcalico-go/config/crd").glob("*.yaml"))
    definitions = [file.read_text(encoding="utf-8") for file in parts]
    manifests = build.context / "manifests"
    manifests.mkdir()
    for name in ("default-cni.yaml", "default-storage.yaml"):
        text = _pinned((build.context / "files" / name).read_text(encoding="utf-8"), build)
        before = definitions if name == "default-cni.yaml" else []
        (manifests / name).write_text("\n---\n".join([*before, text]), encoding="utf-8")


def _module(build: Build, path: str, folder: Path) -> Path:
    """Return the folder of a module that the go.mod in `folder` requires."""
    argv = ["go", "mod", "download", "-json", path]
    said = process.query(argv, cwd=folder, env=build.go_env).stdout
    return Path(json.loads(said)["Dir"])


def _pinned(text: str, build: Build) -> str:
    """Give every image `NAME:unpinned` of a manifest the tag that its recipe builds."""
    names = {
        reference.rpartition(":")[0]: reference
        for name in build.recipe.archives
        for reference in recipe.load(recipe.IMAGES / name).references
    }

    def pin(match: re.Match[str]) -> str:
        if match[1] not in names:
            raise KitError(f"the node image holds no {match[1]}", "Add it to archives")
        return names[match[1]]

    return re.sub(r"([\w./-]+):unpinned", pin, text)
