"""The cluster's life as far as it needs no cluster: what is there, what it means, what is asked."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING

import pytest
import yaml

from kfpkit.cluster import lifecycle
from kfpkit.cluster.config import DEFAULT, load
from kfpkit.cluster.lifecycle import Seen, State, judge
from kfpkit.core import process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.core.versions import ROOT, version
from kfpkit.images.source import Source

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

RUNNING = {"kfp-control-plane": "running"}
EXITED = {"kfp-control-plane": "exited"}
FRESH = frozenset(lifecycle.OWN_NAMESPACES)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (Seen({}), State.ABSENT),
        (Seen({}, begun=True), State.ABSENT),
        (Seen(RUNNING, api=True, marker={"images": "packages"}), State.COMPLETE),
        # Killed between the marker and the note's removal.
        (Seen(RUNNING, api=True, marker={}, begun=True), State.COMPLETE),
        (Seen(RUNNING, begun=True), State.HALF_MADE),
        (Seen(RUNNING, api=True, namespaces=FRESH, begun=True), State.HALF_MADE),
        ({**RUNNING, "kfp-worker": "created"}, State.HALF_MADE),
        (Seen(EXITED), State.STOPPED),
        (Seen(RUNNING), State.BROKEN),
    ],
)
def test_what_is_seen_is_judged(seen: Seen | dict[str, str], state: State) -> None:
    observed = seen if isinstance(seen, Seen) else Seen(seen, begun=True)
    assert judge(observed) is state


@pytest.mark.parametrize("begun", [True, False])
def test_what_may_hold_somebodys_work_is_never_taken_for_half_made(begun: bool) -> None:
    used = Seen(RUNNING, api=True, namespaces=FRESH | {"kubeflow"}, begun=begun)
    assert judge(used) is State.FOREIGN


def test_a_cluster_the_kit_did_not_begin_is_never_taken_for_half_made() -> None:
    assert judge(Seen(RUNNING, api=True, namespaces=FRESH)) is State.FOREIGN


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_explained(state: State) -> None:
    what, do = lifecycle._explain(load(), state)
    assert load().name in what
    assert bool(do) == (state is not State.COMPLETE)


def test_more_nodes_are_workers_and_everything_else_stays() -> None:
    text = DEFAULT.read_text()
    one, three = (yaml.safe_load(lifecycle.make_config(text, nodes=n)) for n in (1, 3))
    assert one == yaml.safe_load(text)
    assert [node["role"] for node in three["nodes"]] == ["control-plane", "worker", "worker"]
    assert {**three, "nodes": three["nodes"][:1]} == one
    with pytest.raises(KitError, match="0 nodes"):
        lifecycle.make_config(text, nodes=0)


def test_the_cluster_is_published_on_this_machine_only() -> None:
    config = yaml.safe_load(DEFAULT.read_text())
    kind = load()
    assert (config["name"], kind.name, kind.context) == ("kfp", "kfp", "kind-kfp")
    assert (kind.ui, kind.api) == ("http://localhost:8080", "http://localhost:8888")
    assert config["networking"]["apiServerAddress"] == "127.0.0.1"
    mappings = [m for node in config["nodes"] for m in node.get("extraPortMappings", [])]
    assert {m["listenAddress"] for m in mappings} == {"127.0.0.1"}
    assert lifecycle.published_ports(DEFAULT.read_text()) == [8080, 8888]


def test_another_configuration_is_another_cluster(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(DEFAULT.read_text().replace("name: kfp", "name: own").replace("8888", "9999"))

    kind = load(file)

    assert (kind.config, kind.name, kind.context) == (file, "own", "kind-own")
    assert (kind.ui, kind.api) == ("http://localhost:8080", "http://localhost:9999")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "kind: Cluster\n",
        "name: own\n",
        "name: own\nnodes: 3\n",
        "name: own\nnodes: [worker]\n",
        "name: own\nnodes: [{extraPortMappings: [{containerPort: 1}]}]\n",
        "[",
        b"\xff",
    ],
)
def test_what_is_no_configuration_is_told_in_one_line(
    tmp_path: Path, text: str | bytes | None
) -> None:
    file = tmp_path / "own.yaml"
    if text is not None:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(BadInputError) as refused:
        load(file)
    assert str(refused.value).startswith(f"KIND_CONFIG={file} is no configuration")
    assert "\n" not in str(refused.value)


def test_importing_reads_no_file_and_no_variable() -> None:
    """Of the checkout: what is imported may lie where there is no kind-config.yaml."""
    code = (
        "import sys; from kfpkit.cluster import lifecycle, loading\n"
        "from kfpkit.kfp import target; from kfpkit.cluster.config import DEFAULT\n"
        "print(DEFAULT in OPENED)"
    )
    watched = (
        "import sys; from pathlib import Path; OPENED = set()\n"
        "sys.addaudithook(lambda name, args: name == 'open' and OPENED.add(Path(str(args[0]))))\n"
    )
    done = process.query(
        [sys.executable, "-c", watched + code], env={"KIND_CONFIG": "missing.yaml"}, check=False
    )
    assert done.stdout == "False\n", done.stderr


#: Commands of a cluster on a machine that is always fit, with the programs that are on PATH.
DRIVER = """
import sys
from pathlib import Path
from kfpkit.cluster import config, lifecycle, preflight
preflight.all_checks = lambda *args, **options: []
kind = config.load(Path(sys.argv[2]))
lifecycle.up(kind, source="upstream") if sys.argv[1] == "up" else lifecycle.down(kind)
"""

#: A kind that notes what it does, and whose `create` ends only when it is let.
KIND = """#!{python} -I
import sys
what = sys.argv[1]
with open({log!r}, "a") as log:
    if what == "version":
        print("kind {version}")
    elif what == "create":
        print("creating", flush=True)
        print("create begins", file=log, flush=True)
        open({let!r}).close()
        print("create ends", file=log)
    else:
        print(what, file=log)
"""


def test_what_a_killed_command_leaves_at_work_has_ended_before_the_next_one_begins(
    tmp_path: Path,
) -> None:
    log, let, programs = tmp_path / "log", tmp_path / "let", tmp_path / "bin"
    os.mkfifo(let)
    programs.mkdir()
    fake = KIND.format(
        python=sys.executable, log=str(log), let=str(let), version=version("KIND_VERSION")
    )
    for name, text in {"kind": fake, "docker": "#!/bin/sh\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    config = tmp_path / "own.yaml"
    config.write_text("name: own\nnodes: [{role: control-plane}]\n")
    env = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path),
        "PYTHONUNBUFFERED": "1",
    }

    def start(what: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", DRIVER, what, str(config)]
        return process.start(argv, cwd=ROOT, env=env)

    with start("up") as killed:
        assert killed.stdout
        try:
            said = list(takewhile(lambda row: "creating" not in row, killed.stdout))
            killed.kill()
            killed.wait()
            with start("down") as down:
                assert down.stdout
                waited = any("at work on the cluster own" in row for row in down.stdout)
                before = log.read_text()
                let.write_text("")
                down.stdout.read()
        finally:
            with suppress(OSError):  # where nobody waits to be let
                os.close(os.open(let, os.O_WRONLY | os.O_NONBLOCK))

    assert waited, said
    assert before == "create begins\n"
    assert log.read_text() == "create begins\ncreate ends\ndelete\n"


def test_the_marker_says_what_the_nodes_have() -> None:
    assert lifecycle.content({"images": "packages"}) is Source.PACKAGES
    mirrored = {"images": "mirror", "mirror": "r:1/p", "filled": "upstream"}
    assert lifecycle.content(mirrored) is Source.UPSTREAM


def test_the_upstream_node_image_is_pinned_by_digest() -> None:
    image = lifecycle.node_image(Source.UPSTREAM)
    assert re.fullmatch(r"docker\.io/kindest/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}", image)
    minor = ".".join(version("KUBERNETES_VERSION").split(".")[:2])
    assert f":{minor}." in image, "both sources of images have one minor version of Kubernetes"


def pod(name: str, phase: str, *, ready: bool = False, reason: str = "") -> dict[str, object]:
    waiting = [{"state": {"waiting": {"reason": reason}}}] if reason else []
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"phase": phase, "conditions": conditions, "containerStatuses": waiting}
    return {"metadata": {"namespace": "kube-system", "name": name}, "status": status}


def test_pods_that_keep_the_cluster_from_being_ready_are_named_with_the_reason() -> None:
    pods = [
        pod("fine", "Running", ready=True),
        pod("done", "Succeeded"),
        pod("unready", "Running"),
        pod("stuck", "Pending", reason="ErrImageNeverPull"),
    ]
    assert lifecycle.pods_not_running(json.dumps({"items": pods})) == [
        "kube-system/unready: Running",
        "kube-system/stuck: ErrImageNeverPull",
    ]


def test_what_was_seen_before_a_stop_does_not_count() -> None:
    """After a start the API tells of nodes and pods as they were until somebody looks again."""
    before, after = "2026-01-01T11:59:59Z", "2026-01-01T12:00:01Z"
    since = "2026-01-01T12:00:00Z"

    def node(heard: str) -> dict[str, object]:
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": heard}
        return {"metadata": {"name": heard}, "status": {"conditions": [ready]}}

    def running(started: str) -> dict[str, object]:
        found = pod("pod", "Running", ready=True)
        containers = [{"state": {"running": {"startedAt": started}}}]
        return {**found, "status": {**found["status"], "containerStatuses": containers}}  # type: ignore[dict-item]

    nodes = json.dumps({"items": [node(before), node(after)]})
    assert lifecycle.nodes_not_ready(nodes, since) == [before]
    assert lifecycle.nodes_not_ready(nodes) == []
    pods = json.dumps({"items": [running(before), running(after)]})
    assert lifecycle.pods_not_running(pods, since) == ["kube-system/pod: not seen yet"]
    assert lifecycle.pods_not_running(pods) == []
