"""Releases of Kubeflow Pipelines: which one is installed, and whose data another takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfpkit.kube.render import pod_spec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kfpkit.kube.render import Document

#: Ways that were seen working, from the release whose database it is to that which takes it over at
#: its start, and what each does beside changing objects.
PATHS = {
    ("2.14.3", "2.14.3"): (),
    ("2.17.0", "2.17.0"): (),
    ("2.14.3", "2.17.0"): (
        "tables: 22 columns become shorter (names of pipelines and experiments: 128 characters, of "
        "pipeline versions: 127), two tables for tags are new, run_details and jobs get columns "
        "for plugins, foreign keys are made anew, the index name_namespace_index goes",
        "cache: no step that ran before hits it afterwards, since 2.17.0 computes other "
        "fingerprints; each step runs once more, then hits again",
    ),
}


def release(documents: Iterable[Document]) -> str:
    """Return the release that a render installs: that of its API server's image."""
    (server,) = [
        d for d in documents if d["kind"] == "Deployment" and d["metadata"]["name"] == "ml-pipeline"
    ]
    image: str = pod_spec(server)["containers"][0]["image"]
    return image.partition("@")[0].rpartition(":")[2]
