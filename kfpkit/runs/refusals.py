"""What is refused of a run before anything of it is made: inputs that would arrive changed.

The values that are given as texts are read by `parameters`. Here are those that a pipeline's author
wrote into it, what a pipeline asks for that a run cannot have, and texts that a cluster evaluates.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from kfpkit.core import console
from kfpkit.core.errors import BadInputError, join_names
from kfpkit.kfp import spec as ir
from kfpkit.kfp.values import LARGEST_INTEGER
from kfpkit.runs import size
from kfpkit.runs.parameters import SHOWN_CHARACTERS, parse, parts, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kfpkit.kfp.pipelines import Pipeline
    from kfpkit.kfp.run import Parameter
    from kfpkit.kfp.spec import Spec

#: Where a list or an object of a compiled pipeline holds a larger whole number, it was rather a
#: float that the author wrote.
LARGEST_OF_64_BITS = 2**64

#: Placeholders that kfp itself compiles into a task's inputs, for values that are not known before.
_COMPILED = re.compile(
    r"\{\{\$\.(?:inputs\.parameters\[(?P<q>'+)pipelinechannel--[^']+(?P=q)\]|\w+)\}\}"
)

#: The beginning of what Argo Workflows (`{{=1+1}}`, `{{workflow.name}}`: its util/template) and
#: KFP's driver and launcher (`{{$.inputs…}}`: getPlaceholders) put something else in the place of.
#: They leave other words as they are.
_EVALUATED = (
    r"\{\{(?:=|\$\.|\s*"
    r"(?:(?:workflow|inputs|outputs|tasks|steps|item|pod|node|lastRetry|cronworkflow)\."
    r"|(?:item|retries)\s*\}\}))"
)

#: What Kubernetes puts something else in the place of, in a container's arguments: `$$` becomes
#: `$`, and `$(NAME)` the value of a variable that it has. These two KFP sets itself.
_OF_KUBERNETES = r"\$\$|\$\((?:KFP_POD_NAME|KFP_POD_UID)\)"

#: Where an author's own code is concerned: it is part of the command, in which KFP's launcher puts
#: all inputs in the place of `{{$}}`.
_IN_SOURCE = re.compile(rf"{_EVALUATED}|{_OF_KUBERNETES}|\{{\{{\$\}}")

#: Where data is: without its end, a tag takes in what comes after the value, too.
_IN_VALUE = re.compile(rf"{_EVALUATED}|{_OF_KUBERNETES}|\{{\{{(?!.*\}}\}})", re.DOTALL)


def admit(
    pipeline: Pipeline, arguments: Sequence[str], names: Mapping[str, str] | None = None
) -> tuple[Spec, list[Parameter]]:
    """Return a pipeline as compiled and all parameters of a run of it.

    Args:
        pipeline: The pipeline.
        arguments: Texts `name=value`.
        names: For a run on a cluster, the names that go there, by what they name; else None.

    Raises:
        BadInputError: The run would not be the one that is written down: a parameter is wrong; the
            pipeline takes an artifact; it has an integer beyond 2^53, NaN or an infinity as a
            default that the run would use, as a task's constant input, or as an item of a loop; or
            a cluster would evaluate a text, or cannot keep what the run becomes; or a compiled
            file does not hold together.
    """
    try:
        return _admit(pipeline.spec, arguments, names)
    except (AttributeError, LookupError, TypeError, RecursionError) as error:
        if not pipeline.compiled:
            raise
        file = shlex.quote(str(pipeline.source))
        raise BadInputError(
            f"{pipeline.source} does not have a pipeline's form", f"kfpkit lint {file} says where"
        ) from error


def _admit(
    spec: Spec, arguments: Sequence[str], names: Mapping[str, str] | None
) -> tuple[Spec, list[Parameter]]:
    if lost := ir.unused(spec):
        raise BadInputError(
            f"kfp compiles the pipeline without {', '.join(lost)}: a task has the name of a "
            "loop, a condition or an exit handler",
            "Give the component another name than for_loop, condition or exit_handler",
        )
    _check_artifacts(spec)
    given = parse(spec, arguments)
    for parameter in given:
        declared = spec["root"]["inputDefinitions"]["parameters"][parameter.name]
        if not parameter.differs and _loses_digits(declared.get("defaultValue"), parameter.type):
            raise _large(f"the default of parameter {parameter.name!r}")
    for place, type_, value in _constants(spec):
        if _loses_digits(value, type_):
            raise _large(place)
    for path, task in _tasks(spec):
        if has_large_integer(task.get("triggerPolicy", {}).get("condition", "")):
            raise _large(f"the condition of {path}")
        try:
            read_json(task.get("parameterIterator", {}).get("items", {}).get("raw", "[]"))
        except ValueError as error:
            raise BadInputError(f"the items of {path}: {error}", "Mend the pipeline") from None
    _check_loop_items(spec, on_cluster=names is not None)
    if names is not None:
        _check_for_cluster(spec, given, names)
        _check_size(spec, {parameter.name: parameter.value for parameter in given})
    return spec, given


def _check_artifacts(spec: Spec) -> None:
    declared = spec["root"].get("inputDefinitions", {}).get("artifacts", {})
    needed = [name for name, one in declared.items() if not one.get("isOptional")]
    if needed:
        raise BadInputError(
            f"the pipeline takes artifacts ({join_names(needed)}), and a run is given values only",
            "Import them inside the pipeline with dsl.importer, its URI being a parameter",
        )


def _check_for_cluster(
    spec: Spec, parameters: Sequence[Parameter], names: Mapping[str, str]
) -> None:
    """Refuse texts that a cluster would evaluate; this machine takes them as they are."""
    for what, name in names.items():
        _check_braces(f"the name of the {what}", name)
        try:
            name.encode()
        except UnicodeEncodeError:
            raise BadInputError(
                f"the name of the {what}, {name!r}, is not in UTF-8", "Give it in UTF-8"
            ) from None
    for parameter in parameters:
        value = parameter.value if parameter.differs else _uncompiled(parameter.value)
        _check_braces(f"parameter {parameter.name!r}", value)
    for place, _, value in _constants(spec):
        _check_braces(place, _uncompiled(value))
    for path, task in _tasks(spec):
        _check_braces(f"task {path}", _uncompiled({**task, "inputs": {}}))
    for name, executor in sorted(spec["deploymentSpec"]["executors"].items()):
        container = executor.get("container", {})
        # Other commands are not source, and have KFP's placeholders rightly.
        if "--function_to_execute" in container.get("args", []):
            place = f"the source of component {name.removeprefix('exec-')}"
            _check_braces(place, container["command"], _IN_SOURCE)


def _check_size(spec: Spec, values: Mapping[str, Any]) -> None:
    """Refuse a pipeline that is too large for a cluster; warn of one that may become so."""
    for name, bytes_ in size.graphs(spec).items():
        if bytes_ > size.ARGUMENT:
            place = ir.short_name(name) or "the pipeline"
            raise BadInputError(
                f"{place} is too large: its tasks are described in {bytes_:,} bytes, all of which "
                f"its driver is given as one argument, and Linux takes {size.ARGUMENT:,}",
                "Put some of its tasks into a pipeline that is used as a task",
            )
    kept = size.workflow(spec)
    if kept > size.WORKFLOW:
        raise BadInputError(
            f"the pipeline is too large: its Workflow has about {kept:,} bytes, and Argo keeps "
            f"{size.WORKFLOW:,}",
            "Make several pipelines of it, or a loop of tasks that are alike",
        )
    grown = kept + size.state(spec, values)
    if grown > size.WORKFLOW:
        console.warn(
            f"the run may fail before its end: with the state of its {size.tasks(spec, values)} "
            f"tasks its Workflow grows to about {grown:,} bytes, and Argo keeps {size.WORKFLOW:,}; "
            "make several pipelines of it, or loop over fewer items"
        )


def _check_loop_items(spec: Spec, *, on_cluster: bool) -> None:
    """Refuse what kfp 2.17 compiles of some f-strings with a loop's item: a run would fail on it.

    With a field of the item, the task asks for an input that nothing gives. With the item of a
    loop inside another graph, that graph is given the item, which only the loop has; a cluster's
    driver looks for it there.
    """
    for graph in ir.graphs(spec):
        has = graph.get("inputDefinitions", {}).get("parameters", {})
        for name, task in graph["dag"].get("tasks", {}).items():
            for source in task.get("inputs", {}).get("parameters", {}).values():
                asked = source.get("componentInputParameter", "")
                if asked and asked not in has and (on_cluster or "-subvar-" in asked):
                    raise BadInputError(
                        f"{name} asks for {asked!r}, which nothing gives it: kfp compiles so an "
                        "f-string with a field of a loop's item, or with the item of a loop that "
                        "is inside an exit handler, a condition or another loop",
                        "Pass it to the task as an input, and put the text together there",
                    )


def _check_braces(place: str, value: Any, pattern: re.Pattern[str] = _IN_VALUE) -> None:
    for part in parts(value):
        if isinstance(part, str) and (found := pattern.search(part)):
            text = part[found.start() : found.start() + SHOWN_CHARACTERS]
            raise BadInputError(
                f"{place} has {text!r} in it, and a cluster puts something else in its place",
                "Write it without the double brace or the dollar sign",
            )


def _uncompiled(value: Any) -> list[Any]:
    """Return all that a value holds, without the placeholders that kfp itself compiles."""
    return [_COMPILED.sub("…", part) if isinstance(part, str) else part for part in parts(value)]


def _constants(spec: Spec) -> Iterator[tuple[str, str, Any]]:
    """Yield the place, the type and the value of all inputs that tasks have from the author."""
    for path, task in _tasks(spec):
        component = spec["components"][task["componentRef"]["name"]]
        given = task.get("inputs", {}).get("parameters", {})
        for name, one in component.get("inputDefinitions", {}).get("parameters", {}).items():
            place = f"input {name!r} of task {path}"
            if name not in given:
                yield place, one["parameterType"], one.get("defaultValue")
            elif "runtimeValue" in given[name]:
                yield place, one["parameterType"], given[name]["runtimeValue"].get("constant")


def _tasks(spec: Spec, graph: str = "", prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path and the description of every task and of every graph inside."""
    component = spec["components"][graph] if graph else spec["root"]
    for name, task in sorted(component.get("dag", {}).get("tasks", {}).items()):
        yield prefix + name, task
        yield from _tasks(spec, task["componentRef"]["name"], f"{prefix}{name}/")


def has_large_integer(condition: str) -> bool:
    """Whether a task's condition, as kfp compiles it, has an integer beyond 2^53."""
    bare = re.sub("'[^']*'", "", condition)
    return any(_is_large(int(digits)) for digits in re.findall(r"\d{16,}(?!\.)", bare))


def _is_large(value: Any) -> bool:
    return isinstance(value, int) and abs(value) > LARGEST_INTEGER


def _loses_digits(value: Any, type_: str) -> bool:
    return type_ != "NUMBER_DOUBLE" and any(_may_be_large(part, type_) for part in parts(value))


def _may_be_large(value: Any, type_: str) -> bool:
    """Whether a number of a compiled pipeline may be an integer that has lost digits."""
    if _is_large(value):  # of a file, which may have it whole
        return True
    if not isinstance(value, float) or abs(value) < LARGEST_INTEGER:
        return False
    return type_ == "NUMBER_INTEGER" or abs(value) <= LARGEST_OF_64_BITS


def _large(place: str) -> BadInputError:
    return BadInputError(
        f"{place} is or holds an integer beyond 2^53, which loses digits", "Pass it as a text"
    )
