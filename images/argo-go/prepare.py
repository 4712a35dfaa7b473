"""Adds the one file that the archive of the Argo Workflows module lacks.

In Argo's repository `signal_linux.go` is a symbolic link to `signal_darwin.go`, and a Go module
archive holds no links. Go refuses to replace files in its module cache, so the module is vendored
(go.sum is checked on the way) and the file put in there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kfpkit.images.builder import Build

SIGNALS = "vendor/github.com/argoproj/argo-workflows/v3/workflow/executor/os-specific"


def prepare(build: Build) -> None:
    """Make the `vendor` folder in the copy of the module's folder."""
    module = build.go[0]
    build.run(["go", "mod", "vendor"], cwd=module, env=build.go_env)
    signals = module / SIGNALS
    same = (signals / "signal_darwin.go").read_text(encoding="utf-8")
    (signals / "signal_linux.go").write_text(same, encoding="utf-8")
