from __future__ import annotations

import pytest

from kfpkit.core.errors import BadInputError
from kfpkit.kfp.run import Parameter
from kfpkit.runs import parameters

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


LOST = "(an integer beyond 2^53 loses digits: pass it as a text)"


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
        pytest.param("count=1_000", "takes an integer, not '1_000'", id="underscore"),
        pytest.param("count=٣", "takes an integer, not '٣'", id="digit of another script"),
        pytest.param("count= 3", "takes an integer, not ' 3'", id="blank before an integer"),
        pytest.param("count=3\n", "takes an integer, not '3\\n'", id="line end after an integer"),
        pytest.param("count=+3", "takes an integer, not '+3'", id="plus"),
        pytest.param("count=0x10", "takes an integer, not '0x10'", id="hexadecimal"),
        pytest.param("count=1.0", "takes an integer, not '1.0'", id="whole number with a point"),
        pytest.param("count=1e3", "takes an integer, not '1e3'", id="integer with exponent"),
        pytest.param("count=9007199254740993", LOST, id="integer beyond 2^53"),
        pytest.param("count=-9007199254740993", LOST, id="negative integer beyond 2^53"),
        pytest.param("count=" + "9" * 5000, LOST, id="more digits than Python reads"),
        pytest.param("share=1_0.5", "takes a number, not '1_0.5'", id="underscore in a number"),
        pytest.param("share=٣.5", "takes a number, not '٣.5'", id="number of another script"),
        pytest.param("share= 1", "takes a number, not ' 1'", id="blank before a number"),
        pytest.param("share=.5", "takes a number, not '.5'", id="no digit before the point"),
        pytest.param("share=Infinity", "takes a number, not 'Infinity'", id="Infinity"),
        pytest.param("share=1e400", "'1e400' (beyond the largest number", id="overflow"),
        pytest.param("share=-1e400", "'-1e400' (beyond the largest number", id="below the least"),
        pytest.param("share=" + "9" * 5000, "(beyond the largest number", id="overflow in digits"),
        pytest.param("share=1e-400", "'1e-400' (so near to 0 that", id="underflow"),
        pytest.param("share=9007199254740993", "beyond 2^53 loses digits", id="whole number"),
        pytest.param("fast=1", "takes true or false, not '1'", id="number for boolean"),
        pytest.param("fast= true", "takes true or false, not ' true'", id="blank before boolean"),
        pytest.param("note=\udcff", "a text, not '\\udcff' (this is not Unic", id="not UTF-8"),
        pytest.param("\udcff=1", "no parameter '\\udcff'", id="name that is not UTF-8"),
        pytest.param("a b=1", "no parameter 'a b'", id="name with a blank"),
        pytest.param('more={"a": 1, "a": 2}', "(key 'a' is there twice)", id="doubled key"),
        pytest.param('steps=[{"b": {"a": 1, "a": 1}}]', "(key 'a' is", id="doubled key inside"),
        pytest.param('more={"a": NaN}', "(JSON has no NaN)", id="NaN in an object"),
        pytest.param("steps=[Infinity]", "(JSON has no Infinity)", id="Infinity in a list"),
        pytest.param("steps=[[-Infinity]]", "(JSON has no -Infinity)", id="-Infinity inside"),
        pytest.param("steps=NaN", "takes a JSON list, not 'NaN' (JSON has no NaN)", id="bare NaN"),
        pytest.param('more={"a": 1e400}', "(beyond the largest number", id="overflow inside"),
        pytest.param("steps=[1e-400]", "(so near to 0", id="underflow inside"),
        pytest.param("steps=[9007199254740993]", LOST, id="integer beyond 2^53 in a list"),
        pytest.param('more={"a": [{"b": -9007199254740993}]}', LOST, id="the same deep inside"),
        pytest.param('steps=["\\ud800"]', "(this is not Unicode", id="half a pair in a list"),
        pytest.param('more={"\\udc00": 1}', "(this is not Unicode", id="half a pair as a key"),
        pytest.param("steps=" + "[" * 100_000, "too many brackets", id="brackets without end"),
        pytest.param("steps=null", "takes a JSON list, not 'null'", id="null for a list"),
        pytest.param("steps=[1 2]", "(Expecting ',' delimiter", id="what JSON's reader says"),
    ],
)
def test_bad_input_is_named(argument: str, message: str) -> None:
    with pytest.raises(BadInputError) as raised:
        parameters.parse(SPEC, ["name=x", argument])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert str(raised.value).encode()
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("count=9007199254740992", 2**53),
        ("count=-9007199254740992", -(2**53)),
        ("count=007", 7),
        ("count=-0", 0),
        ("share=-0.5e-7", -0.5e-7),
        ("share=1E+300", 1e300),
        ("share=0.1000000000000000055511151231257827", 0.1),
        ("share=0.000", 0.0),
        ("share=0e9", 0.0),
        ("share=5e-324", 5e-324),
        ("share=10000000000000000000000", 1e22),
        ("share=9007199254740993.0", 9007199254740992.0),
        ("note=", ""),
        ("note==", "="),
        ("note= a\n\tb ", " a\n\tb "),
        ("note=日本 🐧", "日本 🐧"),
        ('steps=["\\ud83d\\udc27"]', ["🐧"]),
        ("steps=[9007199254740992, 1.5, true, null]", [2**53, 1.5, True, None]),
        ('more={"a": {"b": 1}, "b": {"b": 1}}', {"a": {"b": 1}, "b": {"b": 1}}),
    ],
)
def test_what_a_run_can_hold_is_taken_as_it_is(argument: str, value: object) -> None:
    found = values(argument)[argument.partition("=")[0]]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "default", "differs"),
    [
        ([True], [1], True),
        ({"a": False}, {"a": 0}, True),
        ([1.0], [1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        ("1", 1, True),
        (None, None, False),
        ("", None, True),
    ],
)
def test_a_value_of_another_type_is_no_default(
    value: object, default: object, differs: bool
) -> None:
    assert Parameter("p", "STRUCT", value, default).differs is differs


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
