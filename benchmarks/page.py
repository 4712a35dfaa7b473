"""The page of `make bench`: one HTML file that needs nothing else, with its plots in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.phases import MOMENTS, PHASES
from benchmarks.sides import ASIDE
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: The look is that of the report on a run.
STYLE = ROOT / "kfpkit" / "runs" / "report" / "templates" / "report.css"

SIDES = {"ours": "this kit", "upstream": "upstream's settings"}

#: Ends of the scale of ratios.
LEAST, MOST = 0.01, 2.0

#: Pixels of a plot's drawing, of a row in it, and of what stands left of it.
WIDTH, ROW, LEFT = 640.0, 22.0, 220.0


@dataclass(frozen=True)
class Bar:
    """A piece of a row: from where, how long, of which phase or part, and what it says."""

    x: float
    width: float
    kind: int
    text: str


@dataclass(frozen=True)
class Row:
    """A row of bars with its name, and what stands after them."""

    name: str
    bars: list[Bar]
    after: str = ""


@dataclass(frozen=True)
class Plot:
    """Rows on one scale."""

    title: str
    rows: list[Row]
    ticks: list[tuple[float, str]]

    @property
    def height(self) -> float:
        """Its height in pixels, with the scale below."""
        return len(self.rows) * ROW + 28


def render(found: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        found: What bench.json holds.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"seconds": seconds, "part": part}
    return environment.get_template("page.html.j2").render(
        found=found,
        sides=SIDES,
        style=Markup(STYLE.read_text(encoding="utf-8")),  # noqa: S704 - the kit's own file
        width=WIDTH,
        left=LEFT,
        row=ROW,
        phases=PHASES,
        place=place,
        marks=[(place(value), part(value)) for value in (0.01, 0.03, 0.1, 0.3, 1)],
        turns={name: medians(turns) for name, turns in found["measured"].items()},
        by_phase=[one for one in map(phase_plot, *titled(found)) if one.rows],
        one_by_one=one_by_one(found),
        idle=idle_plot(found["others"]["idle"]) if "idle" in found["others"] else None,
        parts=parts_of(found["others"]["idle"]) if "idle" in found["others"] else [],
        loaded=loaded(found),
        aside=ASIDE,
        busy=busy(found),
    )


def seconds(value: float) -> str:
    """Return seconds as a person reads them: three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def part(value: float) -> str:
    """Return a ratio with two digits that count."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def place(ratio: float) -> float:
    """Return where a ratio stands on the scale, from 0 to `WIDTH`; the scale is logarithmic."""
    bounded = min(max(ratio, LEAST), MOST)
    return WIDTH * math.log(bounded / LEAST) / math.log(MOST / LEAST)


def medians(turns: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return by side the medians of what stands beside the seconds, over turns that ended well."""
    names = ("submit", "first", "reported", "pods", "processor", "load")
    return {
        side: {name: median(one[name] for one in mine) for name in names}
        for side in SIDES
        if (mine := [one for one in turns if one["side"] == side and one["seconds"]])
    }


def loaded(found: Mapping[str, Any]) -> list[tuple[str, dict[str, tuple[float, float]]]]:
    """Return for the sampled scenarios, by side, the most MiB and cores of all parts together."""
    shown = []
    for one in found["compared"]:
        most = {}
        for side in SIDES:
            uses = [t["use"] for t in found["measured"][one["name"]] if t["side"] == side]
            if any(uses):
                most[side] = (
                    max(use["bytes"] for use in uses if use) / 2**20,
                    max(use["cores"] for use in uses if use),
                )
        if most:
            shown.append((one["title"], most))
    return shown


def busy(found: Mapping[str, Any]) -> list[str]:
    """Return the turns before which the machine had more to do than it has processors."""
    processors = int(found["environment"]["processors"].split()[0])
    return [
        f"{name} {one['side']} {one['round']}"
        for name, turns in found["measured"].items()
        for one in turns
        if one["load"] > processors
    ]


def titled(found: Mapping[str, Any]) -> tuple[list[str], list[list[dict[str, Any]]]]:
    """Return the titles of the scenarios, and their turns."""
    names = [one["name"] for one in found["compared"]]
    return [one["title"] for one in found["compared"]], [found["measured"][name] for name in names]


def phase_plot(title: str, turns: Sequence[Mapping[str, Any]]) -> Plot:
    """Return the phases of a pod at a scenario, by side and role: means over pods and turns."""
    rows = []
    for side, name in SIDES.items():
        for role in ("driver", "executor"):
            each = [t["phases"][role] for t in turns if t["side"] == side and t["phases"].get(role)]
            if not each:
                continue
            lengths = [
                (number, PHASES[phase], fmean(one[phase] for one in each if phase in one))
                for number, phase in enumerate(PHASES)
                if any(phase in one for one in each)
            ]
            rows.append((f"{name}, {role}", lengths))
    return stacked(title, rows, "s")


def parts_of(idle: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the parts of both sides."""
    return sorted({name for side in SIDES for name in idle[side]})


def idle_plot(idle: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Plot:
    """Return the memory of each side's parts at rest, in MiB."""
    names = parts_of(idle)
    rows = [
        (
            title,
            [(names.index(name), name, use["bytes"] / 2**20) for name, use in idle[side].items()],
        )
        for side, title in SIDES.items()
    ]
    return stacked("Memory at rest", rows, "MiB")


def stacked(
    title: str, rows: Iterable[tuple[str, list[tuple[int, str, float]]]], unit: str
) -> Plot:
    """Return rows of lengths, one after another; each is its number, its name and its length."""
    rows = list(rows)
    longest = max((sum(length for *_, length in row) for _, row in rows), default=0) or 1
    scale = (WIDTH - 90) / longest
    drawn = []
    for name, lengths in rows:
        x, bars = 0.0, []
        for kind, what, length in lengths:
            text = f"{what}: {seconds(length)} {unit}"
            bars.append(Bar(round(x, 1), round(length * scale, 1), kind % 9, text))
            x += length * scale
        drawn.append(Row(name, bars, f"{seconds(sum(one for *_, one in lengths))} {unit}"))
    return Plot(title, drawn, ticks(longest, scale, unit))


def one_by_one(found: Mapping[str, Any]) -> list[tuple[str, list[Plot]]]:
    """Return the pods of each scenario's first good turn of each side, both on one scale."""
    plots = []
    for scenario in found["compared"]:
        firsts: dict[str, Mapping[str, Any]] = {}
        for turn in found["measured"][scenario["name"]]:
            if turn["seconds"] and turn["pieces"]:
                firsts.setdefault(turn["side"], turn)
        longest = max((turn["seconds"] for turn in firsts.values()), default=0)
        if not longest:
            continue
        mine = [run_plot(SIDES[side], turn, longest) for side, turn in sorted(firsts.items())]
        plots.append((scenario["title"], mine))
    return plots


def run_plot(title: str, turn: Mapping[str, Any], longest: float) -> Plot:
    """Return the pods of a run as they came, each cut into its phases."""
    scale = (WIDTH - 10) / longest
    rows = []
    for piece in turn["pieces"]:
        moments = piece["moments"]
        there = [name for name in MOMENTS if name in moments and name != "next"]
        bars = []
        for before, after in pairwise(there):
            length = moments[after] - moments[before]
            what = PHASES[after] if piece["pod"] else "driver without a pod"
            kind = [*PHASES].index(after) if piece["pod"] else 8
            text = f"{what}: {seconds(length)} s"
            x = round(moments[before] * scale, 1)
            bars.append(Bar(x, round(max(length * scale, 1), 1), kind, text))
        rows.append(Row(f"{piece['task'] or 'pipeline'}, {piece['role']}", bars))
    return Plot(f"{title}: {seconds(turn['seconds'])} s", rows, ticks(longest, scale, "s"))


def ticks(longest: float, scale: float, unit: str) -> list[tuple[float, str]]:
    """Return where the scale has a number: three to seven of them, round ones."""
    step = 10 ** math.floor(math.log10(longest))
    step *= next(factor for factor in (0.2, 0.5, 1, 2) if longest / (step * factor) <= 7)
    count = int(longest / step + 1e-9)
    return [(round(n * step * scale, 1), f"{n * step:g} {unit}") for n in range(count + 1)]
