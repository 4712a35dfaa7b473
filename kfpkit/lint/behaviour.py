"""Rules on behaviour: what runs otherwise than it is written, or ends in the midst."""

from __future__ import annotations

import ast
import json
import math
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kfpkit.kfp import spec as ir
from kfpkit.kfp.values import LARGEST_INTEGER
from kfpkit.lint.finding import Severity
from kfpkit.lint.google import FILLED, PLACEHOLDER
from kfpkit.lint.rule import ALL, KFP, KFP_2_14_3, LOCAL, REMOTE, VERTEX, Hit, Rule
from kfpkit.lint.subject import walk
from kfpkit.lint.texts import CHANNEL, HOLE, constants, inputs, parameters, strings, texts
from kfpkit.runs import size
from kfpkit.runs.parameters import parts
from kfpkit.runs.refusals import LARGEST_OF_64_BITS, has_large_integer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kfpkit.lint.subject import Place, Source, Subject

#: What kfp's compiler had to replace, and did not.
_LEFT_OVER = re.compile(r"\{\{channel:task=[^}]*\}\}")

#: A placeholder that lost a brace, as in an f-string.
_SINGLE = re.compile(
    r"(?<!\{)\{\$\.(?:inputs|outputs)\.(?:parameters|artifacts)\[[^}]*\}(?!\})"
    r"|(?<!\{)\{\$\.pipeline_\w+\}(?!\})|(?<!\{)\{\{\$\.inputs\.\w+\[[^}]*\}(?!\})"
)

#: What Argo Workflows puts values into.
_ARGO = re.compile(r"\{\{\s*(?:workflow|inputs|outputs|tasks|steps|pod|node)\.[^}]*\}\}")

#: Images whose programs read numbers from texts, as the JSON of protobuf allows.
_READS_TEXTS = "gcr.io/ml-pipeline/google-cloud-pipeline-components"

#: Bytes of JSON that the API v1beta1 takes of a run's parameters (common/util/consts.go).
_V1BETA1 = 10_000

#: The largest machine that a task of Vertex AI can ask for: CPUs, and GB of memory
#: (cloud.google.com/vertex-ai/docs/pipelines/machine-types).
VERTEX_MACHINE = {"cpu": 96.0, "memory": 624e9}

#: Tasks whose state Argo cannot keep, however small they are: 1 MiB holds 2,000.
_MOST_TASKS = 20_000

_SUFFIXES = {
    "": 1.0,
    "m": 1e-3,
    **{unit: 1000.0**power for power, unit in enumerate("kMGTPE", 1)},
    "K": 1e3,
    **{f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", 1)},
}

_ENDS_ALWAYS = "ALL_UPSTREAM_TASKS_COMPLETED"

#: Where kfp's compiler installs packages, and the words of one installation.
_PIP = re.compile(r"pip3? install (?P<words>(?:'[^']*'|\"[^\"]*\"|\\\r?\n|>&|&>|[^&;|)`\n'\"])*)")
_WORD = r"'[^']*'|\"[^\"]*\"|[^\s<>'\"]"
#: A shell's comment, line that goes on, redirection; else a word.
_WORDS = re.compile(
    rf"(?P<comment>#)|\\\r?\n|(?:\d*|&)[<>]+&?[ \t]*(?:{_WORD})*|(?P<word>(?:{_WORD})+)"
)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")

#: Options of pip that take the next word; one letter may stand behind others.
_SHORT = re.compile(r"-[a-zA-Z]*[icrtfC]")
_TAKES = frozenset(
    [
        "--abi",
        "--build-constraint",
        "--cache-dir",
        "--cert",
        "--client-cert",
        "--config-settings",
        "--constraint",
        "--default-timeout",
        "--exists-action",
        "--extra-index-url",
        "--find-links",
        "--global-option",
        "--group",
        "--implementation",
        "--index-url",
        "--keyring-provider",
        "--log",
        "--no-binary",
        "--only-binary",
        "--platform",
        "--prefix",
        "--progress-bar",
        "--proxy",
        "--python",
        "--python-version",
        "--report",
        "--requirement",
        "--resume-retries",
        "--retries",
        "--root",
        "--root-user-action",
        "--src",
        "--target",
        "--timeout",
        "--trusted-host",
        "--upgrade-strategy",
        "--use-deprecated",
        "--use-feature",
    ]
)

#: kfp's own, which its compiler adds to each component.
_OF_KFP = re.compile(r"typing-extensions>=|kfp==")


def _left_over(subject: Subject) -> Iterator[Hit]:
    for text in texts(subject):
        if not text.code and (found := _LEFT_OVER.search(text.text)):
            yield text.hit(f"has {found[0]!r} in it, which kfp's compiler did not replace")


def _single_brace(subject: Subject) -> Iterator[Hit]:
    for text in texts(subject):
        if found := _SINGLE.search(text.text):
            yield text.hit(f"has {found[0]!r} in it, with too few braces to be a placeholder")


def _argo(subject: Subject) -> Iterator[Hit]:
    for text in texts(subject):
        if found := _ARGO.search(text.text):
            said = (
                "which nothing fills in there"
                if subject.target == VERTEX
                else "which Argo Workflows puts something else in the place of"
            )
            yield text.hit(f"has {found[0]!r} in it, {said}")


def _part_of_text(subject: Subject) -> Iterator[Hit]:
    # KFP's driver compares a whole input with each of them (driver/resolve.go).
    for one in constants(subject):
        for part in parts(one.value):
            found = PLACEHOLDER.search(part) if isinstance(part, str) else None
            if found and found[0] != one.value and found[1] in FILLED[subject.target]:
                yield Hit(
                    f"{one.place} has {found[0]} inside something else, and KFP fills it in only "
                    "where it is the whole input",
                    path=one.path,
                )


def _typed_in_object(subject: Subject) -> Iterator[Hit]:
    for task in subject.tasks():
        image = subject.deployment.get(task.component.get("executorLabel", ""), {})
        if str(image.get("container", {}).get("image")).startswith(_READS_TEXTS):
            continue
        types = {name: _type(subject, task, source) for name, source in inputs(task).items()}
        for name, source in inputs(task).items():
            value = source.get("runtimeValue", {}).get("constant")
            for part in parts(value if isinstance(value, (dict, list)) else []):
                found = CHANNEL.fullmatch(part) if isinstance(part, str) else None
                channel = found["name"] if found else ""
                if types.get(channel) not in (None, "STRING"):
                    yield Hit(
                        f"input {name!r} has {_short(channel)} inside it, which is no text and "
                        "arrives as one",
                        path=f"{task.path}.inputs.parameters.{name}",
                    )


def _type(subject: Subject, task: Place, source: Mapping[str, Any]) -> Any:
    """Return the type of what an input is given; None where it is not known."""
    graph = task.path.rpartition(".dag.")[0]
    if asked := source.get("componentInputParameter"):
        body = subject.spec.get("root", {}) if graph == "root" else _component(subject, graph)
        declared = body.get("inputDefinitions", {}).get("parameters", {}).get(asked, {})
        return declared.get("parameterType")
    if output := source.get("taskOutputParameter"):
        path = f"{graph}.dag.tasks.{output.get('producerTask')}"
        for other in subject.tasks():
            if other.path == path:
                outputs = other.component.get("outputDefinitions", {}).get("parameters", {})
                declared = outputs.get(output.get("outputParameterKey"), {})
                return declared.get("parameterType")
    return None


def _component(subject: Subject, path: str) -> dict[str, Any]:
    found: dict[str, Any] = subject.spec["components"][path.removeprefix("components.")]
    return found


def _text_into_command(subject: Subject) -> Iterator[Hit]:
    executors = {executor.label: executor for executor in subject.executors()}
    for task in subject.tasks():
        executor = executors.get(task.component.get("executorLabel", ""))
        container = executor.body.get("container", {}) if executor else {}
        words = [*container.get("command", []), *container.get("args", [])]
        for name, source in inputs(task).items():
            value = source.get("runtimeValue", {}).get("constant")
            asked = f"{{{{$.inputs.parameters['{name}']}}}}"
            made = any(isinstance(part, str) and CHANNEL.search(part) for part in parts(value))
            if made and any(asked in word for word in words):
                yield Hit(
                    f"input {name!r} is put together from other values, and its command has it as "
                    "a word: by chance, this release fills in what is inside or leaves it",
                    path=f"{task.path}.inputs.parameters.{name}",
                )


def _not_finite(subject: Subject) -> Iterator[Hit]:
    for path, value in walk(subject.document):
        if isinstance(value, float) and not math.isfinite(value):
            yield Hit(f"it has {value} in it", path=path, severity=Severity.ERROR)
    for source in subject.sources():
        for node in ast.walk(source.tree):
            match node:
                case ast.Return(value=ast.expr() as value):
                    given = [value, *(value.elts if isinstance(value, ast.Tuple) else [])]
                case ast.Call(func=ast.Attribute(attr="log_metric" | "log_roc_data_point")):
                    given = [*node.args, *(one.value for one in node.keywords)]
                case _:
                    continue
            if any(_is_infinite(one) for one in given):
                yield Hit(
                    "its code gives out an infinity or NaN",
                    path=source.path,
                    line=source.line(node.lineno),
                )


def _is_infinite(node: ast.expr) -> bool:
    match node:
        case ast.UnaryOp(operand=operand):
            return _is_infinite(operand)
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value=str(text))]):
            return text.strip().lstrip("+-").lower() in ("inf", "infinity", "nan")
        case ast.Attribute(value=ast.Name(id="math" | "np" | "numpy"), attr="inf" | "nan"):
            return True
    return False


def _large_integer(subject: Subject) -> Iterator[Hit]:
    for one in constants(subject):
        large = [part for part in parts(one.value) if _is_large(part)]
        whole = _is_whole(subject, one.path) if large else None
        most = math.inf if whole else LARGEST_OF_64_BITS
        if whole is not None and (found := [part for part in large if abs(part) <= most]):
            yield Hit(
                f"{one.place} is or holds a whole number beyond 2^53, about {found[0]:.3g}",
                path=one.path,
            )
    for task in subject.tasks():
        if has_large_integer(task.task.get("triggerPolicy", {}).get("condition", "")):
            yield Hit(
                "its condition has a whole number beyond 2^53",
                path=f"{task.path}.triggerPolicy.condition",
            )


def _is_large(part: Any) -> bool:
    """Whether a part is a number that may have lost digits: in protobuf's JSON all are floats."""
    return isinstance(part, (int, float)) and LARGEST_INTEGER <= abs(part) < math.inf


def _is_whole(subject: Subject, path: str) -> bool | None:
    """Whether a value is declared to be an integer; None where it is declared to be a float."""
    kind = ""
    name = re.search(r"\.parameters\.([^.]+)\.", path)
    for task in subject.tasks():
        if name and path.startswith((f"{task.path}.", f"components.{task.component_name}.")):
            declared = task.component.get("inputDefinitions", {}).get("parameters", {})
            kind = declared.get(name[1], {}).get("parameterType", "")
    if path.startswith("root.inputDefinitions.") and name:
        kind = parameters(subject).get(name[1], {}).get("parameterType", "")
    return None if kind == "NUMBER_DOUBLE" else kind == "NUMBER_INTEGER"


def _large_parameters(subject: Subject) -> Iterator[Hit]:
    declared = parameters(subject)
    given = {name: one["defaultValue"] for name, one in declared.items() if "defaultValue" in one}
    defaults = _bytes(given)
    if defaults > size.ARGUMENT:
        yield Hit(
            f"the defaults of the parameters have {defaults:,} bytes as JSON, and the first driver "
            f"takes {size.ARGUMENT:,}",
            path="root.inputDefinitions.parameters",
        )
    elif defaults > _V1BETA1:
        yield Hit(
            f"the defaults of the parameters have {defaults:,} bytes as JSON; given by a client of "
            f"the API v1beta1, a run is refused above {_V1BETA1:,}",
            path="root.inputDefinitions.parameters",
            severity=Severity.WARNING,
        )
    for task in subject.tasks():
        known = {
            name: source["runtimeValue"]["constant"]
            for name, source in inputs(task).items()
            if "constant" in source.get("runtimeValue", {})
        }
        for name, source in inputs(task).items():
            asked = source.get("componentInputParameter")
            if task.path.startswith("root.") and asked in given:
                known[name] = given[asked]
        if (bytes_ := _bytes(known)) > size.ARGUMENT and "dag" not in task.component:
            yield Hit(
                f"its inputs have {bytes_:,} bytes as JSON, and its launcher takes "
                f"{size.ARGUMENT:,}",
                path=f"{task.path}.inputs",
            )


def _bytes(values: Mapping[str, Any]) -> int:
    return len(json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode())


def _large_workflow(subject: Subject) -> Iterator[Hit]:
    spec = subject.spec
    # What lacks a part, or leads back to itself, has no size: rules on the form say so.
    with suppress(AttributeError, KeyError, TypeError, ValueError, RecursionError):
        wide = {
            name: bytes_ for name, bytes_ in size.graphs(spec).items() if bytes_ > size.ARGUMENT
        }
        for name, bytes_ in wide.items():
            yield Hit(
                f"{ir.short_name(name) or 'the pipeline'} is too large: its tasks are described in "
                f"{bytes_:,} bytes, and its driver takes {size.ARGUMENT:,}",
                path=f"components.{name}" if name else "root",
            )
        kept = size.workflow(spec)
        tasks = _nodes(subject, "root", {})
        if wide:
            return
        if kept > size.WORKFLOW or tasks > _MOST_TASKS:
            yield Hit(
                f"it is too large: its Workflow has about {kept:,} bytes and {tasks:,} tasks, and "
                f"Argo keeps {size.WORKFLOW:,} bytes",
                path="root",
            )
            return
        values = {name: one.get("defaultValue") for name, one in parameters(subject).items()}
        grown = kept + size.state(spec, values)
        if grown > size.WORKFLOW:
            yield Hit(
                f"with the state of its {size.tasks(spec, values):,} tasks its Workflow grows to "
                f"about {grown:,} bytes, and Argo keeps {size.WORKFLOW:,}",
                path="root",
                severity=Severity.WARNING,
            )


def _nodes(subject: Subject, path: str, known: dict[str, int]) -> int:
    """Return how many tasks a graph has with those inside, a loop as one round.

    Raises:
        RecursionError: It leads back to itself.
    """
    if path not in known:
        inside = [task for task in subject.tasks() if task.path.startswith(f"{path}.dag.")]
        known[path] = len(inside) + sum(
            _nodes(subject, f"components.{task.component_name}", known)
            for task in inside
            if "dag" in task.component
        )
    return known[path]


def _cached_inside(subject: Subject) -> Iterator[Hit]:
    for task in subject.tasks():
        nested = "dag" in task.component and not _is_block(task)
        if nested and not _caches(task) and (inside := _cached(subject, task.component_name)):
            yield Hit(
                f"caching is off for it, and on for {len(inside)} inside, as {inside[0].name}",
                path=task.path,
            )
    top = [task for task in subject.tasks() if task.path.startswith("root.")]
    own = [task for task in top if "dag" not in task.component and not _is_exit(task)]
    if own and not any(_caches(task) for task in own):
        for task in top:
            if _is_block(task) and (inside := _cached(subject, task.component_name)):
                yield Hit(
                    f"caching is off for the tasks outside, and on for {len(inside)} inside, as "
                    f"{inside[0].name}",
                    path=task.path,
                )


def _cached(subject: Subject, component: str) -> list[Place]:
    """Return the tasks inside a graph, and inside those in it, that are cached."""
    found = []
    waiting = [component]
    for name in waiting:
        for task in subject.tasks():
            if not task.path.startswith(f"components.{name}.dag."):
                continue
            if "dag" in task.component:
                if task.component_name not in waiting:
                    waiting.append(task.component_name)
            elif _caches(task):
                found.append(task)
    return found


def _caches(task: Place) -> bool:
    return bool(task.task.get("cachingOptions", {}).get("enableCache"))


def _is_block(task: Place) -> bool:
    """Whether a graph is a loop, a condition or the block of an exit handler, by kfp's names."""
    return bool(
        re.match(
            r"comp-(?:for-loop|condition|condition-branches|exit-handler)-\d", task.component_name
        )
    )


def _is_exit(task: Place) -> bool:
    return bool(task.task.get("triggerPolicy", {}).get("strategy") == _ENDS_ALWAYS)


def _above(task: Place) -> set[str]:
    """Return the tasks that one waits for; `kfpkit.kfp.spec` has it for what is whole."""
    producers = {
        source.get(kind, {}).get("producerTask", "")
        for sources in task.task.get("inputs", {}).values()
        for source in sources.values()
        for kind in ("taskOutputParameter", "taskOutputArtifact")
    }
    return (producers - {""}) | {*task.task.get("dependentTasks", [])}


def _exit_task(subject: Subject) -> Iterator[Hit]:
    by_path = {task.path: task for task in subject.tasks()}
    ends: dict[str, Place] = {}
    for task in by_path.values():
        graph = task.path.rpartition(".")[0]
        above = sorted(_above(task))
        for name in above:
            other = by_path.get(f"{graph}.{name}")
            if other and _is_exit(other) and subject.target in KFP:
                yield Hit(
                    f"it comes after {other.name}, which runs at the end of what it watches and is "
                    "no task that another can wait for",
                    path=task.path,
                    severity=Severity.ERROR,
                )
        if not _is_exit(task):
            continue
        if len(above) > 1:
            yield Hit(
                f"it runs whatever becomes of {', '.join(above)}: of several, at the end of each",
                path=task.path,
            )
        for name in above:
            other = by_path.get(f"{graph}.{name}")
            if other and "parameterIterator" in other.task and subject.target in KFP:
                yield Hit(
                    f"it watches the loop {name}, and does not run at its end", path=task.path
                )
            first = ends.setdefault(f"{graph}.{name}", task)
            if first is not task and subject.target in KFP:
                yield Hit(
                    f"it watches {name}, as {first.name} does, and only one of both runs",
                    path=task.path,
                )


def _unasked(subject: Subject) -> Iterator[Hit]:
    """Yield the inputs that nothing gives: kfp compiles some texts with a loop's item so."""
    for name, path, graph in subject.graphs():
        has = graph.get("inputDefinitions", {}).get("parameters", {})
        outer = ir.short_name(name) or "the pipeline"
        for task in subject.tasks():
            if task.path.rpartition(".dag.")[0] != path:
                continue
            for source in inputs(task).values():
                wanted = source.get("componentInputParameter", "")
                # On this machine an item is looked for in the graphs around, a field of it is not.
                if wanted in has or (subject.target == LOCAL and "-subvar-" not in wanted):
                    continue
                if wanted:
                    yield Hit(
                        f"it asks for {_short(wanted)!r}, which {outer} does not have",
                        path=task.path,
                    )


def _lost(subject: Subject) -> Iterator[Hit]:
    used = {task.component_name for task in subject.tasks()}
    for name in subject.spec.get("components", {}):
        if name not in used:
            yield Hit(f"no task is an instance of {ir.short_name(name)}", path=f"components.{name}")


def _artifact_loop(subject: Subject) -> Iterator[Hit]:
    for task in subject.tasks():
        if "artifactIterator" in task.task:
            yield Hit("it loops over artifacts", path=task.path)


def _importer(subject: Subject) -> Iterator[Hit]:
    for task in subject.tasks():
        executor = subject.deployment.get(task.component.get("executorLabel", ""), {})
        if "importer" not in executor:
            continue
        key = task.path.rpartition(".")[2]
        if task.task.get("taskInfo", {}).get("name", key) != key:
            yield Hit("it imports and has a display name", path=task.path)
        if task.task.get("triggerPolicy", {}).get("condition"):
            yield Hit("it imports under a condition of its own", path=task.path)


def _asked(subject: Subject) -> Iterator[tuple[str, str, str, float]]:
    """Yield what executors ask for: IR path, `cpu`, `memory` or an accelerator, kind, amount.

    The kind is `request` or `limit`; memory is in bytes. What a placeholder says is left out.
    """
    for executor in subject.executors():
        resources = executor.body.get("container", {}).get("resources", {})
        path = f"{executor.path}.container.resources"
        for resource, factor in (("cpu", 1.0), ("memory", 1e9)):
            for kind in ("request", "limit"):
                key = f"{resource}{kind.title()}"
                text = resources.get(f"resource{key[0].upper()}{key[1:]}")
                amount = quantity(text) if text else float(resources.get(key, 0)) * factor
                if amount:
                    yield path, resource, kind, amount
        accelerator = resources.get("accelerator", {})
        name = accelerator.get("resourceType") or accelerator.get("type", "")
        count = quantity(str(accelerator.get("resourceCount") or accelerator.get("count", "")))
        if name and "{{" not in name and count:
            yield f"{path}.accelerator", name, "limit", count


def quantity(text: str) -> float | None:
    """Return a quantity of Kubernetes, as `500m` or `2Gi`, as a number; None where it is none."""
    found = re.fullmatch(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)([a-zA-Z]{0,2})", text.strip())
    if not found or found[2] not in _SUFFIXES:
        return None
    try:
        return float(found[1]) * _SUFFIXES[found[2]]
    except ValueError:
        return None


def _resources(subject: Subject) -> Iterator[Hit]:
    given: dict[tuple[str, str], dict[str, float]] = {}
    for path, resource, kind, amount in _asked(subject):
        given.setdefault((path, resource), {})[kind] = amount
    for (path, resource), one in given.items():
        if subject.target in KFP and one.get("request", 0.0) > one.get("limit", math.inf):
            yield Hit(f"it asks for more {resource} than its limit", path=path)
        most = VERTEX_MACHINE.get(resource, math.inf)
        if subject.target == VERTEX and max(one.values()) > most:
            yield Hit(
                f"it asks for {_amount(resource, max(one.values()))}, and a task of Vertex AI can "
                f"have {_amount(resource, most)}",
                path=path,
            )
    if subject.machines:
        yield from _unplaced(subject)


def _unplaced(subject: Subject) -> Iterator[Hit]:
    """Yield the tasks that no node of the cluster can hold, however empty it is."""
    wanted: dict[str, dict[str, float]] = {}
    for path, resource, kind, amount in _asked(subject):
        one = wanted.setdefault(path.removesuffix(".accelerator"), {})
        # Without a request Kubernetes takes the limit for it.
        if kind == "request" or resource not in one:
            one[resource] = amount
    for path, one in wanted.items():
        if not any(
            all((quantity(node.get(name, "0")) or 0.0) >= amount for name, amount in one.items())
            for node in subject.machines
        ):
            asks = ", ".join(_amount(name, amount) for name, amount in sorted(one.items()))
            # A cluster may make larger nodes when they are asked for.
            yield Hit(
                f"it asks for {asks}, which no node of the cluster has",
                path=path,
                severity=Severity.WARNING,
            )


def _amount(resource: str, amount: float) -> str:
    if resource == "memory":
        return f"{amount / 1e9:.4g} GB of memory"
    return f"{amount:g} {'CPUs' if resource == 'cpu' else resource}"


def _unpinned(subject: Subject) -> Iterator[Hit]:
    for executor in subject.executors():
        container = executor.body.get("container", {})
        words = [word for _, word in executor.words()]
        # The code of a Python component is the last word of its command.
        if "--function_to_execute" in container.get("args", []):
            words = words[: len(container.get("command", [])) - 1]
        loose = {
            package
            for word in words
            for install in _PIP.finditer(word)
            for package in _packages(install["words"])
            if not _is_pinned(package)
        }
        if loose:
            yield Hit(
                f"it installs {', '.join(sorted(loose))} as it starts, in no certain version",
                path=f"{executor.path}.container.command",
            )
    for source in subject.sources():
        for package, line in _installed_by_code(source):
            if not _is_pinned(package):
                yield Hit(
                    f"its code installs {package}, in no certain version",
                    path=source.path,
                    line=source.line(line),
                )


def _installed_by_code(source: Source) -> Iterator[tuple[str, int]]:
    """Yield the packages that code installs itself, with their lines in the text."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.List):
            continue
        words = [str(one.value) if isinstance(one, ast.Constant) else "" for one in node.elts]
        for number, word in enumerate(words[:-1]):
            if word in ("pip", "pip3") and words[number + 1] == "install":
                given = " ".join(f"'{one}'" for one in words[number + 2 :])
                yield from ((package, node.lineno) for package in _packages(given))
    for text, _, line in strings(source.tree):
        if found := re.match(rf"\s*(?:python3? -m )?{_PIP.pattern}", text):
            yield from ((package, line) for package in _packages(found["words"]))


def _packages(words: str) -> Iterator[str]:
    skip = False
    for found in _WORDS.finditer(words):
        if found["comment"]:
            return
        if found["word"] is None:
            continue
        word = _QUOTED.sub(lambda quoted: quoted[1] or quoted[2] or "", found["word"])
        if skip:
            skip = False
        elif word in _TAKES or _SHORT.fullmatch(word):
            skip = True
        elif word and not word.startswith(("-", ".", "/")) and not {"$", HOLE} & {*word}:
            yield word


def _is_pinned(package: str) -> bool:
    if _OF_KFP.match(package):
        return True
    if "://" in package:
        return bool(re.search(r"@[^/@]+$|[@#]sha256|\.whl$|\.tar\.gz$|\.zip$", package))
    if package.endswith((".whl", ".tar.gz", ".zip")):
        return True
    return bool(re.search(r"===?\s*[^*]+$", package.partition(";")[0]))


def _short(channel: str) -> str:
    return channel.removeprefix("pipelinechannel--")


_E, _W = Severity.ERROR, Severity.WARNING

RULES: tuple[Rule, ...] = (
    Rule(
        "left-over-channel",
        _E,
        ALL,
        "A value that kfp's compiler left out",
        "The compiler puts a placeholder in the place of another task's output or of a parameter. "
        "Inside a list or an object it finds those that stand alone, not those inside an f-string; "
        "the task gets the text `{{channel:…}}`.",
        "Give the task the value as an input of its own, and put the text together there",
        _left_over,
    ),
    Rule(
        "single-brace",
        _W,
        ALL,
        "A placeholder with too few braces",
        "Placeholders have two braces on both sides. An f-string turns two into one, and nothing "
        "fills in what is left.",
        "Write four braces in an f-string, or put the text together without one",
        _single_brace,
    ),
    Rule(
        "argo-tag",
        _W,
        REMOTE,
        "A tag of Argo Workflows",
        "Vertex AI has no Argo, and hands such a tag to the task as a text. On KFP Argo fills in "
        "its own, in values and in the source of components; KFP gives no promise of that, and the "
        "kit refuses such a run.",
        "Take the placeholders of KFP: dsl.PIPELINE_JOB_NAME_PLACEHOLDER and its like",
        _argo,
    ),
    Rule(
        "part-placeholder",
        _W,
        KFP,
        "A placeholder of the run inside another text",
        "KFP's driver fills in a run's or a task's name or ID where the input is nothing else; "
        "inside an f-string, a list or an object the task gets the placeholder.",
        "Give it as an input of its own, and put the text together in the task",
        _part_of_text,
    ),
    Rule(
        "typed-in-object",
        _W,
        ALL,
        "A number or a list inside a list or an object",
        "The compiler writes the placeholder inside quotes, so that what is filled in is a text, "
        "here and on a cluster.",
        "Give it as an input of its own, or convert it in the task",
        _typed_in_object,
    ),
    Rule(
        "text-into-command",
        _W,
        frozenset({KFP_2_14_3}),
        "A text put together that goes into a command",
        "The launcher of 2.14.3 fills in all placeholders of a command once, in no certain order: "
        "one that comes out of another stays where its turn is over.",
        "Give the command each value as a word of its own, or use 2.17.0",
        _text_into_command,
    ),
    Rule(
        "not-finite",
        _W,
        ALL,
        "An infinity or NaN",
        "JSON, which carries parameters, outputs and metrics, has neither: in the file it is "
        "refused, from a task it ends the task.",
        "Pass it as a text, or put a number in its place",
        _not_finite,
    ),
    Rule(
        "large-integer",
        _W,
        ALL,
        "A whole number beyond 2^53",
        "Numbers are floats on their way, so it loses digits without a word. The kit refuses such "
        "a run.",
        "Pass it as a text",
        _large_integer,
    ),
    Rule(
        "large-parameters",
        _E,
        KFP,
        "Parameters above what the server takes",
        "A driver gets a run's parameters, and a task all its inputs, as one argument of a "
        "program, and Linux takes 128 KiB. The API v1beta1 takes 10,000 bytes (in 2.17.0 "
        "MAX_PARAMETER_BYTES says otherwise).",
        "Write what is large into a file, and import it as an artifact",
        _large_parameters,
    ),
    Rule(
        "large-workflow",
        _E,
        KFP,
        "Too many tasks for a Workflow",
        "All tasks are one Workflow, which may have 1 MiB, with the state of the tasks as it "
        "grows; what describes the tasks of one graph is one argument of its driver, and Linux "
        "takes 128 KiB. docs/use/limits.md has the figures.",
        "Make several pipelines of it, put tasks into a pipeline that is used as a task, or loop",
        _large_workflow,
    ),
    Rule(
        "cached-inside",
        _W,
        REMOTE,
        "Caching that is off only outside",
        "Switching it off for a pipeline used as a task, or for the tasks beside a loop or a "
        "condition, leaves it on for those inside; so does `enable_caching=False` of kfp's client.",
        "Call set_caching_options(False) on the tasks inside, or run with `--no-cache`",
        _cached_inside,
    ),
    Rule(
        "exit-task",
        _W,
        REMOTE,
        "A task that runs at the end of several things",
        "KFP runs an exit task, and one with ignore_upstream_failure, as a hook at the end of the "
        "one task or block that it comes after: of several at the end of each, of a loop not at "
        "all, of two such tasks only one, and nothing can come after it.",
        "Let it come after one block alone, without inputs from other tasks",
        _exit_task,
    ),
    Rule(
        "missing-input",
        _E,
        ALL,
        "An input that nothing gives",
        "kfp compiles an f-string with a field of a loop's item so, and one with the item of a "
        "loop that is inside an exit handler, a condition or another loop. KFP's driver ends the "
        "run: `parent DAG does not have input parameter`.",
        "Give the task the item as an input of its own, and put the text together there",
        _unasked,
        warns=frozenset({VERTEX}),
    ),
    Rule(
        "lost-task",
        _W,
        ALL,
        "A component that no task uses",
        "A component called for_loop, condition or exit_handler takes the place of a loop or a "
        "block of that name, whose tasks are lost.",
        "Give the component another name, or leave it out",
        _lost,
    ),
    Rule(
        "artifact-loop",
        _W,
        KFP,
        "A loop over artifacts",
        "The API server of both releases refuses the run: `artifact iterator not implemented yet`.",
        "Loop over numbers or names, and choose the artifact in the task",
        _artifact_loop,
    ),
    Rule(
        "odd-importer",
        _W,
        KFP,
        "An importer with a display name or a condition",
        "By both releases' code, the tasks that read an import with a display name end with "
        "`cannot find producer task`, and a condition of its own is refused.",
        "Leave the display name out; put the importer outside of the condition",
        _importer,
    ),
    Rule(
        "resources",
        _E,
        REMOTE,
        "Resources that nothing can give",
        "Kubernetes refuses a pod that asks for more than its own limit, and lets one wait that no "
        "node can hold. On Vertex AI a task can have 96 CPUs and 624 GB of memory.",
        "Ask for less",
        _resources,
    ),
    Rule(
        "unpinned-packages",
        _W,
        ALL,
        "Packages that are installed without a version",
        "The same file installs other versions later, and a cached task does not notice. Each task "
        "needs an index that answers, too.",
        "Write the versions in packages_to_install (`pandas==2.3.3`), or build them into an image",
        _unpinned,
    ),
)
