"""The builder: names, and images that need no toolchain built for real."""

from __future__ import annotations

import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.images import builder, cache
from kfpkit.images.recipe import GoBuild, Recipe

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("package", "program"),
    [
        ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
        ("go.etcd.io/etcd/server/v3", "server"),
        ("github.com/coredns/coredns", "coredns"),
    ],
)
def test_a_program_is_named_as_go_names_it(package: str, program: str) -> None:
    assert builder.program_name(package) == program


def test_go_is_told_which_modules_the_checksum_database_lacks() -> None:
    assert "GONOSUMDB" not in builder.go_env()
    assert builder.go_env(["example/a", "example/b"])["GONOSUMDB"] == "example/a,example/b"


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go on this machine")
def test_what_uses_the_network_is_compiled_once_for_programs_with_cgo_and_without() -> None:
    def files(cgo: str) -> str:
        tags = ",".join(builder.TAGS)
        argv = ["go", "list", "-tags", tags, "-f", "{{.GoFiles}} {{.CgoFiles}}", "net", "os/user"]
        return process.query(argv, env={"CGO_ENABLED": cgo}).stdout

    assert files("0") == files("1")


def test_what_a_cached_image_was_made_of_is_not_needed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    base, python, runtime, other = (
        Recipe(name, tmp_path, (f"x/{name}:1",), (), needs=needs)
        for name, needs in {
            "base": (),
            "python": ("base",),
            "runtime": ("python",),
            "other": ("base",),
        }.items()
    )
    recipes = {one.name: one for one in (base, python, runtime, other)}
    digests = dict.fromkeys(recipes, "abc")

    def keep(name: str) -> None:
        archive = tmp_path / "image.tar"
        archive.write_bytes(b"image")
        cache.keep(cache.Entry(name, "abc", 5, 1.0, recipes[name].references), archive)

    def seen(*names: str) -> tuple[set[str], list[str]]:
        outcomes, missing = builder._cached(names, recipes, digests)
        return set(outcomes), missing

    assert seen("runtime") == (set(), ["base", "python", "runtime"])
    keep("runtime")
    assert seen("runtime") == ({"runtime"}, [])
    assert seen("runtime", "other") == ({"runtime"}, ["base", "other"])
    keep("base")
    assert seen(*recipes) == ({"base", "runtime"}, ["python", "other"])


def test_a_packed_program_brings_its_capability_along(tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_bytes(b"program")
    program.chmod(0o755)
    builder.pack_with_capability(program, "NET_BIND_SERVICE")
    assert not program.exists()
    with tarfile.open(tmp_path / "server.tar") as archive:
        [entry] = archive.getmembers()
        assert (entry.name, entry.mode, entry.uid, entry.gid) == ("server", 0o755, 0, 0)
        # As `getfattr --encoding=hex` shows what setcap cap_net_bind_service=+ep wrote.
        value = entry.pax_headers["SCHILY.xattr.security.capability"].encode()
        assert value.hex() == "0100000200040000000000000000000000000000"
        content = archive.extractfile(entry)
        assert content is not None
        assert content.read() == b"program"


def test_one_image_with_go_programs_is_built_at_a_time(tmp_path: Path) -> None:
    """Else Go compiles what both need twice."""
    go = (GoBuild(tmp_path, {}),)
    compiled, other, plain = (
        Recipe(name, tmp_path, (f"x/{name}:1",), (), go=part)
        for name, part in {"compiled": go, "other": go, "plain": ()}.items()
    )
    recipes = {one.name: one for one in (compiled, other, plain)}
    running = [builder.Build(compiled, "abc", tmp_path, tmp_path / "log")]

    assert builder._startable(["other", "plain"], recipes, []) == "other"
    assert builder._startable(["other", "plain"], recipes, running) == "plain"
    assert builder._startable(["other"], recipes, running) is None
