"""Packages that tasks install on a kind cluster: what is refused before a run is there."""

from typing import Any

import pytest
from kfp import dsl

from components.image import DEFAULT
from kfpkit.cluster import config, lifecycle
from kfpkit.cluster.lifecycle import Seen
from kfpkit.core import process
from kfpkit.core.errors import BadInputError
from kfpkit.images import engine
from kfpkit.kfp.pipelines import Pipeline
from kfpkit.runs import packages

#: What curl says on a node, by its exit code.
SAID = {6: "curl: (6) Could not resolve host: pypi.org"} | {
    60: "curl: (60) SSL certificate problem: self-signed certificate in certificate chain"
}


def spec(image: str, *wanted: str, variable: str = "", **settings: Any) -> dict[str, Any]:
    def work() -> None: ...

    component = dsl.component(
        work, base_image=image, packages_to_install=list(wanted) or None, **settings
    )

    def p() -> None:
        task = component()
        if variable:
            task.set_env_variable(variable, "x")

    return Pipeline("p", dsl.pipeline(name="p")(p)).spec


@pytest.fixture(params=SAID)
def out_of_reach(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A cluster whose node does not reach an index, and the addresses that were asked."""
    asked: list[str] = []

    def query(argv: list[str], **_: object) -> process.Result:
        assert argv[:4] == ["docker", "exec", "node", "curl"]
        assert not [word for word in argv if word.startswith("--") and "=" in word]  # before 8.16
        asked.append(argv[-1])
        return process.Result(request.param, "", SAID[request.param])

    monkeypatch.setattr(lifecycle, "observe", lambda _: Seen({"node": "running"}))
    monkeypatch.setattr(engine, "answers", lambda: True)
    monkeypatch.setattr(process, "query", query)
    return asked


@pytest.mark.parametrize(
    ("image", "wanted", "named"),
    [
        ("python:3.11", [], "kfp=="),
        ("python:3.11", ["pandas"], "pandas"),
        ("registry.example/python@sha256:1", ["pandas"], "pandas"),
        (DEFAULT, ["six"], "installs six, and"),
        (DEFAULT, ["pandas<1"], "installs pandas<1, and"),
        (DEFAULT, ["pandas", "git+https://example.com/x"], "installs git+https://example.com/x"),
    ],
)
def test_what_an_image_lacks_for_certain_is_refused(
    out_of_reach: list[str], image: str, wanted: list[str], named: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        packages.check_on_kind(config.load(), spec(image, *wanted))
    assert named in str(caught.value)
    assert "no pod reaches pypi.org: its " in str(caught.value)
    assert out_of_reach == [packages.INDEX]


@pytest.mark.parametrize("image", ["mine/tasks:1", "registry.example/team/python:3.11"])
def test_what_an_image_may_have_is_a_warning(
    image: str, out_of_reach: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    packages.check_on_kind(config.load(), spec(image, "git+https://me:geheim@example.com/x"))
    said = capsys.readouterr().err
    assert f"it fails unless its image {image} has them" in said
    assert "geheim" not in said
    assert out_of_reach


@pytest.mark.parametrize(
    "given",
    [
        spec(DEFAULT),
        spec(DEFAULT, "pandas", "scikit_learn>=1"),
        spec("python:3.11", "six", variable="PIP_INDEX_URL"),
        spec("python:3.11", "six", variable="https_proxy"),
        spec("python:3.11", "six", pip_index_urls=["http://index.mine.svc.cluster.local/simple"]),
    ],
)
def test_nothing_is_said_of_what_is_there_or_comes_another_way(
    out_of_reach: list[str], given: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    packages.check_on_kind(config.load(), given)
    assert (out_of_reach, capsys.readouterr().err) == ([], "")


@pytest.mark.usefixtures("out_of_reach")
def test_an_index_that_the_component_names_is_asked(out_of_reach: list[str]) -> None:
    urls = ["https://index.example/simple"]
    given = spec("python:3.11", "six", pip_index_urls=urls)
    # kfp has pip trust each index that is named, so a certificate does not stop it.
    code = process.query(["docker", "exec", "node", "curl", "asked"]).returncode
    if code == 60:
        packages.check_on_kind(config.load(), given)
    else:
        with pytest.raises(BadInputError, match=r"no pod reaches index\.example: its name does"):
            packages.check_on_kind(config.load(), given)
    assert out_of_reach == ["asked", *urls]
