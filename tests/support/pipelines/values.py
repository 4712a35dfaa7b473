"""A page of values: what tasks get of each, by every way that a value can take.

Each task prints one line, `SEEN` and a JSON object: `case`, and by input the value as Python writes
it, which tells 1 from 1.0, from "1" and from True. One whose result is in the cache prints nothing,
and the client's `enable_caching` reaches no task inside of something.
"""

# No postponed annotations here: kfp reads them at run time.
from typing import NamedTuple, Optional

from kfp import dsl

from components.image import RUNTIME_IMAGE

#: What breaks where a text is put into another without care.
TEXT = "\"quoted\" 'too' C:\\new\tand\nmore {braces} ${HOME} ペンギン 🐧 <b>&amp;</b>"

LOOKALIKES = ["", " ", "1", "1.0", "true", "null", "None", "[]", "{}", "NaN"]

NUMBERS = [0, 1, 1.0, -0.0, 0.1, 1e20, 1e21, 1e22, 1e-6, 1e-7, 1e308, 5e-324, 2**53, -(2**53)]

TABLE = {"b": 1.0, "a": [1, 1.0, 2.5, True, "1"], "c": {"deep": {"er": 20.0}}}


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def see(
    case: str,
    whole: Optional[int] = None,  # noqa: UP045 - kfp knows this form only
    number: Optional[float] = None,  # noqa: UP045
    flag: Optional[bool] = None,  # noqa: UP045
    text: Optional[str] = None,  # noqa: UP045
    items: Optional[list] = None,  # type: ignore[type-arg]  # noqa: UP045
    more: Optional[list] = None,  # type: ignore[type-arg]  # noqa: UP045
    table: Optional[dict] = None,  # type: ignore[type-arg]  # noqa: UP045
) -> None:
    import json

    given: dict[str, object] = {"whole": whole, "number": number, "flag": flag}
    given |= {"text": text, "items": items, "more": more, "table": table}
    seen = {name: repr(value) for name, value in given.items() if value is not None}
    print("SEEN", json.dumps({"case": case, **seen}))


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def see_defaults(
    case: str,
    whole: int = 2,
    number: float = 1.0,
    flag: bool = False,
    text: str = 'a "default"\n',
    items: list = [1, 1.0, 2.5],  # type: ignore[type-arg]  # noqa: B006 - kfp copies it
    table: dict = {"b": 1.0, "a": 1},  # type: ignore[type-arg]  # noqa: B006
) -> None:
    import json

    seen = {"whole": repr(whole), "number": repr(number), "flag": repr(flag)}
    seen |= {"text": repr(text), "items": repr(items), "table": repr(table)}
    print("SEEN", json.dumps({"case": case, **seen}))


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def give(
    text: str,
) -> NamedTuple(
    "Given",
    [
        ("whole", int),
        ("number", float),
        ("flag", bool),
        ("text", str),
        ("items", list),
        ("table", dict),
    ],
):
    return (
        3,
        3.0,
        True,
        text,
        [1, 1.0, 0.5, True, None, "1", text],
        {"b": 1.0, "a": {"n": 2}},
    )


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def halve(
    whole: int,
) -> NamedTuple("Halved", [("whole", int), ("half", float)]):
    return (whole, whole / 2)


@dsl.pipeline(name="values")
def values(
    whole: int = 5,
    number: float = 5.0,
    tiny: float = 1e-7,
    huge: float = 1e22,
    flag: bool = True,
    text: str = "a default",
    absent: Optional[str] = None,  # noqa: UP045
    items: list = [1, 1.0, 2.5],  # type: ignore[type-arg]  # noqa: B006
    table: dict = {"b": 1.0, "a": 1},  # type: ignore[type-arg]  # noqa: B006
) -> None:
    """Hand values from place to place."""
    see(
        case="constants",
        whole=2**53,
        number=1.0,
        flag=False,
        text=TEXT,
        items=[*NUMBERS, *LOOKALIKES, TEXT],
        table=TABLE,
    )
    see(
        case="parameters",
        whole=whole,
        number=number,
        flag=flag,
        text=text,
        items=items,
        table=table,
    )
    see_defaults(case="defaults")
    given = give(text=text)
    see(
        case="outputs",
        whole=given.outputs["whole"],
        number=given.outputs["number"],
        flag=given.outputs["flag"],
        text=given.outputs["text"],
        items=given.outputs["items"],
        table=given.outputs["table"],
    )
    see(
        case="in texts",
        text=f"{whole} {number} {tiny} {huge} {flag} {given.outputs['number']}",
        items=[f"<{whole}>", f"<{number}>"],
        table={"n": f"<{number}>", "flag": f"<{flag}>"},
    )
    with dsl.ParallelFor([1, 2]) as count:
        halved = halve(whole=count).set_caching_options(False)
    see(
        case="collected, and nothing",
        text=absent,
        items=dsl.Collected(halved.outputs["whole"]),
        more=dsl.Collected(halved.outputs["half"]),
    )


@dsl.pipeline(name="rounds")
def rounds(
    anything: list = [2.0, 0.1, True, "2", [1.0, {"b": "<"}]],  # type: ignore[type-arg]  # noqa: B006
    numbers: list[float] = [2.0, 0.1],  # noqa: B006
    tables: list[dict] = [{"n": 1.0, "text": "x"}],  # type: ignore[type-arg]  # noqa: B006
) -> None:
    """Hand on the items of lists, of which kfp knows the type or not."""
    with dsl.ParallelFor(anything) as item:
        see(case="untyped item", text=item).set_caching_options(False)
        with dsl.If(item == 2):
            see(case="untyped item == 2", text=item).set_caching_options(False)
    with dsl.ParallelFor(numbers) as number:
        see(case="item", number=number).set_caching_options(False)
        with dsl.If(number == 2.0):
            see(case="item == 2.0", number=number).set_caching_options(False)
    with dsl.ParallelFor(tables) as row:
        see(case="row", table=row).set_caching_options(False)


@dsl.pipeline(name="conditions")
def conditions(whole: int = 2, number: float = 2.0, flag: bool = True, text: str = "a b") -> None:
    """Compare values with constants."""
    with dsl.If(whole == 2), dsl.If(number == 2):
        see(case="whole == 2 and number == 2").set_caching_options(False)
    with dsl.If(flag == True), dsl.If(text == "a b"):  # noqa: E712 - kfp's operator
        see(case="flag == True and text == 'a b'").set_caching_options(False)
    with dsl.If(text == "2"):
        see(case="text == '2'").set_caching_options(False)


@dsl.pipeline(name="quoted")
def quoted(text: str) -> None:
    """Put a text into another one."""
    see(case="quoted", text=f"<{text}>")


@dsl.pipeline(name="mistyped")
def mistyped(anything: list = [1]) -> None:  # type: ignore[type-arg]  # noqa: B006
    """Hand an item of a list without a type to a task that wants a number."""
    with dsl.ParallelFor(anything) as item:
        halve(whole=item)


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def write(text: str, file: dsl.Output[dsl.Artifact]) -> None:
    from pathlib import Path

    Path(file.path).write_text(text)


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def read(case: str, file: dsl.Input[dsl.Artifact]) -> None:
    import json
    from pathlib import Path

    print("SEEN", json.dumps({"case": case, "text": Path(file.path).read_text()}))


@dsl.pipeline(name="either")
def either(flag: bool = True) -> None:
    """Read the artifact of the branch that was taken."""
    with dsl.If(flag == True):  # noqa: E712 - kfp's operator
        left = write(text="left").set_caching_options(False)
    with dsl.Else():
        right = write(text="right").set_caching_options(False)
    read(case="either", file=dsl.OneOf(left.outputs["file"], right.outputs["file"]))


@dsl.pipeline(name="guarded-rounds")
def guarded_rounds() -> None:
    """Put a round's item into a text, in a loop that has an exit handler around it."""
    with dsl.ExitHandler(see_defaults(case="exit")), dsl.ParallelFor([1, 2]) as count:
        see(case="guarded item", text=f"<{count}>").set_caching_options(False)


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def give_braces() -> str:
    left, right = "{" * 2, "}" * 2
    return f"{left}=1+1{right} {left}workflow.name{right} {left} user {right}"


@dsl.pipeline(name="evaluated")
def evaluated(text: str) -> None:
    """Hand on texts that Argo and Kubernetes take for theirs."""
    see(case="parameter", text=text, items=[text], table={"text": text})
    see(case="output", text=give_braces().output)
