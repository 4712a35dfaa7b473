"""What `make bench` chooses, sums up and shows."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import pytest
import yaml
from kfp.compiler import Compiler

from benchmarks import __main__ as bench
from benchmarks import page
from benchmarks.others import OTHERS, second_cluster
from benchmarks.pipelines import PIPELINES
from benchmarks.scenarios import SCENARIOS, Measured, busy_seconds
from components.image import RUNTIME_IMAGE
from kfpkit.cluster import config
from kfpkit.core.errors import BadInputError

PIECES = [
    {"task": "", "role": "driver", "pod": "", "moments": {"created": 0.0, "seen": 0.4}},
    {
        "task": "<b>",
        "role": "executor",
        "pod": "p",
        "moments": {"created": 0.4, "scheduled": 0.5, "sandbox": 2.0, "done": 4.0, "seen": 4.1},
    },
]


def results() -> bench.Results:
    found = bench.Results({"processors": "2 x some", "kit": "abc"}, quick=True)
    for number, (ours, upstream) in enumerate([(10.0, 50.0), (30.0, 100.0)], 1):
        found.measured.setdefault("sample", []).extend(
            [
                Measured("ours", number, ours, phases={"executor": {"sandbox": 1.5}}),
                Measured("upstream", number, upstream, pieces=PIECES, load=3.5),
            ]
        )
    most = {"cores": 1.25, "bytes": 2.0**30}
    found.measured["side-20"] = [
        Measured("ours", 1, failed=1),
        Measured("upstream", 1, 90.0, use=most),
    ]
    use = {"cores": 0.01, "bytes": 2.0**28, "asked_cores": 0.1, "asked_bytes": 2.0**28}
    sides: dict[str, Any] = {"ours": {"database": use, "own": use}, "upstream": {"database": use}}
    found.others["idle"] = {**sides, "workflows": {"ours": 3, "upstream": 4}}
    asked = {"p50_ms": 4.0, "p95_ms": 8.0, "number": 9}
    lists = {"without": asked, "with": asked, "ratio": 1.0}
    found.others["growth"] = {"1000": {"index_s": 0.4, "asked": {"list: all": lists}}}
    found.others["from-nothing"] = {"cluster-up": 55.0}
    return found


def test_the_quick_form_has_what_is_quick() -> None:
    wanted, rest = bench.select("", quick=True)
    assert [one.name for one in wanted] == ["sample", "sample-cached", "side-20", "row-4"]
    assert rest == ["idle"]
    wanted, rest = bench.select("", quick=False)
    assert wanted == [*SCENARIOS]
    assert rest == [*OTHERS]


def test_scenarios_are_chosen_by_name_with_what_fills_the_cache() -> None:
    wanted, rest = bench.select(" sample-cached, idle", quick=True)
    assert [one.name for one in wanted] == ["sample", "sample-cached"]
    assert rest == ["idle"]
    with pytest.raises(BadInputError, match=r"no scenario nope.*side-100"):
        bench.select("row-1,nope", quick=False)


def test_the_quick_form_begins_what_it_has_time_for() -> None:
    turns = [Measured("ours", 1, took=50), Measured("upstream", 1, took=150)]
    assert bench.fits([], bench.FIRST)
    assert not bench.fits([], bench.FIRST + 1)
    assert bench.fits(turns, bench.AGAIN - 200)
    assert not bench.fits(turns, bench.AGAIN - 199)
    assert bench.fits(turns[:1] + turns, bench.AGAIN - 200)


def test_names_are_told_apart_and_pipelines_are_there() -> None:
    names = [one.name for one in SCENARIOS] + [*OTHERS]
    assert len({*names}) == len(names)
    assert {one.pipeline for one in SCENARIOS} == {"penguins", *PIPELINES}


def test_ratios_are_paired_and_a_run_that_failed_counts_for_nothing() -> None:
    found = results().description()
    sample, side = found["compared"]

    assert sample["ratio"] == {"median": 0.25, "min": 0.2, "max": 0.3, "count": 2}
    assert sample["ours"]["median"] == 20
    assert (side["ratio"], side["failed"]) == (None, 1)
    assert "ours" not in side
    assert found["measured"]["sample"][0] == asdict(results().measured["sample"][0])
    json.dumps(found)


def test_the_page_stands_alone_and_shows_what_was_found() -> None:
    text = page.render(json.loads(json.dumps(results().description())))

    assert not re.findall(r'<\w[^>]*(?:src|href)="(?!bench\.json)', text)
    assert "0.25" in text
    assert "met" in text
    assert "1 failed" in text
    assert "sample upstream 1" in text  # the machine had other work
    assert "driver without a pod: 0.40 s" in text
    assert "&lt;b&gt;, executor" in text
    assert "list: all" in text
    assert re.search(r">.</td><td[^>]*>.</td><td[^>]*>1024</td><td[^>]*>1.2", text)  # loaded
    assert "cluster-up" in text
    assert "prefers-color-scheme: dark" in text


def test_the_page_of_nothing_but_memory() -> None:
    found = results()
    found.measured.clear()
    assert "At rest" in page.render(found.description())


def test_the_scale_of_ratios_is_logarithmic_and_bounded() -> None:
    assert page.place(page.LEAST) == 0
    assert page.place(page.MOST) == page.place(50) == page.WIDTH
    assert page.place(0.1) - page.place(0.01) == pytest.approx(page.place(1) - page.place(0.1))


@pytest.mark.parametrize("longest", [0.03, 0.7, 1, 7, 9.99, 34, 152, 1000])
def test_a_scale_has_round_numbers_from_nothing_on(longest: float) -> None:
    found = page.ticks(longest, 10, "s")
    assert [*found[0]] == [0, "0 s"]
    assert 4 <= len(found) <= 8
    assert found[-1][0] <= longest * 10 + 0.1


def test_a_second_cluster_has_a_name_and_ports_of_its_own() -> None:
    text = config.DEFAULT.read_text()
    mine, other = yaml.safe_load(text), yaml.safe_load(second_cluster(text))
    ports = [
        {m["hostPort"] for node in one["nodes"] for m in node["extraPortMappings"]}
        for one in (mine, other)
    ]
    assert mine["name"] != other["name"]
    assert not ports[0] & ports[1]


def test_busy_seconds_leave_out_what_waits(tmp_path: Any) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 200 300 9000 800 0 0 400 7 7\ncpu0 1 2 3\n")
    assert busy_seconds(stat) == 10


@pytest.mark.parametrize("name", ["row-4", "side-20", "condition", "loop-50", "artifact"])
def test_every_task_has_the_salt_and_the_kits_image(name: str, tmp_path: Any) -> None:
    file = tmp_path / "p.yaml"
    Compiler().compile(PIPELINES[name](), str(file))
    spec = yaml.safe_load(file.read_text())
    executors = spec["deploymentSpec"]["executors"].values()

    assert {one["container"]["image"] for one in executors} == {RUNTIME_IMAGE}
    assert "pip install" not in file.read_text()
    assert spec["root"]["inputDefinitions"]["parameters"]["salt"]
