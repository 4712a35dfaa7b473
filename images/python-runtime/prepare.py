"""Adds the kfp package and the kit's components to the runtime image's build context."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from kfpkit.images.builder import uv
from kfpkit.process import query
from kfpkit.versions import ROOT

if TYPE_CHECKING:
    from kfpkit.images.builder import Build

#: One requirement with its hashes, as uv exports it.
KFP = re.compile(r"^kfp==.*(?:\n    --hash=.*)+", re.MULTILINE)


def prepare(build: Build) -> None:
    """Put `kfp/` and `components/` into the context.

    kfp comes without what it depends on: inside a task only its executor runs, which needs none of
    that, and KFP itself installs it so where an image lacks it.
    """
    argv = [uv(), "export", "--quiet", "--frozen", "--no-default-groups", "--no-annotate"]
    locked = KFP.search(query(argv, cwd=ROOT).stdout)
    if locked is None:
        raise ValueError("uv.lock has no kfp")
    requirement = build.work / "kfp.txt"
    requirement.write_text(locked[0] + "\n", encoding="utf-8")
    argv = [uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--link-mode=copy"]
    target = str(build.context / "kfp")
    build.run([*argv, "--target", target, "--requirement", str(requirement)])
    shutil.copytree(
        ROOT / "components",
        build.context / "components",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
