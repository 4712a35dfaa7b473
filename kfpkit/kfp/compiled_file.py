"""Reading a compiled pipeline from its file, and saying what else a file is."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import yaml

from kfpkit.core import console
from kfpkit.core.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How the names of compiled pipelines end.
SUFFIXES = (".yaml", ".yml", ".json")

#: The schema of the IR that kfp 2 writes, and the only one that Kubeflow Pipelines 2 reads.
SCHEMA = "2.1.0"

_NO_TEXTS = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}


class Loader(yaml.CSafeLoader):
    """Reads dates, and `=`, as the texts that they are, as a server does."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in all_ if tag not in _NO_TEXTS]
    for first, all_ in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}

#: How JSON may write characters beyond the first 65,536; as YAML a server cannot read that.
_SURROGATES = re.compile(r"\\u[dD][89abAB]")

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


def read_pipeline(file: Path) -> str:
    """Return a compiled pipeline as a server of Kubeflow Pipelines takes it.

    That is the text of the file; of a PipelineJob, as Vertex AI has it, the pipeline in it, whose
    defaults are the job's parameters; and of JSON what YAML cannot read is written in another way.

    Raises:
        BadInputError: It cannot be read, or is not in UTF-8.
    """
    text = read(file)
    job = _documents(file, text)[0]
    spec = job.get("pipelineSpec")
    if not isinstance(spec, dict):
        if not (file.suffix == ".json" and _SURROGATES.search(text)):
            return text
        console.say(f"{file} has characters that YAML writes in another way: writing them so")
        return json.dumps(job, ensure_ascii=False)
    given = _inside(job, "runtimeConfig", "parameterValues")
    declared = _inside(spec, "root", "inputDefinitions", "parameters")
    for name in set(given) & set(declared):
        if isinstance(declared[name], dict):
            declared[name]["defaultValue"] = given[name]
    also = " with its parameters as defaults" if given else ""
    console.say(f"{file} is a PipelineJob: taking its pipeline{also}")
    return yaml.safe_dump(spec, allow_unicode=True)


def is_json(file: Path, text: str) -> bool:
    """Whether a file's text is read as JSON: of a PipelineJob, `read_pipeline` makes YAML."""
    return file.suffix == ".json" and text.removeprefix("\ufeff").lstrip().startswith("{")


def parse(file: Path, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a compiled pipeline's IR, and what it says for platforms (empty where it does not).

    Args:
        file: Is named in errors; a text that begins with a brace is read as JSON.
        text: What `read_pipeline` returned.

    Raises:
        BadInputError: It is no compiled pipeline of kfp 2.
    """
    documents = _documents(file, text)
    specs = [one for one in documents if "platforms" not in one]
    platforms = [one for one in documents if "platforms" in one]
    for one in specs:
        _check(file, one)
    if len(specs) != 1 or len(platforms) > 1:
        raise BadInputError(
            f"{file} has {len(specs)} documents with a pipeline and {len(platforms)} for platforms",
            "Name a file with one pipeline",
        )
    return specs[0], platforms[0] if platforms else {}


def _documents(file: Path, text: str) -> list[dict[str, Any]]:
    text = text.removeprefix("\ufeff")
    json_ = is_json(file, text)
    try:
        found = [json.loads(text)] if json_ else list(yaml.load_all(text, Loader))
    except (AttributeError, LookupError, ValueError, yaml.YAMLError, RecursionError) as error:
        said = " ".join(str(error).replace('in "<unicode string>", ', "").split())
        raise BadInputError(
            f"{file} is no {'JSON' if json_ else 'YAML'}: {said}", "Compile the pipeline again"
        ) from None
    found = [one for one in found if one is not None]
    if not found:
        raise BadInputError(f"{file} is empty", "Compile the pipeline again")
    if not all(isinstance(one, dict) for one in found):
        raise BadInputError(f"{file} is no compiled pipeline", "Name what kfp 2 compiled")
    return found


def _check(file: Path, spec: dict[str, Any]) -> None:
    for key, (what, do) in _OTHERS.items():
        if key in spec:
            raise BadInputError(f"{file} is {what}", do)
    info, root = spec.get("pipelineInfo"), spec.get("root")
    if not isinstance(info, dict) or not info.get("name") or not isinstance(root, dict):
        raise BadInputError(
            f"{file} is no compiled pipeline: it has no pipelineInfo with a name, or no root",
            "Name what kfp 2 compiled",
        )
    schema = str(spec.get("schemaVersion", "none"))
    if schema != SCHEMA:
        raise BadInputError(
            f"{file} has the schema {schema} (compiled by {spec.get('sdkVersion', 'nobody knows')})"
            f", and Kubeflow Pipelines 2 reads {SCHEMA} alone",
            "Compile the pipeline with kfp 2",
        )
    if not _inside(root, "dag", "tasks"):
        raise BadInputError(f"{file} has no tasks", "Compile a pipeline that has some")
    if not all(isinstance(spec.get(key, {}), dict) for key in ("components", "deploymentSpec")):
        raise BadInputError(
            f"{file} is no compiled pipeline: its components or its deploymentSpec are no objects",
            "Compile the pipeline again",
        )
    if not all(math.isfinite(number) for number in _numbers(spec)):
        raise BadInputError(
            f"{file} has NaN or an infinity in it, and JSON, which carries a run's values, has "
            "neither",
            "Pass it as a text",
        )


def _inside(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return the object that an object has inside; an empty one where it has none."""
    for key in keys:
        inner = value.get(key)
        value = inner if isinstance(inner, dict) else {}
    return value


def _numbers(value: Any) -> Iterator[float]:
    """Yield the numbers that a document holds at any depth."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _numbers(one)
