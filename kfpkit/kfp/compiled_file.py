"""Reading a compiled pipeline from its file, and saying what else a file is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from kfpkit.core.errors import BadInputError

if TYPE_CHECKING:
    from pathlib import Path

#: How the names of compiled pipelines end.
SUFFIXES = (".yaml", ".yml", ".json")

#: The schema of the IR that kfp 2 writes and KFP 2 reads.
SCHEMA = "2.1."

#: What a file is that a key gives away, and what to do with it.
_OTHERS = {
    "implementation": (
        "a component, not a pipeline",
        "Use it in a pipeline: kfp.components.load_component_from_file",
    ),
    "apiVersion": (
        "a Kubernetes object, as kfp 1 compiled pipelines to Argo Workflows, and no IR of kfp 2",
        "Compile the pipeline with kfp 2",
    ),
}


def read(file: Path) -> str:
    """Return the text of a compiled pipeline, its byte order mark and line ends as they are.

    Raises:
        BadInputError: It cannot be read, or is not in UTF-8.
    """
    try:
        return file.read_bytes().decode()
    except OSError as error:
        raise BadInputError(f"{file} cannot be read: {error.strerror}", "Name another") from None
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{file} is not in UTF-8: byte {error.start}", "Compile the pipeline again"
        ) from None


def parse(file: Path, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a compiled pipeline's IR, and what it says for platforms (empty where it does not).

    A PipelineJob, as Vertex AI has it, stands for the IR in it.

    Args:
        file: Is named in errors; what ends in `.json` is JSON.
        text: What it holds.

    Raises:
        BadInputError: It is no compiled pipeline of kfp 2.
    """
    documents = _documents(file, text.removeprefix("\ufeff"))
    specs = [one for one in documents if not _is_platform(one)]
    platforms = [one for one in documents if _is_platform(one)]
    if len(specs) != 1 or len(platforms) > 1:
        raise BadInputError(
            f"{file} has {len(specs)} documents with a pipeline and {len(platforms)} for platforms",
            "Name a file with one pipeline",
        )
    spec = specs[0]
    _check(file, spec)
    return spec, platforms[0] if platforms else {}


def _documents(file: Path, text: str) -> list[dict[str, Any]]:
    try:
        if file.suffix == ".json" and text.strip():
            found = [json.loads(text)]
        else:
            found = [one for one in yaml.load_all(text, yaml.CSafeLoader) if one is not None]
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        form = "JSON" if file.suffix == ".json" else "YAML"
        said = " ".join(str(error).split())
        raise BadInputError(f"{file} is no {form}: {said}", "Compile the pipeline again") from None
    if not found:
        raise BadInputError(f"{file} is empty", "Compile the pipeline again")
    for one in found:
        if not isinstance(one, dict):
            raise BadInputError(f"{file} is no compiled pipeline", "Name what kfp 2 compiled")
    return [_inside(one) for one in found]


def _inside(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document, or the IR that a PipelineJob carries."""
    inside = document.get("pipelineSpec")
    return inside if isinstance(inside, dict) else document


def _is_platform(document: dict[str, Any]) -> bool:
    return "platforms" in document


def _check(file: Path, spec: dict[str, Any]) -> None:
    for key, (what, do) in _OTHERS.items():
        if key in spec:
            raise BadInputError(f"{file} is {what}", do)
    info = spec.get("pipelineInfo")
    if not isinstance(info, dict) or not info.get("name") or not isinstance(spec.get("root"), dict):
        raise BadInputError(
            f"{file} is no compiled pipeline: it has no pipelineInfo with a name, or no root",
            "Name what kfp 2 compiled",
        )
    schema = str(spec.get("schemaVersion"))
    if not schema.startswith(SCHEMA):
        raise BadInputError(
            f"{file} has the schema {schema} of {spec.get('sdkVersion', 'an unknown SDK')}, and "
            f"Kubeflow Pipelines 2 reads {SCHEMA}0",
            "Compile the pipeline with kfp 2",
        )
    if "dag" not in spec["root"] or not spec["root"]["dag"].get("tasks"):
        raise BadInputError(f"{file} has no tasks", "Name what kfp 2 compiled")
