"""The alerts of the option monitoring, checked and tried out by Prometheus' own promtool."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from kfpkit.core import process
from kfpkit.core.versions import ROOT
from kfpkit.kube import render
from tests.support.renders import rendered

if TYPE_CHECKING:
    from pathlib import Path

TRIALS = ROOT / "tests/support/alerts.trials.yaml"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules as Prometheus reads them, beside the file of the trials."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool (Debian: prometheus) is not installed: NO ALERT WAS CHECKED")
    documents = rendered("combinations/ingress-monitoring")
    found = next(d for d in documents if d["kind"] == "PrometheusRule")
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(found["spec"]))
    (tmp_path / "alerts.trials.yaml").write_text(TRIALS.read_text())
    return file


def test_the_rules_are_right(rules: Path) -> None:
    done = process.query(["promtool", "check", "rules", str(rules)], check=False)

    assert done.ok, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_not_before(rules: Path) -> None:
    trials = rules.with_name("alerts.trials.yaml")
    done = process.query(["promtool", "test", "rules", str(trials)], check=False)

    assert done.ok, done.stdout + done.stderr


def test_each_alert_is_tried_out(rules: Path) -> None:
    groups = yaml.safe_load(rules.read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    tried = set(re.findall(r"alertname: (\w+)", TRIALS.read_text()))

    assert tried == alerts


def test_the_dashboard_is_whole() -> None:
    maps = [d for d in rendered("combinations/ingress-monitoring") if d["kind"] == "ConfigMap"]
    boards = [
        json.loads(text)
        for found in maps
        if "grafana_dashboard" in found["metadata"].get("labels", {})
        for text in found["data"].values()
    ]
    assert [board["title"] for board in boards] == ["Kubeflow Pipelines"]
    panels = boards[0]["panels"]
    containers = {
        container["name"]
        for workload in render.workloads(rendered("overlays/kind"))
        for container in render.pod_spec(workload)["containers"]
    }

    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        for target in panel["targets"]:
            assert 'namespace="$namespace"' in target["expr"]
            for wanted in re.findall(r'container=~"([^"]+)"', target["expr"]):
                assert set(wanted.split("|")) == containers
