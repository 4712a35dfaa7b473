"""The contract between a container component and KFP, for metadata of artifacts.

KFP hands a container the ExecutorInput as JSON where its arguments have `executorInput`, and reads
the ExecutorOutput as JSON from the file named there. (A Python component needs none of this: kfp's
executor does it.)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Metadata of an output artifact: what JSON can hold.
Metadata = dict[str, object]


def write(executor_input: str, metadata: Mapping[str, Metadata]) -> None:
    """Write the ExecutorOutput: every output artifact, with its metadata.

    Args:
        executor_input: The ExecutorInput as JSON.
        metadata: Metadata by name of the output artifact.

    Raises:
        ValueError: A value is not finite; KFP could not read it.
    """
    outputs = json.loads(executor_input)["outputs"]
    artifacts = {
        name: {"artifacts": [{**found, "metadata": metadata.get(name, {})}]}
        for name, listed in outputs.get("artifacts", {}).items()
        for found in [_without_type(listed["artifacts"][0])]
    }
    file = Path(outputs["outputFile"])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"artifacts": artifacts}, allow_nan=False), encoding="utf-8")


def _without_type(artifact: dict[str, object]) -> dict[str, object]:
    return {key: artifact[key] for key in ("name", "uri") if key in artifact}
