"""The page about upgrades: its commands are ones that kubectl has, its table is the plan's."""

from __future__ import annotations

import re

from kfpkit.core.versions import ROOT
from kfpkit.kfp.releases import PATHS
from tests.support.pages import blocks, commands, judge

PAGE = (ROOT / "docs/operate/upgrade.md").read_text()


def test_every_kubectl_command_parses() -> None:
    found = [words for block in blocks(PAGE) for words in commands(block)]
    ours = [words for words in found if words[0] == "kubectl"]
    assert len(ours) > 5
    for words in ours:
        judge(words)


def test_the_ways_are_those_that_are_taken() -> None:
    rows = re.findall(r"^\| (\d[\d.]*) \| (\d[\d.]*) \|", PAGE, flags=re.MULTILINE)
    assert set(rows) == set(PATHS)
