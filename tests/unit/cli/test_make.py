"""What is given to make reaches the program as it was typed, and nothing else happens with it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core import process
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

#: Takes the place of every program that the Makefile calls: notes its arguments and environment.
RECORDER = f"""#!{sys.executable} -IS
import json, os, sys
with open("called.json", "w") as file:
    json.dump([os.path.basename(sys.argv[0]), sys.argv[1:], dict(os.environ)], file)
"""

ODD = [
    "s=a;touch made",
    "s=a&touch made",
    "s=`touch made`",
    "s=$(touch made)",
    "s=$(shell touch made)",
    "s=$(error stop)",
    "s=$5 $$ ${HOME} $HOME $X",
    "'s=two words' \"t='\"",
    'd={"a": [1, "x\\n"]}',
    "s=\"; touch made; echo '",
    "back\\slash\\",
    "a#b 50% ~ * ? [a-z] !",
    "a | b > made < c",
    "two\nlines",
    "it's",
    "--help",
    "-n",
    "Ünïcode 日本",
]
ALL = " ".join(ODD)


@dataclass
class Checkout:
    """A folder with the Makefile and, in place of the programs that it calls, a recorder."""

    folder: Path

    def make(self, *words: str, env: dict[str, str] | None = None) -> process.Result:
        # Of a make that runs these tests, nothing may come through.
        outer = dict.fromkeys(("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTEST_ADDOPTS"), "")
        argv = ["make", *words]
        return process.query(argv, cwd=self.folder, env={**outer, **(env or {})}, check=False)

    def called(self, *words: str, env: dict[str, str] | None = None) -> tuple[list[str], Any]:
        """Return the arguments and the environment that make gives the last program it calls."""
        done = self.make(*words, env=env)
        assert done.ok, done.stderr
        assert done.stdout == ""
        assert not (self.folder / "made").exists()
        program, arguments, environment = json.loads((self.folder / "called.json").read_text())
        return [program, *arguments], environment


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    for name in ("Makefile", "versions.env"):
        shutil.copy(ROOT / name, tmp_path)
    programs = [tmp_path / ".venv/bin/kfpkit", tmp_path / ".venv/bin/pytest"]
    programs.append(tmp_path / "scripts/setup.sh")
    for program in programs:
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(RECORDER)
        program.chmod(0o755)
    for name in ("pyproject.toml", "uv.lock", ".venv/.synced"):
        (tmp_path / name).touch()
    return Checkout(tmp_path)


@pytest.mark.parametrize("value", ODD)
def test_what_is_typed_reaches_the_program_unchanged(checkout: Checkout, value: str) -> None:
    argv, found = checkout.called("run", f"ARGS={value}", f"PIPELINE={value}")
    assert argv == ["kfpkit", "run", "--", value]
    assert found["ARGS"] == value
    argv, found = checkout.called("run", env={"ARGS": value, "PIPELINE": value})
    assert argv == ["kfpkit", "run", "--", value]
    assert found["ARGS"] == value


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("run", ["run", "--", "penguins"]),
        ("up", ["up", "--", "penguins"]),
        ("upload", ["upload", "--", "penguins"]),
        ("schedule", ["schedule", "list"]),
        ("unschedule", ["schedule", "delete"]),
        ("report", ["report"]),
        ("explain", ["explain"]),
        ("backup", ["backup"]),
        ("compare", ["compare"]),
        ("images", ["images", "build"]),
        ("images-push", ["images", "push"]),
    ],
)
def test_every_target_leaves_the_texts_to_the_program(
    checkout: Checkout, target: str, words: list[str]
) -> None:
    names = ("ARGS", "RUN", "BEFORE", "AFTER", "NAMES", "EXPERIMENT", "SCHEDULE", "TO", "MIRROR")
    given = dict.fromkeys(names, ALL)
    none = {"PIPELINE": "", "CRON": "", "EVERY": ""}
    typed = [f"{name}={text}" for name, text in given.items()]
    argv, found = checkout.called(target, *typed, env=none)
    assert argv == ["kfpkit", *words]
    assert {name: found[name] for name in given} == given
    assert checkout.called(target, env={**given, **none})[0] == ["kfpkit", *words]


@pytest.mark.parametrize("name", ["CRON", "EVERY"])
def test_a_schedule_is_set_whatever_its_time(checkout: Checkout, name: str) -> None:
    for words, env in (([f"{name}={ALL}"], {}), ([], {name: ALL})):
        argv, found = checkout.called("schedule", f"PIPELINE={ALL}", *words, env=env)
        assert argv == ["kfpkit", "schedule", "set", "--", ALL]
        assert found[name] == ALL


def test_pytest_takes_apart_what_is_typed_for_it(checkout: Checkout) -> None:
    argv, found = checkout.called("test", f"PYTEST_ARGS={ALL}")
    assert argv == ["pytest"]
    assert found["PYTEST_ADDOPTS"] == f"-n auto {ALL}"
    argv, found = checkout.called("test-cluster", f"PYTEST_ARGS={ALL}", f"CHOICE={ALL}")
    assert argv == ["pytest", "--cluster", "-m", ALL]
    assert found["PYTEST_ADDOPTS"] == ALL


def test_what_set_up_is_given_is_one_word_each(checkout: Checkout) -> None:
    (checkout.folder / ".venv/.synced").unlink()
    argv, _ = checkout.called("setup", f"PYTHON={ALL}", f"UV_VERSION={ALL}", "VENV=a;b")
    assert argv == ["setup.sh", ALL, ".venv", ALL]


def test_without_a_word_the_defaults_are_taken(checkout: Checkout) -> None:
    none = dict.fromkeys(("PYTHON", "CHOICE", "PYTEST_ARGS"), "")
    assert checkout.called("test-cluster", env=none)[0][-1] == "cluster or kfp or docker"
    assert checkout.called("test", env=none)[1]["PYTEST_ADDOPTS"].split() == ["-n", "auto"]
    (checkout.folder / ".venv/.synced").unlink()
    assert checkout.called("setup", env=none)[0][1] == "python3"


def test_a_make_inside_make_hands_on_what_is_typed(checkout: Checkout) -> None:
    text = (checkout.folder / "Makefile").read_text()
    (checkout.folder / "Makefile").write_text(f"{text}\nouter:\n\t@$(MAKE) run\n")
    assert checkout.called("outer", f"ARGS={ALL}")[1]["ARGS"] == ALL


def test_no_recipe_pastes_a_variable_that_a_person_gives() -> None:
    recipes = re.findall(r"^\t.*$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    pasted = {name for line in recipes for name in re.findall(r"(?<!\$)\$[({](.*?)[)}]", line)}
    assert pasted == {"KFPKIT", "BIN", "VENV", "MAKE"}
