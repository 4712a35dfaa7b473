"""What commands import before anything runs: the least that they need."""

from __future__ import annotations

import ast
import json
import sys

import pytest

from kfpkit.core import process
from kfpkit.core.versions import ROOT

#: Runs the command line and prints the modules that it has imported.
CODE = """
import json, sys
from kfpkit.cli import main
try:
    main()
finally:
    print("\\n" + json.dumps(sorted(sys.modules)))
"""

#: Runs each command of the line as words that it refuses, and prints what all of them imported.
REFUSED = """
import json, sys
from kfpkit.cli import COMMANDS, main
for command in COMMANDS:
    for word in ("--no-such-option", "--target=no-such-target"):
        sys.argv[1:] = [command, word]
        try:
            main()
        except SystemExit as end:
            assert end.code, sys.argv
print("\\n" + json.dumps(sorted(sys.modules)))
"""

#: The libraries of `kfp.Client`, typer's for checking types, the sample's own, and those of
#: reports: together seconds.
HEAVY = {"kfp.client", "kubernetes", "google.auth", "google.cloud.aiplatform", "pydantic"}
HEAVY |= {"joblib", "matplotlib", "numpy", "pandas", "sklearn", "jinja2"}


def imported(*words: str, code: str = CODE) -> tuple[process.Result, set[str]]:
    done = process.query([sys.executable, "-c", code, *words], cwd=ROOT, check=False, timeout=300)
    return done, set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [("--help",), ("no-such-command",)])
def test_help_imports_no_command(words: tuple[str, ...]) -> None:
    _, modules = imported(*words)
    ours = {name for name in modules if name.startswith("kfpkit.")}
    names = ("console", "errors", "packages", "process", "signals")
    core = {f"kfpkit.core.{name}" for name in names}
    assert ours == {"kfpkit.cli", "kfpkit.cli.options", "kfpkit.core", *core}
    assert not modules & ({"kfp", "kfp_server_api", "requests", "yaml"} | HEAVY)


def test_no_command_imports_anything_heavy_to_refuse() -> None:
    done, modules = imported(code=REFUSED)
    assert done.ok, done.stderr
    assert "there is no target 'no-such-target'" in done.stderr
    assert {"kfpkit.cli.run_cluster", "kfpkit.cli.upgrade"} <= modules
    assert not modules & HEAVY


@pytest.mark.parametrize("words", [("run", "nope"), ("run", "penguins", "--target")])
def test_a_wrong_command_needs_no_kfp(words: tuple[str, ...]) -> None:
    _, modules = imported(*words)
    assert "kfpkit.cli.run" in modules
    assert not modules & ({"kfp", "kfp_server_api"} | HEAVY)


def test_a_run_on_this_machine_needs_nothing_of_a_cluster() -> None:
    done, modules = imported("--dry-run", "run", "penguins")
    assert "would run penguins on this machine" in done.stderr
    assert "kfpkit.cli.run_local" in modules
    floors = ("kfpkit.cluster", "kfpkit.kube", "kfpkit.kfp.target", "kfpkit.operations")
    assert not {name for name in modules if name.startswith(floors)}


def test_no_command_imports_anything_inside_a_function() -> None:
    for file in (ROOT / "kfpkit/cli").glob("*.py"):
        tree = ast.parse(file.read_text())
        inside = {node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)}
        inside -= set(tree.body)
        guarded = {
            node
            for branch in tree.body
            if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
            for node in branch.body
        }
        assert not inside - guarded, file


@pytest.mark.parametrize("target", ["local", "kind", "gke"])
def test_a_wrong_parameter_needs_neither_kfps_client_nor_a_cluster(target: str) -> None:
    done, modules = imported("run", "penguins", "nope=1", "--target", target)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the pipeline has no parameter 'nope'" in done.stderr
    assert "kfp.compiler" in modules
    assert not modules & ({"kfp_server_api", "kfpkit.runs.place", "kfpkit.runs.remote"} | HEAVY)


def test_a_run_on_a_cluster_needs_no_client_of_kfps() -> None:
    words = ("--target", "gke", "--context", "none-such", "--host", "http://localhost:9")
    done, modules = imported("run", "penguins", *words)
    assert "no Kubeflow Pipelines API answers" in done.stderr
    assert "kfpkit.runs.remote" in modules
    assert not modules & HEAVY


def test_up_refuses_wrong_parameters_before_the_cluster() -> None:
    done, _ = imported("--dry-run", "up", "penguins", "nope=1")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the pipeline has no parameter 'nope'" in done.stderr


def test_kfp_is_whole_for_a_pipeline_that_asks_for_its_client() -> None:
    code = """
from kfpkit.kfp import sdk
sdk.load()
import os, sys
import kfp
assert not {"kfp.client", "kubernetes"} & set(sys.modules)
assert "_KFP_RUNTIME" not in os.environ
names = {name for name in vars(kfp) if not name.startswith("_")}
from kfp import Client, kubernetes, local
assert Client is kfp.Client is kfp.client.Client
assert not hasattr(kfp, "nothing")
import importlib
importlib.reload(kfp)
print({name for name in vars(kfp) if not name.startswith("_")} - names)
"""
    done = process.query([sys.executable, "-c", code], cwd=ROOT)
    # What kfp's own start leaves and `sdk.load` does not: the client, and what was imported here.
    assert sorted(ast.literal_eval(done.stdout)) == ["Client", "client", "kubernetes"]
