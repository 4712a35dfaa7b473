"""`make bench`: this kit beside upstream's settings, on one cluster, in one run.

Usage: .venv/bin/python -m benchmarks [--quick] [--scenarios A,B] [--rounds N] [--leave] [...]

Both are measured in alternation, never at the same time. Start it when nothing else runs on the
machine. docs/design/speed.md says what is compared, and what came out.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks import environment, page, sides
from benchmarks.others import OTHERS
from benchmarks.phases import ratios, spread
from benchmarks.scenarios import SCENARIOS, Measured, Scenario, opened
from kfpkit.cli import launch
from kfpkit.cluster import config
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.kfp.target import choose
from kfpkit.operations import installation

if TYPE_CHECKING:
    from benchmarks.sides import Side

#: Rounds; of the quick form at most: it begins another only where there is time.
ROUNDS = 3

#: Seconds until which the quick form begins a scenario, and by which a further round of one is to
#: have ended.
FIRST, AGAIN = 9 * 60.0, 13 * 60.0

#: Where the results go.
FOLDER = "bench"


@dataclass
class Results:
    """What was measured so far.

    Attributes:
        environment: As `environment.describe` has it.
        quick: Whether it was the quick form.
        measured: The turns at each scenario.
        others: What is no run: by name, as `others` returns it.
        interrupted: Whether it ended before all was measured.
    """

    environment: dict[str, str]
    quick: bool
    measured: dict[str, list[Measured]] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False

    def compared(self, scenario: Scenario) -> dict[str, Any]:
        """Return both sides' seconds at a scenario, and their ratios, round by round."""
        turns = self.measured.get(scenario.name, [])
        seconds = {
            side: {one.round: one.seconds for one in turns if one.side == side and one.seconds}
            for side in ("ours", "upstream")
        }
        pairs = ratios(seconds["ours"], seconds["upstream"])
        return {
            "name": scenario.name,
            "title": scenario.title,
            "goal": scenario.goal,
            "failed": sum(one.failed for one in turns),
            "ratio": spread(pairs) if pairs else None,
            **{side: spread([*each.values()]) for side, each in seconds.items() if each},
        }

    def description(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        done = [one for one in SCENARIOS if self.measured.get(one.name)]
        return {
            "environment": self.environment,
            "quick": self.quick,
            "interrupted": self.interrupted,
            "compared": [self.compared(one) for one in done],
            "others": self.others,
            "measured": {name: [asdict(one) for one in t] for name, t in self.measured.items()},
        }


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def bench(
    quick: Annotated[bool, typer.Option(help="Under 15 minutes.")] = False,
    scenarios: Annotated[str, typer.Option(help="Names with commas between; default all.")] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each side.")] = ROUNDS,
    leave: Annotated[bool, typer.Option(help="Leave upstream's settings installed.")] = False,
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = Path(FOLDER),
    target: Annotated[str, typer.Option(help="Where.")] = "kind",
    kind_config: Annotated[Path | None, typer.Option(help="Configuration of kind.")] = None,
) -> None:
    """Measure and write the results."""
    began = time.monotonic()
    wanted, rest = select(scenarios, quick=quick)
    ours, upstream = sides.both(choose(target, kind=config.load(kind_config)))
    installation.require_ready(ours.target)
    output.mkdir(parents=True, exist_ok=True)
    results = Results(environment.describe(ours.target), quick)
    try:
        sides.install(ours, upstream, timeout=1800)
        _measure(results, wanted, rest, ours, upstream, rounds, began, output)
    except KeyboardInterrupt:
        console.warn("interrupted: what there is is written, and the cluster put back as it was")
        results.interrupted = True
        raise
    finally:
        try:
            if _write(results, output):
                console.out.print(f"{output / 'bench.html'} and bench.json", markup=False)
        finally:
            _end(ours, upstream, leave=leave)
    console.say(f"measured in {(time.monotonic() - began) / 60:.0f} minutes")


def select(names: str, *, quick: bool) -> tuple[list[Scenario], list[str]]:
    """Return the scenarios that are wanted, and the names of what is no run.

    Raises:
        BadInputError: There is none of that name.
    """
    known = {one.name for one in SCENARIOS} | set(OTHERS)
    chosen = {name.strip() for name in names.split(",") if name.strip()}
    if unknown := sorted(chosen - known):
        raise BadInputError(
            f"there is no scenario {', '.join(unknown)}",
            f"SCENARIOS takes of these, with commas between: {', '.join(sorted(known))}",
        )
    if "sample-cached" in chosen:
        chosen.add("sample")  # which fills the cache
    if not chosen:
        chosen = {one.name for one in SCENARIOS if one.quick or not quick}
        chosen |= {name for name, other in OTHERS.items() if other.quick or not quick}
    return [one for one in SCENARIOS if one.name in chosen], [n for n in OTHERS if n in chosen]


def fits(turns: list[Measured], elapsed: float) -> bool:
    """Return whether the quick form has the time for another round of a scenario.

    Args:
        turns: Those that there have been of it.
        elapsed: Seconds since the start.
    """
    if not turns:
        return elapsed <= FIRST
    return elapsed + sum(one.took for one in turns[-2:]) <= AGAIN


def _measure(
    results: Results,
    wanted: list[Scenario],
    rest: list[str],
    ours: Side,
    upstream: Side,
    rounds: int,
    began: float,
    output: Path,
) -> None:
    with ExitStack() as stack:
        runners = stack.enter_context(opened(ours, upstream)) if wanted else {}
        for number in range(1, rounds + 1):
            for scenario in wanted:
                turns = results.measured.setdefault(scenario.name, [])
                if results.quick and not fits(turns, time.monotonic() - began):
                    if not turns:
                        del results.measured[scenario.name]
                        console.warn(f"no time left for: {scenario.title}")
                    continue
                for side, other in ((ours, upstream), (upstream, ours)):
                    sides.give_turn(side, other)
                    turns.append(runners[side.name].measure(scenario, number))
                    _tell(scenario, turns[-1])
                _write(results, output)
    # After the runs: what has just been installed has nothing in its memory yet.
    for name in rest:
        console.say(OTHERS[name].title)
        results.others[name] = OTHERS[name].measure(ours, upstream)


def _tell(scenario: Scenario, turn: Measured) -> None:
    if turn.failed:
        console.warn(f"{scenario.title}: {turn.side}: {turn.failed} run(s) failed: not counted")
        return
    console.say(
        f"{scenario.title:<32} {turn.side:<9} round {turn.round}: {turn.seconds:7.1f} s, "
        f"{turn.pods} pods, {turn.processor:.0f} s of processor"
    )


def _write(results: Results, folder: Path) -> bool:
    """Write what there is so far; return whether there is anything."""
    if not any(results.measured.values()) and not results.others:
        return False
    found = results.description()
    (folder / "bench.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "bench.html").write_text(page.render(found), encoding="utf-8")
    return True


def _end(ours: Side, upstream: Side, *, leave: bool) -> None:
    """Put the cluster back as it was."""
    if leave:
        sides.give_turn(ours, upstream)
        console.say(f"upstream's settings stay; `{sides.removal(upstream)}` removes them")
        return
    sides.give_turn(ours, upstream)
    console.say(f"removing upstream's settings; by hand: `{sides.removal(upstream)}`")
    sides.remove(upstream)


if __name__ == "__main__":
    process.set_dry_run(False)
    launch(app)
