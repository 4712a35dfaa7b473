"""Commands on images built from packages, and on their cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from kfpkit.cli.options import Images, KindConfig, MirrorName, Names, Part, Release, Yes
from kfpkit.cli.targets import kind
from kfpkit.cluster import loading
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.images import builder, cache, engine, source
from kfpkit.images import mirror as registry
from kfpkit.images.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kfpkit.images.builder import Outcome

app = typer.Typer()
images_app = typer.Typer(help="Images built from package registries.", no_args_is_help=True)
cache_app = typer.Typer(help="The cache of built images.", no_args_is_help=True)
app.add_typer(images_app, name="images")
app.add_typer(cache_app, name="cache")


@images_app.command()
def build(names: Names = None, images: Images = "", yes: Yes = False) -> None:
    """Build the images that are not in the cache, and print what was done for each.

    On public bases where there are some and the source is upstream. Those that are named are in the
    Docker engine afterwards, to be run, tagged or pushed.
    """
    if images == Source.MIRROR:
        raise BadInputError("IMAGES=mirror builds nothing", "Use upstream or packages")
    names = " ".join(names or []).split()
    chosen, why = source.choose(images, "")
    console.say(f"images: {chosen} ({why})")
    public = chosen is Source.UPSTREAM
    if process.dry_run():
        recipes, digests = builder.plan(names, public=public)
        for name in recipes:
            state = "cached" if cache.find(name, digests[name]) else "to build"
            console.out.print(f"{name}: {state}", markup=False)
        return
    asked = console.consent(yes=yes)
    engine.ensure(asked)
    outcomes = builder.ensure(names, load=names, public=public, confirm=asked)
    console.out.print(_table(outcomes.values()), markup=False)
    console.say(f"cache: {cache.root()} ({_mebibytes(sum(cache.sizes().values()))} MiB)")


@images_app.command("list")
def list_images(release: Release = "", images: Images = "", mirror: MirrorName = "") -> None:
    """Print every image that is pulled for a release, and its name in a mirror if one is named."""
    chosen, _ = source.choose(images, mirror)
    target = registry.parse(mirror) if mirror else None
    for image in registry.listed(chosen, release):
        # Plain lines, for other programs to read.
        text = f"{image} {target.name(image)}" if target else image
        console.out.print(text, markup=False, soft_wrap=True, highlight=False)


@images_app.command()
def push(
    mirror: MirrorName = "", release: Release = "", images: Images = "", yes: Yes = False
) -> None:
    """Fill a registry with every image of a release, from the source."""
    target = registry.parse(mirror)
    chosen, why = source.choose(images, mirror)
    console.say(f"images: {chosen} ({why})")
    registry.listed(chosen, release)
    asked = console.consent(yes=yes)
    engine.ensure(asked)
    registry.push(target, chosen, release, confirm=asked)


@images_app.command()
def load(names: Names, kind_config: KindConfig = None) -> None:
    """Load images onto every node of the cluster, building those that are not in the cache."""
    loading.load(kind(kind_config), names or [])


@cache_app.command("info")
def cache_info() -> None:
    """Print where the cache is and how much each part of it holds."""
    sizes = cache.sizes()
    for part, size in sizes.items():
        purpose = f"  {cache.PURPOSES[part]}" if part in cache.PURPOSES else ""
        text = f"{_mebibytes(size):>8} MiB  {cache.root() / part}{purpose}"
        console.out.print(text, markup=False, soft_wrap=True)
    console.out.print(f"{_mebibytes(sum(sizes.values())):>8} MiB  {cache.root()}", markup=False)


@cache_app.command("clean")
def cache_clean(part: Part = "", yes: Yes = False) -> None:
    """Remove the cache, or a part of it; what is missing then is made again when it is needed."""
    sizes = cache.sizes()
    size = _mebibytes(sum(sizes[name] for name in cache.chosen(part)))
    what = f"{cache.root() / part} ({size} MiB)"
    if process.dry_run():
        console.say(f"would remove {what}")
        return
    if not yes:
        typer.confirm(f"Remove {what}?", abort=True)
    cache.clean(part)
    console.say(f"removed {what}")


def _mebibytes(size: int) -> int:
    return round(size / 2**20)


def _table(outcomes: Iterable[Outcome]) -> str:
    """Return one line for each image, the columns as wide as they need to be."""
    rows = [("IMAGE", "FROM", "MiB", "BUILD s", "STATE")]
    for done in outcomes:
        entry = done.entry
        figures = (str(_mebibytes(entry.size)), f"{entry.seconds:.0f}", done.state)
        rows.append((entry.name, ", ".join(done.sources), *figures))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
