"""Components from their ComponentSpec YAML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from kfp.components import load_component_from_text

from components.image import RUNTIME_IMAGE

if TYPE_CHECKING:
    from kfp.dsl.yaml_component import YamlComponent

FOLDER = Path(__file__).resolve().parent


def load(name: str) -> YamlComponent:
    """Return the component in `components/NAME/component.yaml`, with the runtime image put in.

    Args:
        name: The component's folder.
    """
    specification = yaml.safe_load((FOLDER / name / "component.yaml").read_text(encoding="utf-8"))
    specification["implementation"]["container"]["image"] = RUNTIME_IMAGE
    return load_component_from_text(yaml.safe_dump(specification, sort_keys=False))
