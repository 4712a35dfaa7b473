"""An image of one's own on the nodes."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from kfpkit.cluster import lifecycle, loading
from kfpkit.core import process
from kfpkit.core.errors import BadInputError
from kfpkit.images import builder, recipe
from kfpkit.images.source import Source

if TYPE_CHECKING:
    from kfpkit.cluster.config import KindCluster


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_an_own_image_reaches_every_node(kind: KindCluster) -> None:
    if lifecycle.observe(kind).marker.get("images") == Source.MIRROR:  # type: ignore[union-attr]
        pytest.skip("the nodes pull from a mirror")
    image = f"kfpkit/test-own:{uuid.uuid4().hex[:8]}"
    pause = recipe.load(recipe.IMAGES / "pause").references[0]
    builder.ensure(["pause"], load=["pause"])
    process.query(["docker", "tag", pause, image])
    nodes = loading._nodes(lifecycle.observe(kind))
    try:
        loading.load(kind, [], [image])
        process.query(["docker", "image", "rm", image])
        for node in nodes:
            listed = process.query(["docker", "exec", node, *loading.CTR, "list", "--quiet"])
            assert f"docker.io/{image}" in listed.stdout.split()
        loading.load(kind, [], [image])  # The engine has lost it, and every node has it.
    finally:
        process.query(["docker", "image", "rm", image], check=False)
        for node in nodes:
            remove = ["docker", "exec", node, *loading.CTR, "rm", f"docker.io/{image}"]
            process.query(remove, check=False)
    with pytest.raises(BadInputError, match="neither built here nor in the nodes"):
        loading.load(kind, [], [image])
