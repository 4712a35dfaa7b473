"""Builds the images of `images/` that are not yet in the cache, two at a time."""

from __future__ import annotations

import importlib.util
import re
import shutil
import struct
import tarfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import KitError
from kfpkit.core.versions import version
from kfpkit.images import cache, engine, recipe, runc_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kfpkit.images.recipe import GoBuild, PythonPackages, Recipe

#: Builds at a time: one may compile while another downloads or waits for the disk.
WORKERS = 2

#: Seconds between two lines saying what is being built.
PROGRESS_INTERVAL = 30.0

#: Debian packages, each with a program of its name, that an image's own steps run on this machine.
PROGRAMS = {"debian": "debootstrap"}

#: Compiles packages without what only a debugger reads: programs have none of it either (-s -w),
#: and Go's build cache is a fifth smaller.
NO_DEBUGGING = "-gcflags=all=-dwarf=false"

#: Percent by which Go's compiler and linker let memory grow between two collections; Go's own 100
#: costs packages of a second and more 13 to 37 % more processor time, for a third less memory.
GROWTH = 400

#: Of every program, with cgo or not: Go's own resolver and reader of users. Without them `net`, and
#: all that is above it, would be compiled once for each of the two.
TAGS = ("netgo", "osusergo")

_MAJOR = re.compile(r"v[0-9]+")


@dataclass
class Build:
    """One image being built; what a recipe's `prepare(build)` gets."""

    recipe: Recipe
    digest: str
    #: A folder of its own, removed when the image is done.
    work: Path
    #: The output of all commands, kept.
    log: Path
    #: What the build is doing now, for progress.
    step: str = "starting"
    began: float = field(default_factory=time.monotonic)

    @property
    def context(self) -> Path:
        """What `docker build` gets."""
        return self.work / "context"

    @property
    def go(self) -> list[Path]:
        """Copies of the Go modules' folders, in the recipe's order; free to be changed."""
        return [self.work / f"go-{number}" for number, _ in enumerate(self.recipe.go)]

    @property
    def go_env(self) -> dict[str, str]:
        """Variables for every Go command: caches inside the kit's cache."""
        unchecked = sorted({path for build in self.recipe.go for path in build.unchecked})
        return go_env(unchecked)

    def run(
        self, argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        """Run a command with its output in the build's log.

        Raises:
            CommandError: It failed; the message shows the output's end and names the log.
        """
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {process.line(argv, env)}\n")
            process.stream(
                argv,
                cwd=cwd or self.work,
                env=env,
                on_line=lambda row: print(row, file=log, flush=True),
                do=f"The whole log is {self.log}",
            )


@dataclass(frozen=True)
class Outcome:
    """How an image came to be there."""

    entry: cache.Entry
    #: `cached`, `loaded` (into the engine, from the cache) or `built`.
    state: str
    sources: tuple[str, ...]


def go_env(unchecked: Sequence[str] = ()) -> dict[str, str]:
    """Return the variables for Go commands.

    Args:
        unchecked: Module paths that are not looked up in the checksum database.
    """
    env = {
        "GOMODCACHE": str(cache.root() / "go" / "mod"),
        "GOCACHE": str(cache.root() / "go" / "build"),
        # Writable, so that the cache can be removed with ordinary means.
        "GOFLAGS": "-modcacherw",
        "GOWORK": "off",
        "GOGC": str(GROWTH),
    }
    if unchecked:
        env["GONOSUMDB"] = ",".join(unchecked)
    return env


def require_go() -> str:
    """Return the host's Go version line.

    Raises:
        KitError: There is no Go, or it is too old.
    """
    said = process.query(["go", "env", "GOVERSION"], check=False)
    found = tuple(int(n) for n in re.findall(r"\d+", said.stdout)[:2])
    need = version("GO_VERSION")
    if not said.ok or found < tuple(int(n) for n in need.split(".")):
        have = said.stdout.strip() if said.ok else "none"
        raise KitError(
            f"images are built with Go {need} or newer, and this machine has {have}",
            "Install it from https://go.dev/dl and put it on PATH",
        )
    return said.stdout.strip()


def plan(
    names: Iterable[str] = (), *, public: bool = False
) -> tuple[dict[str, Recipe], dict[str, str]]:
    """Return recipes of the named images (default: all) and their needs, with content addresses.

    Args:
        names: Images.
        public: Start from public images where a recipe names some.
    """
    names = list(names)
    recipes = recipe.load_all(names=names)
    if public:
        recipes = {name: each.on_public_bases for name, each in recipes.items()}
    chosen = recipe.closure(names or recipes, recipes)
    recipes = {name: recipes[name] for name in chosen}
    go_version = require_go() if any(r.go for r in recipes.values()) else ""
    return recipes, cache.digests(recipes, go_version=go_version)


def ensure(
    names: Iterable[str] = (),
    *,
    load: Iterable[str] = (),
    public: bool = False,
    confirm: Callable[[str], bool] | None = None,
) -> dict[str, Outcome]:
    """Make sure that images are in the cache, building those that are not.

    Args:
        names: Images; default all. What they need is built with them.
        load: Those that are to be in the Docker engine afterwards.
        public: Start from public images where a recipe names some.
        confirm: Asked before a program that a build needs is installed; None where nobody can be.

    Returns:
        What was done, by name, in build order.

    Raises:
        KitError: A build failed; what was finished before stays in the cache.
    """
    names = list(names)
    recipes, digests = plan(names, public=public)
    outcomes, missing = _cached(names or recipes, recipes, digests)
    if missing:
        with cache.lock():
            shutil.rmtree(cache.root() / "work", ignore_errors=True)
            # Another build may have made some while this one waited.
            outcomes, missing = _cached(names or recipes, recipes, digests)
            if missing:
                console.say(f"to build: {', '.join(missing)} (cache: {cache.root()})")
            for name, program in PROGRAMS.items():
                if name in missing and not shutil.which(program):
                    engine.install_if_agreed([program], confirm)
            outcomes |= _build_all({name: recipes[name] for name in missing}, digests)
    for name in load:
        if name in outcomes and load_into_engine(outcomes[name].entry):
            done = outcomes[name]
            state = "loaded" if done.state == "cached" else done.state
            outcomes[name] = Outcome(done.entry, state, done.sources)
    if missing:
        engine.remove_replaced()
    return {name: outcomes[name] for name in recipes if name in outcomes}


def _cached(
    names: Iterable[str], recipes: Mapping[str, Recipe], digests: Mapping[str, str]
) -> tuple[dict[str, Outcome], list[str]]:
    """Return which images are cached, of those named and those that a build of the others needs.

    Returns:
        The outcome of each that is cached, and the names of those that are to be built.
    """
    outcomes: dict[str, Outcome] = {}
    missing = []
    wanted = set(names)
    for name in reversed([*recipes]):  # Each comes before those it needs.
        if name not in wanted:
            continue
        entry = cache.find(name, digests[name])
        if entry:
            outcomes[name] = Outcome(entry, "cached", recipes[name].sources)
        else:
            missing.append(name)
            wanted |= set(recipes[name].dependencies)
    return outcomes, missing[::-1]


def load_into_engine(entry: cache.Entry) -> bool:
    """Load a cached image into the Docker engine unless it is there; return whether it was not."""
    if all(engine.inputs_of(reference) == entry.digest for reference in entry.references):
        return False
    process.run(["docker", "load", "--quiet", "--input", str(entry.archive)])
    return True


def _build_all(recipes: Mapping[str, Recipe], digests: Mapping[str, str]) -> dict[str, Outcome]:
    """Build in parallel, each image as soon as those it depends on are there."""
    sorter = TopologicalSorter(
        {name: [d for d in r.dependencies if d in recipes] for name, r in recipes.items()}
    )
    sorter.prepare()
    outcomes: dict[str, Outcome] = {}
    running: dict[Future[cache.Entry], Build] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(WORKERS) as pool:
        queue: list[str] = []
        said = time.monotonic()
        while (sorter.is_active() and not failure) or running:
            if not failure:
                queue += sorter.get_ready()
            while len(running) < WORKERS and not failure:
                name = _startable(queue, recipes, running.values())
                if name is None:
                    break
                queue.remove(name)
                build = _begin(recipes[name], digests)
                running[pool.submit(_make, build, digests)] = build
            done, _ = wait(running, timeout=1, return_when=FIRST_COMPLETED)
            if time.monotonic() - said >= PROGRESS_INTERVAL:
                said = time.monotonic()
                console.say("still building: " + "; ".join(_progress(b) for b in running.values()))
            for future in done:
                build = running.pop(future)
                failure = failure or future.exception()
                if not future.exception():
                    entry = future.result()
                    console.say(f"built {entry.name} in {entry.seconds:.0f} s")
                    outcomes[entry.name] = Outcome(entry, "built", build.recipe.sources)
                    sorter.done(entry.name)
    if failure:
        raise failure
    return outcomes


def _startable(
    queue: Sequence[str], recipes: Mapping[str, Recipe], running: Iterable[Build]
) -> str | None:
    """Return the first image in the queue that may be built now: one with Go programs at a time.

    Two at a time would compile the packages that they share twice; one after the other, the second
    finds them in Go's build cache. Go itself keeps every core busy.
    """
    compiling = any(build.recipe.go for build in running)
    return next((name for name in queue if not (compiling and recipes[name].go)), None)


def _progress(build: Build) -> str:
    return f"{build.recipe.name} ({build.step}, {time.monotonic() - build.began:.0f} s)"


def _begin(what: Recipe, digests: Mapping[str, str]) -> Build:
    log = cache.root() / "logs" / f"{what.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    work = cache.root() / "work" / what.name
    work.mkdir(parents=True)
    return Build(what, digests[what.name], work, log)


def _make(build: Build, digests: Mapping[str, str]) -> cache.Entry:
    """Build one image and put it into the cache."""
    what = build.recipe
    shutil.copytree(
        what.folder,
        build.context,
        symlinks=True,
        ignore=lambda here, names: _left_out(Path(here) == what.folder, names),
    )
    for part, copy in zip(what.go, build.go, strict=True):
        shutil.copytree(part.module, copy, symlinks=True)
    if what.prepare:
        build.step = "prepare"
        _prepare(build, what.prepare)
    for part, folder in zip(what.go, build.go, strict=True):
        build.step = "go build"
        _go_build(build, part, folder)
    if what.python:
        build.step = "python packages"
        _python_packages(build, what.python)
    for name in what.archives:
        (build.context / "archives").mkdir(exist_ok=True)
        (build.context / "archives" / f"{name}.tar").hardlink_to(
            cache.archive_path(name, digests[name])
        )
    build.step = "docker build"
    _docker_build(build, digests)
    build.step = "docker save"
    part_file = build.work / "image.tar"
    build.run(["docker", "save", "--output", str(part_file), *what.references])
    seconds = time.monotonic() - build.began
    entry = cache.Entry(
        what.name, build.digest, part_file.stat().st_size, round(seconds, 1), what.references
    )
    cache.keep(entry, part_file)
    shutil.rmtree(build.work, ignore_errors=True)
    return entry


def _left_out(top: bool, names: list[str]) -> set[str]:
    """Return what does not belong into the context: text for people, and the builder's own part."""
    out = {"__pycache__"}
    if top:
        out |= {"README.md", "image.toml", "prepare.py", "go"}
    return out & set(names)


def _prepare(build: Build, file: Path) -> None:
    spec = importlib.util.spec_from_file_location(f"prepare_{build.recipe.name}", file)
    if spec is None or spec.loader is None:
        raise KitError(f"{file} cannot be loaded", "It must be a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.prepare(build)


def _go_build(build: Build, part: GoBuild, folder: Path) -> None:
    target = build.context / "bin"
    target.mkdir(exist_ok=True)
    argv = ["go", "build", "-trimpath", "-buildvcs=false"]
    argv += ["-mod=vendor" if part.vendor else "-mod=readonly"]
    argv += [NO_DEBUGGING, "-ldflags", f"-s -w {part.ldflags}".strip()]
    argv += ["-tags", ",".join((*TAGS, *part.tags))]
    env = {**go_env(part.unchecked), "CGO_ENABLED": "1" if part.cgo else "0"}
    made = build.work / "made"
    made.mkdir(exist_ok=True)
    # One call for all programs, so that Go keeps every core busy.
    build.run([*argv, "-o", f"{made}/", *part.binaries.values()], cwd=folder, env=env)
    for name, package in part.binaries.items():
        (made / program_name(package)).rename(target / name)
        if part.capability:
            pack_with_capability(target / name, part.capability)


def pack_with_capability(program: Path, capability: str) -> None:
    """Put a program into an archive beside it, `NAME.tar`, that gives the file a capability.

    The classic `docker build` drops capabilities where it copies, and keeps them where it unpacks
    (ADD). To set one in the image would take a shell, and the file's size once more.

    Args:
        program: The file; in the archive it lies at the top.
        capability: By linux/capability.h, without `CAP_`.
    """
    # struct vfs_cap_data of revision 2, effective: what setcap writes for "cap_...=+ep".
    bits = 1 << runc_bounded.NAMES.index(capability)
    value = struct.pack("<5I", 0x02000001, bits & 0xFFFFFFFF, 0, bits >> 32, 0)
    with tarfile.open(f"{program}.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        entry = archive.gettarinfo(program, arcname=program.name)
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        text = value.decode("utf-8", "surrogateescape")
        entry.pax_headers = {"SCHILY.xattr.security.capability": text}
        with program.open("rb") as content:
            archive.addfile(entry, content)
    program.unlink()


def program_name(package: str) -> str:
    """Return the file name Go gives to the program of a package: its last element without /vN."""
    *_, before, last = ["", *package.rstrip("/").split("/")]
    return before if _MAJOR.fullmatch(last) else last


def uv() -> str:
    """Return the uv that `make setup` put beside this Python, else the one on PATH."""
    import sys

    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


def _python_packages(build: Build, packages: PythonPackages) -> None:
    target = build.context / "site-packages"
    argv = [uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    # kfp-server-api is published as source alone.
    argv += ["--only-binary", ":all:", "--no-binary", "kfp-server-api"]
    argv += ["--python-version", packages.version]
    # Debian 12 has glibc 2.36.
    argv += ["--python-platform", f"{engine.machine()}-manylinux_2_36", "--link-mode", "copy"]
    env = {"UV_CACHE_DIR": str(cache.root() / "uv")}
    argv += ["--target", str(target), "--requirement", str(packages.requirements)]
    build.run(argv, env=env)


def _docker_build(build: Build, digests: Mapping[str, str]) -> None:
    what = build.recipe
    argv = ["docker", "build", "--label", f"{engine.INPUTS_LABEL}={build.digest}"]
    for need in what.needs:
        entry = cache.find(need, digests[need])
        if entry is None:
            raise KitError(f"the image {need} left the cache during the build", "Start again")
        load_into_engine(entry)
        argv += ["--build-arg", f"{recipe.argument(need)}={entry.references[0]}"]
    for name, value in (what.args or {}).items():
        argv += ["--build-arg", f"{name}={value}"]
    for reference in what.references:
        argv += ["--tag", reference]
    # The classic builder: it needs no plugin and is in every engine.
    build.run([*argv, str(build.context)], env={"DOCKER_BUILDKIT": "0"})
