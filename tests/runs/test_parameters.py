from __future__ import annotations

import pytest

from kfpkit.errors import BadInputError
from kfpkit.runs import parameters
from kfpkit.runs.run import Parameter

SPEC = {
    "root": {
        "inputDefinitions": {
            "parameters": {
                "count": {
                    "parameterType": "NUMBER_INTEGER",
                    "defaultValue": 3.0,
                    "isOptional": True,
                    "description": "how many",
                },
                "share": {
                    "parameterType": "NUMBER_DOUBLE",
                    "defaultValue": 0.5,
                    "isOptional": True,
                },
                "name": {"parameterType": "STRING"},
                "fast": {"parameterType": "BOOLEAN", "defaultValue": False, "isOptional": True},
                "steps": {"parameterType": "LIST", "defaultValue": [1.0, 2.5], "isOptional": True},
                "more": {
                    "parameterType": "STRUCT",
                    "defaultValue": {"a": {"b": 1.0}},
                    "isOptional": True,
                },
                "note": {"parameterType": "STRING", "isOptional": True},
            }
        }
    }
}


def values(*arguments: str) -> dict[str, object]:
    return {p.name: p.value for p in parameters.parse(SPEC, ["name=x", *arguments])}


def test_defaults_have_their_own_type() -> None:
    assert values() == {
        "count": 3,
        "share": 0.5,
        "name": "x",
        "fast": False,
        "steps": [1, 2.5],
        "more": {"a": {"b": 1}},
        "note": None,
    }
    assert isinstance(values()["count"], int)


def test_given_values_are_read_by_type() -> None:
    given = values(
        "count=-7", "share=1e-3", "fast=TRUE", 'steps=["a", {}]', 'more={"c": [1]}', "note=a=b c"
    )
    assert given == {
        "count": -7,
        "share": 0.001,
        "name": "x",
        "fast": True,
        "steps": ["a", {}],
        "more": {"c": [1]},
        "note": "a=b c",
    }


def test_a_parameter_says_whether_it_differs_from_its_default() -> None:
    parsed = {p.name: p for p in parameters.parse(SPEC, ["name=x", "count=3", "share=0.6"])}
    assert parsed["count"] == Parameter("count", "NUMBER_INTEGER", 3, 3, "how many")
    assert not parsed["count"].differs
    assert parsed["share"].differs


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        pytest.param("size=3", "has no parameter 'size'", id="unknown parameter"),
        pytest.param("count", "'count' is not name=value", id="no equals sign"),
        pytest.param("=3", "has no parameter ''", id="no name"),
        pytest.param("count=many", "'count' takes an integer, not 'many'", id="word for integer"),
        pytest.param("count=7.5", "takes an integer, not '7.5'", id="fraction for integer"),
        pytest.param("count=", "takes an integer, not ''", id="nothing for integer"),
        pytest.param("share=half", "'share' takes a number, not 'half'", id="word for number"),
        pytest.param("share=nan", "takes a number, not 'nan'", id="NaN"),
        pytest.param("share=inf", "takes a number, not 'inf'", id="infinity"),
        pytest.param("fast=yes", "'fast' takes true or false, not 'yes'", id="word for boolean"),
        pytest.param("steps=1,2", "'steps' takes a JSON list, not '1,2'", id="no JSON for list"),
        pytest.param('steps={"a": 1}', "takes a JSON list", id="object for list"),
        pytest.param("more=[1]", "'more' takes a JSON object, not '[1]'", id="list for object"),
        pytest.param("more={a: 1}", "takes a JSON object", id="no JSON for object"),
        pytest.param("name=y", "'name' is given twice", id="given twice"),
    ],
)
def test_bad_input_is_named(argument: str, message: str) -> None:
    with pytest.raises(BadInputError) as raised:
        parameters.parse(SPEC, ["name=x", argument])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_error_names_the_accepted_parameters_with_types_and_defaults() -> None:
    with pytest.raises(BadInputError) as raised:
        parameters.parse(SPEC, ["size=3"])
    assert str(raised.value).endswith(
        "Accepted: count (an integer, default 3); fast (true or false, default false); "
        'more (a JSON object, default {"a": {"b": 1}}); name (a text); note (a text); '
        "share (a number, default 0.5); steps (a JSON list, default [1, 2.5])."
    )


def test_a_missing_parameter_without_default_is_named() -> None:
    with pytest.raises(BadInputError, match="without a default are missing: name"):
        parameters.parse(SPEC, [])


def test_a_pipeline_without_parameters_says_so() -> None:
    assert parameters.parse({"root": {}}, []) == []
    with pytest.raises(BadInputError, match="It accepts none"):
        parameters.parse({"root": {}}, ["seed=1"])
