"""What is given to make reaches the program as it was typed, or stops make before anything runs."""

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
from tests.unit.cli.test_cli import commands

if TYPE_CHECKING:
    from pathlib import Path

#: Takes the place of every program that the Makefile calls: notes its arguments and environment.
RECORDER = f"""#!{sys.executable} -IS
import json, os, sys
with open("called.json", "a") as file:
    print(json.dumps([os.path.basename(sys.argv[0]), sys.argv[1:], dict(os.environ)]), file=file)
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
    "a, b",
    "",
]
ALL = " ".join(ODD)

MAKEFILE = (ROOT / "Makefile").read_text()

#: Each target's variables with their defaults, as the Makefile has them.
(WHERE,) = re.findall(r"^where := (.*)$", MAKEFILE, flags=re.MULTILINE)
TAKES = {
    target: dict(
        word.partition("=")[::2]
        for word in text.replace("$(where)", WHERE)
        .replace("$(kit)", "DRY_RUN=no PYTHON=python3")
        .split()
    )
    for target, text in re.findall(r"^takes\.(\S+) :=(.*)$", MAKEFILE, flags=re.MULTILINE)
}

#: What only make takes.
OF_MAKE = {"DRY_RUN", "PYTHON", "PYTEST_ARGS", "CHOICE"}

#: The commands of targets that are not called as these.
CALLED = {
    "schedule": ("schedule set", "schedule list"),
    "unschedule": ("schedule delete",),
    "lint-pipeline": ("lint",),
    "images": ("images build",),
    "test-cluster": ("cluster up",),
    "golden-check": ("golden",),
    **{f"cluster-{verb}": (f"cluster {verb}",) for verb in ("up", "down", "status")},
    **{f"images-{verb}": (f"images {verb}",) for verb in ("list", "push")},
    **{f"cache-{verb}": (f"cache {verb}",) for verb in ("info", "clean")},
}

#: Targets that call other tools, or make itself.
OTHERS = {"help", "setup", "check", "verify", "test", "bench", "lint", "fmt", "hooks"}


@dataclass
class Checkout:
    """A folder with the Makefile and, in place of the programs that it calls, a recorder."""

    folder: Path

    def make(self, *words: str, env: dict[str, str] | None = None) -> process.Result:
        # Of a make that runs these tests, nothing may come through.
        outer = dict.fromkeys(("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTEST_ADDOPTS"), "")
        argv = ["make", *words]
        return process.query(argv, cwd=self.folder, env={**outer, **(env or {})}, check=False)

    def calls(self) -> list[Any]:
        """Return what was called: program, arguments, environment."""
        notes = self.folder / "called.json"
        return (
            [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
        )

    def called(self, *words: str, env: dict[str, str] | None = None) -> tuple[list[str], Any]:
        """Return the arguments and the environment that make gives the last program it calls."""
        done = self.make(*words, env=env)
        assert done.ok, done.stderr
        assert done.stdout == ""
        assert not (self.folder / "made").exists()
        program, arguments, environment = self.calls()[-1]
        return [program, *arguments], environment

    def refused(self, *words: str, env: dict[str, str] | None = None) -> str:
        """Return the one line with which make stops before it has done anything."""
        done = self.make(*words, env=env)
        assert not done.ok
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        assert self.calls() == []
        assert not (self.folder / "made").exists()
        return done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    for name in ("Makefile", "versions.env", "scripts/help.awk", "scripts/verify.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("kfpkit", "pytest", "pre-commit", "python", "ruff"):
        executable(tmp_path / ".venv/bin" / name)
    executable(tmp_path / "scripts/setup.sh")
    for name in ("pyproject.toml", "uv.lock", ".venv/.synced"):
        (tmp_path / name).touch()
    return Checkout(tmp_path)


def executable(program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(RECORDER)
    program.chmod(0o755)


@pytest.mark.parametrize("value", ODD)
def test_what_is_typed_reaches_the_program_unchanged(checkout: Checkout, value: str) -> None:
    argv, found = checkout.called("run", f"ARGS={value}", f"PIPELINE={value}")
    assert argv == ["kfpkit", "run", f"--args={value}", "--", value]
    assert not {"ARGS", "PIPELINE"} & set(found)
    argv, _ = checkout.called("inventory-compare", f"AFTER={value}")
    assert argv == ["kfpkit", "inventory-compare", "--", "", value]


@pytest.mark.parametrize("target", sorted({*TAKES} - OTHERS))
def test_every_variable_is_handed_on_as_an_option_that_the_command_has(
    checkout: Checkout, target: str
) -> None:
    """And the options that it has are the target's variables, with the same defaults."""
    takes = {name: text for name, text in TAKES[target].items() if name not in OF_MAKE}
    known = [commands()[tuple(words.split())] for words in CALLED.get(target, (target,))]
    options = {
        param.envvar.removeprefix("KFPKIT_"): param
        for command in known
        for param in command.params
        if param.envvar
    }
    assert takes.keys() == options.keys()
    for name, param in options.items():
        default = "" if param.default is None else str(param.default)
        assert takes[name] == {"True": "yes", "False": "no"}.get(default, default), name

    flags = [name for name, default in takes.items() if default in ("yes", "no")]
    arguments = [n for n, param in options.items() if param.param_type_name == "argument"]
    texts = takes.keys() - flags - set(arguments)
    for on in (False, True):
        typed = [f"{name}={ALL}" for name in (*texts, *arguments)]
        checkout.called(target, *typed, *(f"{name}={on:d}" for name in flags))
        words = checkout.calls()[-1 - (target == "test-cluster")][1]
        handed = {f"{options[name].opts[0]}={ALL}" for name in texts}
        handed |= {
            (options[name].opts if on else options[name].secondary_opts)[0] for name in flags
        }
        own = words[: words.index("--")] if arguments else words
        assert {word for word in own if word.startswith("--")} == handed | (
            {"--check"} if target == "golden-check" else set()
        )
        assert words[len(own) :] == (["--", *(ALL for _ in arguments)] if arguments else [])


@pytest.mark.parametrize("value", ["2", "maybe", "1 1", "", "True", "$(touch made)"])
def test_what_is_on_or_off_is_nothing_else(checkout: Checkout, value: str) -> None:
    said = checkout.refused("uninstall", f"DELETE_DATA={value}")
    assert f"DELETE_DATA={value} is neither 1 nor 0" in said


@pytest.mark.parametrize(
    ("value", "word"),
    [("true", "--yes"), ("yes", "--yes"), ("no", "--no-yes"), ("false", "--no-yes")],
)
def test_on_and_off_have_words(checkout: Checkout, value: str, word: str) -> None:
    assert checkout.called("uninstall", f"YES={value}")[0] == ["kfpkit", "uninstall", word]


def test_the_table_says_what_kfpkit_says() -> None:
    texts = dict(re.findall(r"^#: (\S+) +(.*)$", MAKEFILE, flags=re.MULTILINE))
    helps = {
        param.envvar.removeprefix("KFPKIT_"): param.help
        for command in commands().values()
        for param in command.params
        if param.envvar and param.envvar != "KFPKIT_RUNTIME_IMAGE"
    }
    assert {name: texts.get(name) for name in helps} == helps
    assert texts.keys() == {name for takes in TAKES.values() for name in takes}


def test_every_target_has_a_row_and_help_on_a_fresh_machine(checkout: Checkout) -> None:
    shutil.rmtree(checkout.folder / ".venv")
    rules = dict(re.findall(r"^([a-z][a-z-]*):.*## (.*)$", MAKEFILE, flags=re.MULTILINE))
    assert rules.keys() == TAKES.keys()
    shown = checkout.make("help")
    assert checkout.make().stdout == shown.stdout
    for target, text in rules.items():
        assert text in shown.stdout
        page = checkout.make(f"help-{target}").stdout
        assert text in page
        for name, default in TAKES[target].items():
            assert re.search(rf"{name}{'=' if default else ''}{re.escape(default)}\b", page)
    assert checkout.calls() == []


@pytest.mark.parametrize("target", sorted(TAKES))
@pytest.mark.parametrize("typed", ["CONTXT=x", "CONTXT=", "context=x", "VENV=x", "UV_VERSION=$(x)"])
def test_every_target_stops_at_what_it_does_not_take(
    checkout: Checkout, target: str, typed: str
) -> None:
    shutil.rmtree(checkout.folder / ".venv")
    said = checkout.refused(target, typed)
    assert f"{target} takes no {typed.partition('=')[0]}. It takes" in said
    assert " ".join(sorted(TAKES[target]) or ["no variables"]) in said


def test_every_target_of_several_has_to_take_it(checkout: Checkout) -> None:
    assert "cluster-up takes no CONTEXT" in checkout.refused("install", "cluster-up", "CONTEXT=x")


def test_a_parameter_is_told_its_place(checkout: Checkout) -> None:
    assert 'ARGS="seed=$(touch made)"' in checkout.refused("run", "seed=$(touch made)")
    assert "ARGS=" not in checkout.refused("status", "seed=7")


def test_a_word_that_is_no_target_stops_make_before_the_first(checkout: Checkout) -> None:
    assert "There is no target penguins" in checkout.refused("run", "penguins")
    assert "There is no target help-nothing" in checkout.refused("help-nothing")


def test_a_bare_variable_of_the_environment_is_not_handed_on(checkout: Checkout) -> None:
    env = {"CONTEXT": "prod", "ARGS": "seed=7"}
    assert checkout.called("run", env=env)[0] == ["kfpkit", "run"]
    env = {"PYTEST_ARGS": "-k x", "CHOICE": "x"}
    done = checkout.make("test", env=env)
    assert "PYTEST_ARGS of the environment does not count" in done.stderr
    assert "CHOICE" not in done.stderr
    assert checkout.calls()[-1][2]["PYTEST_ADDOPTS"].split() == ["-n", "auto"]


def test_what_make_itself_takes_stays(checkout: Checkout) -> None:
    shell = shutil.which("bash")
    argv, _ = checkout.called("run", f"SHELL={shell}", "MAKEFLAGS=-s", "ARGS=a", "-s")
    assert argv == ["kfpkit", "run", "--args=a"]


def test_a_dry_run_is_said_before_the_command(checkout: Checkout) -> None:
    assert checkout.called("status", "DRY_RUN=1")[0] == ["kfpkit", "--dry-run", "status"]
    assert checkout.called("status", "DRY_RUN=no")[0] == ["kfpkit", "--no-dry-run", "status"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ([], ["list"]),
        (["HOST=x"], ["list", "--host=x"]),
        (["CRON=x"], ["set", "--cron=x"]),
        (["EVERY=x", "PIPELINE=y"], ["set", "--every=x", "--", "y"]),
        (["SCHEDULE=x"], ["set", "--schedule=x"]),
    ],
)
def test_a_schedule_is_set_where_anything_of_one_is_given(
    checkout: Checkout, typed: list[str], words: list[str]
) -> None:
    assert checkout.called("schedule", *typed)[0] == ["kfpkit", "schedule", *words]


def test_pytest_takes_apart_what_is_typed_for_it(checkout: Checkout) -> None:
    argv, found = checkout.called("test", f"PYTEST_ARGS={ALL}")
    assert argv == ["pytest"]
    assert found["PYTEST_ADDOPTS"] == f"-n auto {ALL}"
    argv, found = checkout.called(
        "test-cluster", f"PYTEST_ARGS={ALL}", f"CHOICE={ALL}", f"KIND_CONFIG={ALL}"
    )
    assert argv == ["pytest", "--cluster", "-m", ALL]
    assert found["PYTEST_ADDOPTS"] == ALL
    assert found["KFPKIT_KIND_CONFIG"] == ALL


def test_what_set_up_is_given_is_one_word(checkout: Checkout) -> None:
    for typed, python in (([], "python3"), ([f"PYTHON={ALL}"], ALL)):
        (checkout.folder / ".venv/.synced").unlink()
        argv, _ = checkout.called("setup", *typed, env={"PYTHON": "other"})
        assert argv[:3] == ["setup.sh", python, ".venv"]


def test_a_make_inside_make_hands_on_what_is_typed(checkout: Checkout) -> None:
    """By MAKEFLAGS alone: the environment has nothing of it."""
    text = "unexport ARGS\nouter:\n\t@$(MAKE) --file=Makefile run\n"
    (checkout.folder / "outer.mk").write_text(text)
    argv, found = checkout.called("--file=outer.mk", "--silent", "outer", f"ARGS={ALL}")
    assert argv == ["kfpkit", "run", f"--args={ALL}"]
    assert "ARGS" not in found


def test_the_checks_give_each_its_own(checkout: Checkout) -> None:
    done = checkout.make("--silent", "verify", "PYTEST_ARGS=-k $(touch made)", "NODES=2")
    assert done.ok, done.stderr
    assert not (checkout.folder / "made").exists()
    calls = {" ".join([name, *words]): env for name, words, env in checkout.calls()}
    assert calls.pop("pre-commit run --all-files --color=auto")
    assert calls.pop("kfpkit golden --check")
    assert calls.pop("kfpkit cluster up")["KFPKIT_NODES"] == "2"
    assert calls.pop("pytest")["PYTEST_ADDOPTS"] == "-n auto -k $(touch made)"
    on_cluster = ("kfp", "(cluster or docker) and not kfp")
    assert calls.keys() == {f"pytest --cluster -m {which} and not long" for which in on_cluster}
    assert {env["PYTEST_ADDOPTS"] for env in calls.values()} == {"-k $(touch made)"}


def test_what_pages_and_messages_tell_to_type_is_taken() -> None:
    """And nothing is told to stand before make, where it does not count."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("kfpkit/**/*.py")]
    pages += [*ROOT.glob("manifests/**/*.md"), *ROOT.glob("images/*/README.md")]
    told = 0
    for page in pages:
        text = page.read_text()
        assert not re.findall(r"\b(?!KFPKIT_)[A-Z_]+=[^\s;,]+ make [a-z]", text), page
        for target, typed in re.findall(r"\bmake ([a-z-]+)((?: [A-Z_]+=\S*)+)", text):
            names = re.findall(r" ([A-Z_]+)=", typed)
            assert set(names) <= TAKES[target].keys(), (page, target)
            told += len(names)
    assert told > 60


def test_no_recipe_pastes_a_variable_that_a_person_gives() -> None:
    recipes = re.findall(r"^\t.*$", MAKEFILE, flags=re.MULTILINE)
    pasted = {name for line in recipes for name in re.findall(r"(?<!\$)\$[({]([A-Z_]+)", line)}
    assert pasted == {"BIN", "VENV", "MAKE", "UV_VERSION"}
