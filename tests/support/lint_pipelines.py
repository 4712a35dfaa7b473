"""Small compiled pipelines for the rules of lint, as the documents of their YAML."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

Json = dict[str, Any]

#: The type of a parameter by that of its value.
_TYPES = {str: "STRING", float: "NUMBER_DOUBLE", bool: "BOOLEAN", list: "LIST", dict: "STRUCT"}


def code(source: str, *, packages: str = "", image: str = "python:3.11.9", **more: Any) -> Json:
    """Return the executor of a Python component: the last function of `source` is what it runs.

    Args:
        source: The code.
        packages: Words after `pip install`.
        image: Its image.
        more: Fields of its container: `env`, `resources`.
    """
    text = f"import kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\n\n{dedent(source).strip()}\n"
    function = text.rpartition("def ")[2].partition("(")[0]
    install = f"python3 -m pip install {packages} && " if packages else ""
    return {
        "container": {
            "image": image,
            "command": [
                *("sh", "-c", f'{install}"$0" "$@"\n', "sh", "-ec"),
                "python3 -m kfp.dsl.executor_main --component_module_path x.py",
                text,
            ],
            "args": ["--executor_input", "{{$}}", "--function_to_execute", function],
            **more,
        }
    }


def command(*words: str, image: str = "alpine:3.23", **more: Any) -> Json:
    """Return the executor of a container component."""
    return {"container": {"image": image, "command": [*words], **more}}


def importer(uri: Json, title: str = "system.Dataset") -> Json:
    """Return the executor of an importer."""
    return {"importer": {"artifactUri": uri, "typeSchema": {"schemaTitle": title}}}


def task(
    executor: Json | str = "",
    inputs: Json | None = None,
    *,
    graph: Json | None = None,
    component: str = "",
    outputs: tuple[str, ...] = (),
    artifacts: tuple[str, ...] = (),
    types: Json | None = None,
    cached: bool = True,
    **more: Any,
) -> Json:
    """Return a task for `pipeline`, along with what its component is.

    Args:
        executor: How it runs; empty where `graph` has tasks.
        inputs: By name a value, or `{"from": "TASK.OUTPUT"}`, or `{"parameter": NAME}`.
        graph: The tasks inside, by name.
        component: The component's name, where it is not the task's.
        outputs: Names of the texts that it gives.
        artifacts: Names of the artifacts that it gives.
        types: Types of inputs, where the values do not say them.
        cached: Whether it is cached.
        more: Fields of the task: `dependentTasks`, `triggerPolicy`, `parameterIterator`.
    """
    return {
        "executor": executor or command("true"),
        "inputs": inputs or {},
        "graph": graph,
        "component": component,
        "outputs": outputs,
        "artifacts": artifacts,
        "types": types or {},
        "task": {"cachingOptions": {"enableCache": True} if cached else {}, **more},
    }


def pipeline(
    tasks: Json, defaults: Json | None = None, platform: Json | None = None, **more: Any
) -> list[Json]:
    """Return the documents of a compiled pipeline.

    Args:
        tasks: Tasks by name.
        defaults: The pipeline's parameters with their defaults.
        platform: What `kfp.kubernetes` says of the executor of a task, by the task's name.
        more: Fields of the IR: `defaultPipelineRoot`.
    """
    components: Json = {}
    executors: Json = {}
    root: Json = {"dag": {"tasks": _tasks(tasks, components, executors)}}
    if defaults:
        parameters = {
            name: {"parameterType": _type(value), "defaultValue": value, "isOptional": True}
            for name, value in defaults.items()
        }
        root["inputDefinitions"] = {"parameters": parameters}
    spec = {
        "pipelineInfo": {"name": "small"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "components": components,
        "deploymentSpec": {"executors": executors},
        "root": root,
        **more,
    }
    if not platform:
        return [spec]
    settings = {f"exec-{name}": one for name, one in platform.items()}
    return [spec, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": settings}}}}]


def _tasks(tasks: Json, components: Json, executors: Json) -> Json:
    made = {}
    for name, one in tasks.items():
        component = f"comp-{one['component'] or name}"
        declared = {
            key: {"parameterType": one["types"].get(key) or _type(value)}
            for key, value in one["inputs"].items()
        }
        body: Json = {"inputDefinitions": {"parameters": declared}} if declared else {}
        outputs: Json = {}
        if one["outputs"]:
            outputs["parameters"] = {key: {"parameterType": "STRING"} for key in one["outputs"]}
        if one["artifacts"]:
            outputs["artifacts"] = {
                key: {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}
                for key in one["artifacts"]
            }
        if outputs:
            body["outputDefinitions"] = outputs
        if one["graph"] is None:
            body["executorLabel"] = f"exec-{name}"
            executors[f"exec-{name}"] = one["executor"]
        else:
            body["dag"] = {"tasks": _tasks(one["graph"], components, executors)}
        components[component] = body
        made[name] = {
            "taskInfo": {"name": name},
            "componentRef": {"name": component},
            **one["task"],
        }
        if one["inputs"]:
            given = {key: _source(value) for key, value in one["inputs"].items()}
            made[name]["inputs"] = {"parameters": given}
        above = {
            value["from"].partition(".")[0]
            for value in one["inputs"].values()
            if isinstance(value, dict) and "from" in value
        }
        if above:
            before = one["task"].get("dependentTasks", [])
            made[name]["dependentTasks"] = sorted(above | {*before})
    return made


def _source(value: Any) -> Json:
    if isinstance(value, dict) and "from" in value:
        producer, _, output = value["from"].partition(".")
        return {
            "taskOutputParameter": {
                "producerTask": producer,
                "outputParameterKey": output or "Output",
            }
        }
    if isinstance(value, dict) and "parameter" in value:
        return {"componentInputParameter": value["parameter"]}
    return {"runtimeValue": {"constant": value}}


def _type(value: Any) -> str:
    if isinstance(value, dict) and ("from" in value or "parameter" in value):
        return "STRING"
    return "NUMBER_INTEGER" if type(value) is int else _TYPES[type(value)]
