"""Reading whatever a file holds, so that rules can look at it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from components.image import DEFAULT
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import compiled_file
from kfpkit.lint import schema
from kfpkit.lint.origin import Origin
from kfpkit.lint.subject import Subject

if TYPE_CHECKING:
    from kfpkit.kfp.pipelines import Pipeline

#: Bytes of a file that the API server takes at most (its `MaxFileLength`).
LARGEST_FILE = 32 << 20

#: How many values a document may have once its aliases are written out, and how deep it may be.
MOST_VALUES = 300_000
MOST_EVENTS = 2 * MOST_VALUES
DEEPEST = 90


def read(pipeline: Pipeline | Path, target: str, image_prefix: str = "") -> Subject:
    """Return a pipeline, or whatever is in a file, as rules look at it.

    Args:
        pipeline: A pipeline, or a file that should be a compiled one.
        target: One of `kfpkit.lint.rule.TARGETS`.
        image_prefix: Of a file, the registry that the image of the sample's tasks is pulled from;
            a pipeline has its own.
    """
    if isinstance(pipeline, Path):
        subject = Subject(target, "", pipeline)
        try:
            if pipeline.stat().st_size > LARGEST_FILE:
                subject.trouble = f"it has more than {LARGEST_FILE >> 20} MiB"
            else:
                subject.text = pipeline.read_bytes().decode()
        except OSError as error:
            subject.trouble = f"it cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            subject.trouble = "it is not in UTF-8"
    else:
        origin = Origin.of(pipeline)
        subject = Subject(target, "", origin.file if origin else pipeline.source, origin=origin)
        try:
            pipeline.spec  # noqa: B018 - says that it has NaN or an infinity
            subject.text = pipeline.text()
        except BadInputError as error:
            subject.trouble = error.what
        except ValueError as error:
            subject.trouble = f"kfp cannot compile it: {' '.join(str(error).split())}"
    if not subject.trouble:
        _load(subject)
    if not isinstance(pipeline, Path) and _is_rewritten(pipeline):
        subject.nodes = []  # the file has it on other lines
    if not subject.trouble:
        _fit(subject)
    prefix = image_prefix if isinstance(pipeline, Path) else pipeline.image_prefix
    for executor in subject.deployment.values() if prefix else ():
        container = executor.get("container", {})
        if container.get("image") == DEFAULT:
            container["image"] = f"{prefix}/{DEFAULT}"
    return subject


def _is_rewritten(pipeline: Pipeline) -> bool:
    """Whether a compiled pipeline is not as its file has it, as one in a PipelineJob."""
    file = pipeline.source
    return bool(file and pipeline.compiled and compiled_file.read(file) != pipeline.compiled)


def _load(subject: Subject) -> None:
    """Read the documents, as far as they can be."""
    if subject.file and compiled_file.is_json(subject.file, subject.text):
        try:
            subject.documents = [
                json.loads(subject.text.removeprefix("\ufeff"), object_pairs_hook=_pairs(subject))
            ]
        except (ValueError, RecursionError) as error:
            subject.trouble = f"it is not JSON: {error}"
        return
    text = subject.text.removeprefix("\ufeff")
    try:
        _bound(text)
        loader = compiled_file.Loader(text)
        while loader.check_node():
            node = loader.get_node()
            _measure(node, subject)
            subject.nodes.append(node)
            subject.documents.append(loader.construct_document(node))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        subject.trouble_line = mark.line + 1 if mark else None
        problem = getattr(error, "problem", None) or str(error)
        subject.trouble = f"it is not YAML: {' '.join(str(problem).split())}"
    except RecursionError:
        subject.trouble = "it is too deep"
    except ValueError as error:
        subject.trouble = str(error)
    except (AttributeError, LookupError) as error:  # of PyYAML, for `!!bool x` and its like
        subject.trouble = f"it is not YAML: a value is not of its tag ({error})"
    if subject.trouble:
        subject.documents, subject.nodes = [], []


def _pairs(subject: Subject) -> Any:
    def pair(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            again = {key for key in keys if keys.count(key) > 1}
            subject.repeated += [(key, 0) for key in sorted(again)]
        return made

    return pair


def _bound(text: str) -> None:
    """Refuse YAML that is too deep or too large before it is made to values, which recurses.

    Raises:
        ValueError: It is so.
    """
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=compiled_file.Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ValueError(f"it is more than {DEEPEST} deep")
        if number > MOST_EVENTS:
            raise ValueError(f"it has more than {MOST_EVENTS:,} keys and values")


def _measure(document: Any, subject: Subject) -> None:
    """Note repeated keys; refuse what is too large or endless once its aliases are written out.

    Raises:
        ValueError: It is so.
    """
    sizes: dict[int, int] = {}
    above: set[int] = set()

    def size(node: Any) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in above:
            raise ValueError(f"line {node.start_mark.line + 1}: an alias is inside its own anchor")
        above.add(id(node))
        total = 1
        if isinstance(node, yaml.MappingNode):
            keys = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in keys:
                        subject.repeated.append((key.value, key.start_mark.line + 1))
                    keys.add(key.value)
                total += size(key) + size(value)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(map(size, node.value))
        above.remove(id(node))
        if total > MOST_VALUES:
            raise ValueError(f"with its aliases written out it has over {MOST_VALUES:,} values")
        sizes[id(node)] = total
        return total

    size(document)


def _fit(subject: Subject) -> None:
    """Read the documents as the IR and its platforms, if they look like it."""
    document = subject.document
    if not {"pipelineInfo", "root", "deploymentSpec"} & set(document):
        return
    try:
        spec = schema.normal(schema.PIPELINE, _finite(document))
        spec["deploymentSpec"] = schema.normal(schema.DEPLOYMENT, spec.get("deploymentSpec", {}))
        platform: dict[str, Any] = {}
        for one in subject.platform_documents:
            platform = schema.normal(schema.PLATFORM, _finite(one))
            for settings in platform.get("platforms", {}).values():
                executors = settings.get("deploymentSpec", {}).get("executors", {})
                for label, kubernetes in executors.items():
                    executors[label] = schema.normal(schema.KUBERNETES, kubernetes)
    except ValueError as error:
        subject.misfit = str(error)
        return
    except RecursionError:
        subject.misfit = "it is too deep"
        return
    subject.spec, subject.platform = spec, platform


def _finite(value: Any) -> Any:
    """Return a value with texts in the place of what JSON has not: infinities, NaN, odd keys."""
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
