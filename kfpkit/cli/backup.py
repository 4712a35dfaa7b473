"""Commands on backups."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kfpkit.cli.install import Context, Overlay, Timeout, Yes  # noqa: TC001 - typer reads them

From = Annotated[
    str,
    typer.Option(
        "--from",
        envvar="FROM",
        help="A backup, a folder of backups (the newest counts), or restic:REPOSITORY.",
    ),
]
Work = Annotated[
    Path,
    typer.Option(
        envvar="WORK", help="Where a repository's backups are on this machine; kept between them."
    ),
]
Snapshot = Annotated[
    str, typer.Option(envvar="SNAPSHOT", help="restic's snapshot, where FROM is a repository.")
]
Wait = Annotated[
    float, typer.Option(min=0, envvar="WAIT", help="Seconds to wait for runs under way.")
]


def register(app: typer.Typer) -> None:
    """Add `kfpkit backup`, `backup-verify`, `backup-resume`, `restore`, `inventory`, `compare`."""
    app.command("backup")(backup)
    app.command("backup-verify")(verify)
    app.command("backup-resume")(resume)
    app.command("restore")(restore)
    app.command("inventory")(inventory)
    app.command("compare")(compare)


def backup(
    overlay: Overlay = "",
    context: Context = "",
    to: Annotated[
        str, typer.Option(envvar="TO", help="Folder of the backups, or restic:REPOSITORY.")
    ] = "backups",
    work: Work = Path("backups"),
    wait: Wait = 600,
) -> None:
    """Back up databases, artifacts, Secrets and recurring runs; runs go on meanwhile."""
    from kfpkit.core import process
    from kfpkit.kfp.target import choose
    from kfpkit.operations.backup import create, remote

    away = remote.is_remote(to)
    if away and not process.dry_run():
        remote.require(to)
    made = create.make(choose(overlay, context), work if away else Path(to), wait=wait)
    if away:
        remote.push(to, made)


def verify(
    source: From = "backups", snapshot: Snapshot = "latest", work: Work = Path("backups")
) -> None:
    """Prove, without a cluster, that a backup can be put back."""
    from kfpkit.operations.backup.verify import verify as prove

    prove(_backup(source, snapshot, work))


def resume(overlay: Overlay = "", context: Context = "") -> None:
    """Start the parts again that a backup or restore was holding when it was killed."""
    from kfpkit.core import console, process
    from kfpkit.kfp.target import choose
    from kfpkit.operations.backup import restore

    if not restore.resume(choose(overlay, context)) and not process.dry_run():
        console.say("no part is held")


def restore(
    overlay: Overlay = "",
    context: Context = "",
    source: From = "backups",
    snapshot: Snapshot = "latest",
    work: Work = Path("backups"),
    yes: Yes = False,
    timeout: Timeout = 1800,
) -> None:
    """Put a backup back: into an empty cluster, or in the place of what is installed."""
    from kfpkit.kfp.target import choose
    from kfpkit.operations.backup.restore import restore as put_back

    target = choose(overlay, context)
    folder = _backup(source, snapshot, work)
    put_back(target, folder, confirm=lambda text: yes or typer.confirm(text), timeout=timeout)


def inventory(
    overlay: Overlay = "",
    context: Context = "",
    to: Annotated[Path, typer.Option(envvar="TO", help="File to write.")] = Path("inventory.json"),
) -> None:
    """Write down what an installation holds: every run, artifact (by SHA-256) and fact."""
    import json

    from kfpkit.core import console
    from kfpkit.kfp.target import choose
    from kfpkit.operations.backup import inventory as holdings

    found = holdings.take(choose(overlay, context))
    to.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    numbers = ", ".join(f"{count} {name}" for name, count in holdings.counts(found).items())
    console.say(f"{to}: {numbers}")


def compare(
    before: Annotated[
        Path, typer.Argument(envvar="BEFORE", exists=True, dir_okay=False, help="An inventory.")
    ],
    after: Annotated[
        Path, typer.Argument(envvar="AFTER", exists=True, dir_okay=False, help="A later one.")
    ],
) -> None:
    """Compare two inventories; exit code 1 if there is a difference."""
    import json

    from kfpkit.core import console
    from kfpkit.operations.backup import inventory as holdings

    one, other = (json.loads(file.read_text(encoding="utf-8")) for file in (before, after))
    found = holdings.differences(one, other)
    for row in found:
        console.out.print(row, markup=False)
    if found:
        raise typer.Exit(1)
    numbers = ", ".join(f"{count} {name}" for name, count in holdings.counts(one).items())
    console.out.print(f"no difference in {numbers}", markup=False)


def _backup(source: str, snapshot: str, work: Path) -> Path:
    from kfpkit.core import process
    from kfpkit.operations.backup import manifest, remote

    if remote.is_remote(source):
        fetched = remote.fetch(source, snapshot, work)
        if process.dry_run():
            raise typer.Exit  # What would follow depends on the backup.
        return fetched
    return manifest.find(Path(source))
