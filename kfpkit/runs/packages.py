"""The packages that tasks install when they start: can they be had, before a run is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from components.image import DEFAULT, FOLDER, RUNTIME_IMAGE
from kfpkit.cluster import lifecycle, loading
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.core.urls import without_password
from kfpkit.images import engine
from kfpkit.kfp import spec as ir
from kfpkit.runs.local import task_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kfpkit.cluster.config import KindCluster
    from kfpkit.kfp.spec import Spec

#: What pip asks where it is told of no other.
INDEX = "https://pypi.org/simple"

#: Seconds for an index to answer a node.
TIMEOUT = 8

#: Exit codes of curl for an address that does not resolve, or where nobody answers.
_NOBODY = {6: "its name does not resolve", 7: "nobody answers", 28: f"no answer in {TIMEOUT} s"}

#: The same for a certificate that is not trusted, and what curl says where it is of a private
#: authority: a public one sends no such chain.
_UNTRUSTED = 60
_PRIVATE = re.compile("self.signed certificate")
_PRIVATE_ONE = "its certificate is of an authority that images do not know"


@dataclass(frozen=True)
class Install:
    """What a component installs when a task of it starts."""

    component: str
    image: str
    packages: tuple[str, ...]
    indexes: tuple[str, ...]
    #: Whether certificates do not count: kfp says so of each index that a component names.
    trusted: bool

    @property
    def certain(self) -> bool:
        """Whether it is known that the image lacks them: Python's own, and that of the sample."""
        return self.image == RUNTIME_IMAGE or is_plain_python(self.image)


def is_plain_python(image: str) -> bool:
    """Whether an image is the official one of Python, or a registry's copy: it has no packages."""
    path = loading.full_name(image).partition("/")[2]
    return re.split("[:@]", path)[0] in ("python", "library/python")


def check_on_kind(kind: KindCluster, spec: Spec) -> None:
    """Refuse packages that the nodes of a kind cluster cannot reach; warn where they may be there.

    A pod goes to the network through its node. Where a task is told of another way, by variables of
    pip or of a proxy, nothing is asked.

    Raises:
        BadInputError: No node reaches an index, and the image lacks the packages.
    """
    wanted = list(installs(spec))
    if not wanted or not engine.answers():
        return
    running = [n for n, state in lifecycle.observe(kind).containers.items() if state == "running"]
    if not running:
        return
    said: dict[str, str] = {}
    for install in wanted:
        for index in install.indexes:
            if index not in said:
                said[index] = _trouble(running[0], index)
            if not said[index] or (install.trusted and said[index].endswith(_PRIVATE_ONE)):
                continue
            names = ", ".join(map(without_password, install.packages))
            what = (
                f"a task of {install.component} installs {names}, and no pod reaches {said[index]}"
            )
            if install.certain:
                raise BadInputError(
                    what,
                    "Put them into the image (docs/use/your-pipeline.md), or name an index that "
                    "the cluster reaches: pip_index_urls of the component",
                )
            console.warn(f"{what}: it fails unless its image {install.image} has them")


def installs(spec: Spec) -> Iterator[Install]:
    """Yield what components install from an index that is not known to be in their images."""
    for name, container in _python(spec):
        steps = task_process.installs_of(container["command"]) or []
        variables = {one["name"].lower() for one in container.get("env", [])}
        if any(one.startswith("pip_") or one.endswith("_proxy") for one in variables):
            continue
        packages = [p for step in steps for p in _packages(step)]
        if container["image"] in (RUNTIME_IMAGE, DEFAULT):
            there = _locked()
            packages = [package for package in packages if not _is_in(package, there)]
        if packages:
            indexes = {index for step in steps for index in _indexes(step)}
            yield Install(
                ir.short_name(name),
                container["image"],
                tuple(dict.fromkeys(packages)),
                tuple(sorted(indexes)) or (INDEX,),
                any("--trusted-host" in step for step in steps),
            )


def _python(spec: Spec) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, container in ir.containers(spec):
        if ir.is_python(container):
            yield name, container


def _packages(step: Sequence[str]) -> Iterator[str]:
    """Yield the packages among the words after `pip install`."""
    words = iter(step)
    for word in words:
        if word in ("--index-url", "--extra-index-url", "--trusted-host"):
            next(words, None)
        elif not word.startswith("-") and not word.endswith('python_version<"3.9"'):
            yield word


def _indexes(step: Sequence[str]) -> Iterator[str]:
    for word, after in zip(step, [*step[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in ("--index-url", "--extra-index-url"):
            yield value if equals else after


def _locked() -> dict[str, str]:
    """Return the versions of the packages of the sample's image by their names."""
    text = (FOLDER / "requirements.txt").read_text(encoding="utf-8")
    return {_plain(name): version for name, version in re.findall(r"(?m)^(\S+?)==(\S+)", text)}


def _is_in(package: str, there: dict[str, str]) -> bool:
    try:
        asked = Requirement(package)
    except InvalidRequirement:  # a path or an address
        return False
    version = there.get(_plain(asked.name))
    return bool(version) and not asked.url and asked.specifier.contains(version or "")


def _plain(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def _trouble(node: str, index: str) -> str:
    """Return why a node does not reach an index, with its host; empty where it does."""
    host = urlsplit(index).hostname or index
    if host.endswith(".svc") or ".svc." in host:
        return ""  # of the cluster, which a node does not resolve
    # Before 8.16, curl takes no `--option=value`.
    argv = ["docker", "exec", node, "curl", "--silent", "--show-error", "--max-time", str(TIMEOUT)]
    asked = process.query([*argv, "--output", "/dev/null", "--url", index], check=False)
    if asked.returncode == _UNTRUSTED and _PRIVATE.search(asked.stderr):
        return f"{host}: {_PRIVATE_ONE}"
    return f"{host}: {_NOBODY[asked.returncode]}" if asked.returncode in _NOBODY else ""
