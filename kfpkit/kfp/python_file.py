"""Importing a user's Python file as `python FILE.py` would run it, and leaving no trace of it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from contextlib import chdir, contextmanager, redirect_stdout
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

from kfpkit.core.packages import OWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def load(file: Path) -> ModuleType:
    """Import a file and return its module.

    Its folder is the first place that modules are found in, packages there and on PYTHONPATH come
    before the kit's of the same name, and `sys.argv` is the file alone. What it prints goes to
    standard error, for the kit's own output may be read by a program. Its name is not `__main__`:
    what stands under that condition does not run. Afterwards it is as it was: another file may
    have other modules of the same names.

    Args:
        file: The file, whose name ends in `.py`.

    Raises:
        BaseException: Whatever the file raises.
    """
    real = file.resolve()
    name = f"_kfpkit_{hashlib.sha256(os.fsencode(real)).hexdigest()[:12]}"
    loader = SourceFileLoader(name, str(real))
    module = importlib.util.module_from_spec(ModuleSpec(name, loader, origin=str(real)))
    module.__file__ = str(real)
    with _as_a_program(real), redirect_stdout(sys.stderr), chdir(Path.cwd()):
        sys.modules[name] = module
        loader.exec_module(module)
    return module


@contextmanager
def _as_a_program(file: Path) -> Iterator[None]:
    """Let modules be found as for a program, and put back what was there."""
    path, argv, before = sys.path[:], sys.argv[:], dict(sys.modules)
    folder = str(file.parent)
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    importlib.invalidate_caches()
    sys.path.insert(0, folder)
    sys.argv[:] = [str(file)]
    hidden = [own for own in OWN if _hide(own, [folder, *filter(None, given)])]
    try:
        yield
    finally:
        sys.path[:], sys.argv[:] = path, argv
        new = {name: module for name, module in sys.modules.items() if name not in before}
        theirs = {
            name for name, module in new.items() if "." not in name and _is_in(module, folder)
        }
        for name in list(sys.modules):
            if name.partition(".")[0] in theirs.union(hidden):
                del sys.modules[name]
        sys.modules.update(
            {name: before[name] for name in before if name.partition(".")[0] in hidden}
        )


def _hide(own: str, places: list[str]) -> bool:
    """Make room for a user's package of the name of one of the kit's; return whether there is."""
    theirs = PathFinder.find_spec(own, places)
    if theirs is None or (own in sys.modules and theirs.origin == sys.modules[own].__file__):
        return False
    if theirs.origin is None:  # a folder without __init__.py
        found = [Path(place) for place in theirs.submodule_search_locations or ()]
        if not any(any(place.rglob("*.py")) for place in found):
            return False
    for name in [name for name in sys.modules if name.partition(".")[0] == own]:
        del sys.modules[name]
    if theirs.origin is None:
        # Left to Python, the kit's package would come before it, having an __init__.py.
        sys.modules[own] = importlib.util.module_from_spec(theirs)
    return True


def _is_in(module: ModuleType, folder: str) -> bool:
    """Whether a module or a package stands in a folder itself."""
    place = next(iter(getattr(module, "__path__", [])), getattr(module, "__file__", None))
    return place is not None and str(Path(place).parent) == folder
