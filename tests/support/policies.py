"""Which overlays have network policies."""

from __future__ import annotations

import yaml

from tests.support.renders import SUBJECTS


def options_of(name: str) -> set[str]:
    kustomization = yaml.safe_load((SUBJECTS[name] / "kustomization.yaml").read_text())
    return {path.rsplit("/", 1)[1] for path in kustomization["components"]}


def has_policies(name: str) -> bool:
    return "network-policies" in options_of(name)


WITH_POLICIES = [name for name in SUBJECTS if has_policies(name)]
