"""What goes by which rule, and what stays because a kept run refers to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kfpkit.core.errors import BadInputError
from kfpkit.operations.prune.plan import (
    DAY,
    Artifact,
    Facts,
    Folder,
    Plan,
    Rule,
    Run,
    age,
    choose,
    plan,
)

NOW = 1_000 * DAY
MONTH = Rule(30 * DAY)

ROOT = "v2/artifacts/penguins"


def run(name: str, days: float, **changes: object) -> Run:
    """Return a run that ended so many days ago."""
    made = Run(
        name, f"{name}!", f"wf-{name}", "SUCCEEDED", False, "lab", "penguins", int(NOW - days * DAY)
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def artifact(number: int, path: str, *runs: str, deleted: bool = False) -> Artifact:
    return Artifact(number, f"minio://mlpipeline/{ROOT}/{path}", deleted, frozenset(runs))


def folder(run_id: str, days: float) -> Folder:
    return Folder(f"minio://mlpipeline/{ROOT}/{run_id}", int(NOW - days * DAY))


#: An old run, and a new one that took the old one's model from the cache and evaluated it.
FACTS = Facts(
    bucket="mlpipeline",
    runs={"old": run("old", 40), "new": run("new", 1)},
    cached={"old": 2, "new": 1},
    folders={"old": folder("old", 41), "new": folder("new", 2)},
    artifacts=[
        artifact(1, "old/train/x/model", "old", "new"),
        artifact(2, "old/evaluate/x/report", "old"),
        artifact(3, "new/evaluate/x/report", "new"),
        Artifact(4, "gs://of-somebody-else/old/file", False, frozenset({"old"})),
    ],
    objects={
        f"{ROOT}/old/train/x/model/weights": 100,
        f"{ROOT}/old/train/x/model-card": 7,
        f"{ROOT}/old/evaluate/x/report/index.html": 10,
        f"{ROOT}/old/evaluate/x/executor-logs": 1,
        f"{ROOT}/new/evaluate/x/report/index.html": 10,
        "artifacts/wf-old/pod/main.log": 5,
        "artifacts/wf-older/pod/main.log": 5,
        "artifacts/wf-new/pod/main.log": 5,
        "pipelines/old": 3,
        "of-mine/old/file": 3,
    },
)


def planned(facts: Facts, rule: Rule = MONTH) -> Plan:
    return plan(facts, choose(facts.runs.values(), rule, NOW), rule, NOW)


@pytest.mark.parametrize(("text", "seconds"), [("12h", 43200), ("30d", 30 * DAY), ("2w", 14 * DAY)])
def test_an_age_is_read(text: str, seconds: int) -> None:
    assert age(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1y", "30m", "1.5d", "30 days"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        age(text)


def test_runs_go_by_their_end_and_the_oldest_first() -> None:
    runs = [run("b", 31), run("c", 29), run("a", 32), run("edge", 30)]
    assert [r.id for r in choose(runs, MONTH, NOW)] == ["a", "b", "edge"]


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "CANCELING", "PAUSED", ""])
def test_a_run_that_has_not_ended_never_goes(state: str) -> None:
    assert choose([run("a", 900, state=state)], Rule(0), NOW) == []


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"])
def test_a_run_that_has_ended_goes(state: str) -> None:
    assert choose([run("a", 900, state=state)], MONTH, NOW)


def test_the_newest_of_each_pipeline_stay() -> None:
    runs = [
        *(run(f"p{days}", days) for days in (50, 60, 70)),
        *(run(f"q{days}", days, pipeline="other") for days in (80, 90)),
    ]
    found = choose(runs, replace(MONTH, keep=2), NOW)
    assert [r.id for r in found] == ["p70"]


def test_an_archived_run_goes_by_its_age_and_keeps_no_place() -> None:
    runs = [run("archived", 40, archived=True), run("a", 50), run("b", 60)]
    found = choose(runs, replace(MONTH, keep=1), NOW)
    assert [r.id for r in found] == ["b", "archived"]
    assert choose([run("archived", 3, archived=True)], MONTH, NOW) == []


def test_a_rule_may_be_for_one_experiment() -> None:
    runs = [run("a", 40), run("b", 40, experiment="other")]
    assert [r.id for r in choose(runs, replace(MONTH, experiment="other"), NOW)] == ["b"]


def test_an_artifact_stays_as_long_as_a_kept_run_refers_to_it() -> None:
    found = planned(FACTS)
    assert [r.id for r in found.runs] == ["old"]
    assert found.shared == {f"{ROOT}/old/train/x/model/weights": 100}
    assert found.files == {
        f"{ROOT}/old/train/x/model-card": 7,
        f"{ROOT}/old/evaluate/x/report/index.html": 10,
        f"{ROOT}/old/evaluate/x/executor-logs": 1,
    }
    assert found.artifacts == [2]
    assert found.cached == 2
    assert found.logs == {"artifacts/wf-old/pod/main.log": 5}


@pytest.mark.parametrize("query", ["", "?region=minio", "?endpoint=minio-service:9000&region=x"])
def test_what_a_kept_run_imported_stays_whatever_else_its_uri_says(query: str) -> None:
    imported = artifact(5, f"old/evaluate/x/report/index.html{query}", "new")
    found = planned(replace(FACTS, artifacts=[*FACTS.artifacts, imported]))
    assert f"{ROOT}/old/evaluate/x/report/index.html" in found.shared
    assert f"{ROOT}/old/evaluate/x/report/index.html" not in found.files
    assert 5 not in found.artifacts


def test_an_imported_artifact_of_a_run_that_goes_is_marked_with_its_query_too() -> None:
    imported = artifact(5, "old/evaluate/x/report/index.html?region=minio", "old")
    found = planned(replace(FACTS, artifacts=[*FACTS.artifacts, imported]))
    assert found.artifacts == [2, 5]


def test_a_file_with_a_question_mark_in_its_name_is_one_of_its_own() -> None:
    key = f"{ROOT}/old/evaluate/x/what?"
    made = artifact(5, "old/evaluate/x/what?", "old", "new")
    facts = replace(FACTS, objects={**FACTS.objects, key: 1})
    assert key in planned(facts).files
    assert key in planned(replace(facts, artifacts=[*FACTS.artifacts, made])).shared


def test_the_folder_of_a_run_whose_root_had_a_query_is_found() -> None:
    root = Folder(f"minio://mlpipeline/{ROOT}/old?region=minio", FACTS.folders["old"].began)
    facts = replace(FACTS, folders={**FACTS.folders, "old": root})
    assert planned(facts) == planned(FACTS)


def test_it_goes_with_the_last_run_that_refers_to_it() -> None:
    facts = replace(
        FACTS,
        runs={"new": run("new", 35)},  # The old one was deleted before.
        objects={
            key: size for key, size in FACTS.objects.items() if key not in planned(FACTS).files
        },
    )
    found = planned(facts)
    assert set(found.files) == {
        f"{ROOT}/old/train/x/model/weights",
        f"{ROOT}/new/evaluate/x/report/index.html",
    }
    assert not found.shared
    assert found.left == 1


def test_runs_that_were_deleted_before_have_their_artifacts_removed() -> None:
    facts = replace(FACTS, runs={"new": run("new", 1)})
    found = planned(facts)
    assert found.runs == []
    assert found.left == 1
    assert set(found.files) == set(planned(FACTS).files)
    assert found.artifacts == [2]


def test_a_run_that_was_deleted_lately_is_left_alone() -> None:
    facts = replace(
        FACTS, runs={"new": run("new", 1)}, folders={"old": folder("old", 29), "new": Folder("", 0)}
    )
    assert planned(facts).empty


def test_nothing_remains_to_be_done_afterwards() -> None:
    first = planned(FACTS)
    gone = first.files.keys() | first.logs.keys()
    after = replace(
        FACTS,
        runs={"new": FACTS.runs["new"]},
        artifacts=[replace(a, deleted=a.id in first.artifacts) for a in FACTS.artifacts],
        objects={key: size for key, size in FACTS.objects.items() if key not in gone},
    )
    assert planned(after).empty


def test_nothing_goes_from_a_folder_that_is_not_the_runs_own() -> None:
    for uri in (
        "minio://mlpipeline/v2",
        f"minio://mlpipeline/{ROOT}/old/train",
        "minio://mlpipeline/old-",
        f"minio://other/{ROOT}/old",
        "minio://mlpipeline/",
        "",
    ):
        facts = replace(FACTS, folders={"old": Folder(uri, 0)})
        found = planned(facts)
        assert not found.files
        assert not found.artifacts


def test_the_files_of_a_folder_of_the_users_go_with_the_run() -> None:
    facts = replace(FACTS, folders={"old": Folder("s3://mlpipeline/of-mine/old/", 0)})
    assert set(planned(facts).files) == {"of-mine/old/file"}


def test_logs_of_a_workflow_stay_that_a_kept_run_has_too() -> None:
    again = run("again", 1, workflow="wf-old")
    facts = replace(FACTS, runs={**FACTS.runs, "again": again})
    assert not planned(facts).logs
