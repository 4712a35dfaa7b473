"""Beginning a pipeline or a component of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kfpkit.cli.options import argument, option
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, join_names
from kfpkit.new import skeletons

app = typer.Typer()
new_app = typer.Typer(
    help="The beginning of a pipeline or a component of your own.", no_args_is_help=True
)
app.add_typer(new_app, name="new")

NewName = Annotated[str, argument("NAME", "Name of what is new, and of its folder")]
Form = Annotated[str, option("FORM", "Form of components: python, or yaml for a ComponentSpec")]
Folder = Annotated[
    Path | None, option("FOLDER", "Folder that takes the new one; default where you are")
]
RuntimeImage = Annotated[str, option("RUNTIME_IMAGE", "Image of the tasks, for other clusters")]


@new_app.command()
def pipeline(
    name: NewName = "",
    form: Form = "python",
    folder: Folder = None,
    runtime_image: RuntimeImage = "",
) -> None:
    """Write a small pipeline with tests, to make your own of."""
    _write("pipeline", form, name, folder or Path(), runtime_image)


@new_app.command()
def component(
    name: NewName = "",
    form: Form = "python",
    folder: Folder = None,
    runtime_image: RuntimeImage = "",
) -> None:
    """Write a small component with tests and a pipeline of it alone."""
    _write("component", form, name, folder or Path(), runtime_image)


def _write(kind: str, form: str, name: str, folder: Path, image: str) -> None:
    if form not in skeletons.FORMS:
        raise BadInputError(f"there is no form {form!r}", f"Forms: {join_names(skeletons.FORMS)}")
    make = skeletons.plan if process.dry_run() else skeletons.write
    for file in make(kind, form, name, folder, image):
        console.say(f"would write {file}" if process.dry_run() else str(file))
    if not process.dry_run():
        test = process.line(["pytest", str(folder / name)])
        run = process.line(["kfpkit", "run", str(folder / name / "pipeline.py")])
        console.say(f"next: {test}; {run}")
