"""The Python environment that a task on this machine runs in.

A task without packages of its own runs in the kit's environment, which stands for its base image.
`packages_to_install` go into an environment of the task's own, which holds what the pod would hold:

- with the official image `python`: those packages, and the kfp that the component asks for
- with any other image, whose content the kit does not know: those packages, and below them the
  kit's environment
- with the image of the sample, where the kit is installed without what the sample imports: the
  locked packages of that image, too

It is made by uv, from the same index as the kit's own, and kept in the cache by what it is made
of. The kit's environment is only read.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import sys
import sysconfig
from contextlib import contextmanager
from functools import cache as cache_of_process
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from components.image import DEFAULT, FOLDER
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.images import cache
from kfpkit.images.builder import uv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: The part of the cache.
PART = "environments"

#: The locked packages of the sample's image.
LOCKED = FOLDER / "requirements.txt"

#: pip's options as uv has them. uv knows pip's names of the first two as well, but then its own
#: settings of the user would come before what the component asks for.
_OPTIONS_WITH_VALUE = {
    "--index-url": "--default-index",
    "--extra-index-url": "--index",
    "--trusted-host": "--allow-insecure-host",
}
_OPTIONS = ("--no-deps", "--pre", "--upgrade")
#: They only concern what pip prints.
_QUIET = ("--quiet", "--no-warn-script-location")


def python_for(
    image: str, installs: Sequence[Sequence[str]], on_line: Callable[[str], None]
) -> Path:
    """Return the Python that runs a task, after making its environment where there is none yet.

    Args:
        image: The component's base image.
        installs: The words after each `pip install` of its command.
        on_line: Called with each line about making it.

    Raises:
        BadInputError: An option or a path is among the packages.
        KitError: The packages cannot be installed.
    """
    own = f"kfp=={version('kfp')}"
    steps = [step for words in installs if not _is_there(step := _arguments(words), own)]
    if image == DEFAULT and not _has_locked():
        steps = [["--no-deps", f"--requirements={LOCKED}"], *steps]
    if not steps:
        return Path(sys.executable)
    below = ""
    if re.split("[:@]", image.rpartition("/")[2])[0] == "python":
        steps = [["--no-deps", own], *steps]
    else:
        below = sysconfig.get_path("purelib")
    made_of = [steps, below, sys.version_info[:2], sys.base_prefix]
    made_of += [image] if image == DEFAULT else []  # Its tag says what its packages are.
    digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:20]
    folder = cache.root() / PART / digest
    try:
        with _lock(folder):
            # A link, which leads nowhere once the Python that it was made with is gone.
            if not (folder / "bin/python").exists():
                _make(folder, steps, below, on_line)
    except OSError as error:
        raise KitError(f"the environment of the task cannot be made in {folder}: {error}") from None
    return folder / "bin/python"


@cache_of_process
def _has_locked() -> bool:
    """Whether the kit's environment has the packages of the sample's image, of any version."""
    # Those with a condition may not be for this Python.
    names = re.findall(r"(?m)^([\w.-]+)==[^ ;]+ \\$", LOCKED.read_text(encoding="utf-8"))
    try:
        for name in names:
            version(name)
    except PackageNotFoundError:
        return False
    return True


def _arguments(words: Sequence[str]) -> list[str]:
    """Return what `uv pip install` takes for what pip would have taken: options, then packages."""
    options, packages = [], []
    left = iter(words)
    for word in left:
        name, equals, value = word.partition("=")
        if name in _OPTIONS_WITH_VALUE:
            value = value if equals else next(left, "")
            if name == "--trusted-host":
                # kfp gives an URL with a path, where pip wants a host.
                value = urlsplit(value).netloc or value
            options.append(f"{_OPTIONS_WITH_VALUE[name]}={value}")
        elif word in _OPTIONS:
            options.append(word)
        elif word.startswith("-") and word not in _QUIET:
            raise BadInputError(
                f"packages_to_install has the option {_without_credentials(word)}, which the kit "
                "does not know on this machine",
                "Use pip_index_urls and pip_trusted_hosts for indexes",
            )
        elif "/" in word and "://" not in word:
            raise BadInputError(
                f"packages_to_install has the path {word}, which would be one of the image",
                "Name a package or an URL, or install it into the base image",
            )
        elif word not in _QUIET:
            packages.append(word)
    if any(option.startswith("--index=") for option in options):
        # As pip does, which takes the best version that any of the indexes has.
        options.append("--index-strategy=unsafe-best-match")
    return [*options, *sorted(packages)]


def _is_there(step: Sequence[str], own: str) -> bool:
    """Whether a step is the one that kfp's compiler adds, which every environment has already."""
    others = set(_packages(step)) - {own}
    return own in step and all(one.endswith('; python_version<"3.9"') for one in others)


def _packages(step: Sequence[str]) -> list[str]:
    return [
        f"the packages of {DEFAULT}" if word.endswith(str(LOCKED)) else word
        for word in step
        if not word.startswith("--") or word.endswith(str(LOCKED))
    ]


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one task at a time make an environment; the others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(
    folder: Path, steps: Sequence[Sequence[str]], below: str, on_line: Callable[[str], None]
) -> None:
    """Make an environment beside its place and rename it, so that there is never half of one."""
    packages = [package for step in steps for package in _packages(step)]
    names = _without_credentials(", ".join(packages))
    making = f"making a Python environment with {names}"
    console.say(making)
    on_line(making)
    part = folder.with_suffix(".part")
    for left in (part, folder):
        if left.exists():
            shutil.rmtree(left)

    def run(*words: str) -> None:
        said: list[str] = []
        argv = [uv(), "--quiet", "--color=never", *words]
        failed = process.run_group(argv, env={}, on_line=said.append)
        lines = [_without_credentials(line) for line in said]
        for line in lines:
            on_line(line)
        if failed:
            found = (re.match(r"\s*(?:error|cause|fatal): (.+)", line) for line in lines)
            why = ": ".join(match[1].rstrip(".") for match in found if match)
            raise KitError(
                f"{names} cannot be installed for the task: {why or f'uv ended with {failed}'}",
                "Check the names and versions in packages_to_install, and that the package index "
                "answers; uv's own settings name another (UV_DEFAULT_INDEX)",
            )

    # With pip, as the image has it; relocatable: its programs do not name the folder.
    run("venv", "--relocatable", "--seed", "--python", sys.executable, str(part))
    python = str(part / "bin/python")
    for step in steps:
        run("pip", "install", "--python", python, *step)
    if below:
        (site,) = part.glob("lib/python*/site-packages")
        line = f"import site; site.addsitedir({below!r})\n"
        (site / "kfpkit-below.pth").write_text(line, encoding="utf-8")
    part.rename(folder)


def _without_credentials(text: str) -> str:
    return re.sub(r"//[^/@\s]+@", "//***@", text)
