"""The documents against the code: what they name exists, and what exists is in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGES = sorted(
    page
    for page in {ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/**/README.md")}
    if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)
)
OPERATE = [page for page in (ROOT / "docs/operate").glob("*.md") if page.stem != "README"]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, flags=re.MULTILINE))
IN_HELP = set(re.findall(r"^([a-z][a-z-]*):.*## ", MAKEFILE, flags=re.MULTILINE))


def pages() -> list[object]:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES]


def code_of(text: str) -> str:
    """Return the commands of a page: its fenced blocks and its inline code."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL))


@pytest.mark.parametrize("page", pages())
def test_every_make_target_in_a_page_exists(page: Path) -> None:
    named = re.findall(
        r"(?:^|[`;&(]|\$ )\s*(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)",
        code_of(page.read_text()),
        flags=re.MULTILINE,
    )
    assert not {name.removeprefix("help-") for name in named} - TARGETS


@pytest.mark.parametrize("page", pages())
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", pages())
def test_every_program_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`((?:kfpkit|scripts|tests)/[\w/.-]+\.(?:py|sh))`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", OPERATE, ids=lambda page: page.stem)
def test_every_page_of_operations_begins_with_what_to_do(page: Path) -> None:
    text = page.read_text()
    first, _, rest = text.partition("\n## ")
    assert "```" not in first
    assert rest.startswith("Do this\n")
    (block, *_) = re.findall(
        r"```(?:shell)?\n(.*?)```", rest.partition("\n## ")[0], flags=re.DOTALL
    )
    assert 3 <= block.count("\n") <= 12


def test_every_target_is_in_the_help() -> None:
    assert TARGETS <= IN_HELP


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        todo += [
            (page.parent / target).resolve()
            for target in re.findall(r"\]\(([^)#\s]+)", page.read_text())
            if "://" not in target and (page.parent / target).exists()
        ]
    unreached = [p for p in PAGES if p.is_relative_to(ROOT / "docs") and p not in seen]
    assert [str(p.relative_to(ROOT)) for p in unreached] == []
