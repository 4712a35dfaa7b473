"""The tutorial, taken apart: each block of commands with where it is typed."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

from kfpkit.core import process
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PAGE = ROOT / "docs/use/tutorial.md"
TEXT = PAGE.read_text(encoding="utf-8")


class Command(NamedTuple):
    """A line of a block.

    Attributes:
        section: The heading that it stands under.
        in_checkout: Whether it is typed in the checkout; else in the reader's folder.
        line: What is typed.
    """

    section: str
    in_checkout: bool
    line: str

    def run(self, folder: Path, env: Mapping[str, str]) -> str:
        """Run it as it stands, and return what it said."""
        done = process.query(
            ["bash", "-euc", self.line], cwd=folder, env=env, check=False, timeout=1800
        )
        said = done.stdout + done.stderr
        assert done.ok, f"{self.line}\n{said}"
        return said


def commands() -> list[Command]:
    """Return every command of the page, in its order."""
    found = []
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        for before, block in re.findall(
            r"([^\n]*)\n\n```shell\n(.*?)```", section, flags=re.DOTALL
        ):
            in_checkout = before.lower().endswith("in the checkout:")
            found += [Command(title, in_checkout, line) for line in block.splitlines()]
    return found


def targets() -> dict[str, Any]:
    """Return what the page puts into targets.toml."""
    (block,) = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)
    return tomllib.loads(block)
