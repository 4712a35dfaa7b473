"""What the package imports is what it declares: a wheel brings nothing else."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from kfpkit.core.versions import ROOT

#: Packages that others bring for certain: kfp, jinja2 and requests, whose types they are.
BROUGHT = {"googleapis-common-protos", "kfp-pipeline-spec", "markupsafe", "protobuf", "urllib3"}

#: Where an extra, or the image that has them, brings more.
MORE = {
    "vertex": {
        "google-api-core", "google-auth", "google-cloud-aiplatform", "google-cloud-storage",
    },
}  # fmt: skip


def test_every_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *groups["warm-driver"]]
    declared = {re.split(r"[^\w-]", text)[0].lower() for text in wanted} | BROUGHT
    owners = packages_distributions()
    for file in (ROOT / "kfpkit").rglob("*.py"):
        part = file.relative_to(ROOT / "kfpkit").parts[0]
        if part == "new":  # its skeletons are a user's
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in {name.partition(".")[0] for name in names}:
                if name in ("kfpkit", "components", "pipelines") or name in sys.stdlib_module_names:
                    continue
                brought = {owner.lower().replace("_", "-") for owner in owners.get(name, [name])}
                assert brought & (declared | MORE.get(part, set())), f"{file}: {name}"
