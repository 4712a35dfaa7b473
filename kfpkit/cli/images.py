"""Commands on images built from packages, and on their cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kfpkit.cli.install import Yes  # noqa: TC001 - typer reads annotations at run time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kfpkit.images.builder import Outcome


def register(app: typer.Typer) -> None:
    """Add `kfpkit images` and `kfpkit cache`."""
    images = typer.Typer(help="Images built from package registries.", no_args_is_help=True)
    images.command("build")(build)
    images.command("load")(load)
    images.command("list")(list_images)
    images.command("push")(push)
    app.add_typer(images, name="images")
    cache_app = typer.Typer(help="The cache of built images.", no_args_is_help=True)
    cache_app.command("info")(cache_info)
    cache_app.command("clean")(cache_clean)
    app.add_typer(cache_app, name="cache")


def build(
    names: Annotated[
        list[str] | None, typer.Argument(envvar="NAMES", help="Folders of images/; default all.")
    ] = None,
    images: Annotated[
        str, typer.Option(envvar="IMAGES", help="`upstream`: on public bases where there are some.")
    ] = "packages",
    yes: Yes = False,
) -> None:
    """Build the images that are not in the cache, and print what was done for each.

    Those that are named are in the Docker engine afterwards, to be run, tagged or pushed.
    """
    from kfpkit.core import console, process
    from kfpkit.images import builder, cache, engine
    from kfpkit.images.source import Source, choose

    source, _ = choose(images, "")
    public = source is Source.UPSTREAM
    if process.dry_run():
        recipes, digests = builder.plan(names or [], public=public)
        for name in recipes:
            state = "cached" if cache.find(name, digests[name]) else "to build"
            console.out.print(f"{name}: {state}", markup=False)
        return
    asked = console.consent(yes=yes)
    engine.ensure(asked)
    outcomes = builder.ensure(names or [], load=names or [], public=public, confirm=asked)
    console.out.print(_table(outcomes.values()), markup=False)
    console.say(f"cache: {cache.root()} ({_mebibytes(sum(cache.sizes().values()))} MiB)")


def list_images(
    release: Annotated[str, typer.Option(envvar="RELEASE", help="A KFP release.")] = "",
    mirror: Annotated[
        str, typer.Option(envvar="MIRROR", help="Print the names in this registry too.")
    ] = "",
    images: Annotated[str, typer.Option(envvar="IMAGES", help="The source.")] = "",
) -> None:
    """Print every image that is pulled for a release, from the source that IMAGES names."""
    from kfpkit.core import console
    from kfpkit.images import mirror as registry
    from kfpkit.images import source as sources

    source, _ = sources.choose(images, mirror)
    target = registry.parse(mirror) if mirror else None
    for image in registry.listed(source, release):
        # Plain lines, for other programs to read.
        text = f"{image} {target.name(image)}" if target else image
        console.out.print(text, markup=False, soft_wrap=True, highlight=False)


def push(
    mirror: Annotated[
        str,
        typer.Option(envvar="MIRROR", help="The registry: HOST, HOST:PORT or HOST:PORT/PREFIX."),
    ] = "",
    release: Annotated[str, typer.Option(envvar="RELEASE", help="A KFP release.")] = "",
    images: Annotated[str, typer.Option(envvar="IMAGES", help="The source.")] = "",
    yes: Yes = False,
) -> None:
    """Fill a registry with every image of a release, from the source that IMAGES names."""
    from kfpkit.core import console
    from kfpkit.images import engine
    from kfpkit.images import mirror as registry
    from kfpkit.images import source as sources

    target = registry.parse(mirror)
    source, why = sources.choose(images, mirror)
    console.say(f"images: {source} ({why})")
    registry.listed(source, release)
    asked = console.consent(yes=yes)
    engine.ensure(asked)
    registry.push(target, source, release, confirm=asked)


def load(
    names: Annotated[list[str], typer.Argument(help="Folders of images/.")],
) -> None:
    """Load images onto every node of the cluster, building those that are not in the cache."""
    from kfpkit.cluster import config, loading

    loading.load(config.load(), names)


def cache_info() -> None:
    """Print where the cache is and how much each part of it holds."""
    from kfpkit.core import console
    from kfpkit.images import cache

    sizes = cache.sizes()
    for part, size in sizes.items():
        purpose = f"  {cache.PURPOSES[part]}" if part in cache.PURPOSES else ""
        text = f"{_mebibytes(size):>8} MiB  {cache.root() / part}{purpose}"
        console.out.print(text, markup=False, soft_wrap=True)
    console.out.print(f"{_mebibytes(sum(sizes.values())):>8} MiB  {cache.root()}", markup=False)


def cache_clean(
    part: Annotated[
        str, typer.Option(envvar="PART", help="One of the parts that `cache info` lists.")
    ] = "",
    yes: Yes = False,
) -> None:
    """Remove the cache, or a part of it; what is missing then is made again when it is needed."""
    from kfpkit.core import console, process
    from kfpkit.images import cache

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
