"""`python -m tests.support.vertex FOLDER`: start a stand-in and say how it is used."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from pathlib import Path

from tests.support.vertex.server import opened

if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(KeyboardInterrupt), opened(folder) as stand_in:
        sys.stdout.write(
            f"export STORAGE_EMULATOR_HOST={stand_in.storage}\n"
            f"kfpkit run penguins --target=stand-in --targets={stand_in.targets}\n"
        )
        sys.stdout.flush()
        threading.Event().wait()
