"""What is said arrives as it was said."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from kfpkit.core import console
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    import pytest

#: Rich takes a part of it for an emoji, another for a style.
TEXT = "arn:aws:s3:x:b 1:100:2 kind:id:x [bold]"


def test_no_text_is_taken_for_an_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    console.out.print(TEXT, markup=False)
    console.say(TEXT)
    console.warn(TEXT)
    printed = capsys.readouterr()
    assert printed.out == f"{TEXT}\n"
    assert printed.err == f"{TEXT}\nwarning: {TEXT}\n"


def test_a_question_is_asked_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    asks = console.consent(yes=False)
    assert asks
    assert asks(TEXT)
    assert TEXT in capsys.readouterr().err


def test_no_console_is_made_that_takes_texts_for_emojis() -> None:
    made: list[Any] = [
        (file.name, node)
        for file in (ROOT / "kfpkit").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Console")
    ]
    assert len(made) >= 3
    for file, node in made:
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        assert given.get("emoji") == "False", f"{file}, line {node.lineno}"
