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

#: The libraries of `kfp.Client`, and typer's for checking types: together seconds.
HEAVY = {"kfp.client", "kubernetes", "google.auth", "pydantic"}


def imported(*words: str) -> tuple[process.Result, set[str]]:
    done = process.query([sys.executable, "-c", CODE, *words], cwd=ROOT, check=False, timeout=300)
    return done, set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [("--help",), ("run", "nope"), ("run", "penguins", "--target")])
def test_help_and_a_wrong_command_need_no_kfp(words: tuple[str, ...]) -> None:
    _, modules = imported(*words)
    assert "kfpkit.cli.run" in modules
    assert not modules & ({"kfp", "kfp_server_api"} | HEAVY)


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
