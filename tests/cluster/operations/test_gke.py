"""The preflight for GKE, on a cluster that is none."""

from __future__ import annotations

import pytest

from kfpkit.core.errors import KitError
from kfpkit.kfp.target import choose
from kfpkit.operations import gke


@pytest.mark.cluster
def test_a_cluster_that_is_not_gkes_is_refused_and_says_why(
    cluster: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KitError, match="is not ready for the overlay gke: parameters; cluster"):
        gke.require(choose("gke", context=cluster))
    said = "".join(capsys.readouterr())
    assert "not served: BackendConfig (cloud.google.com/v1)" in said
    assert "ok       permissions" in said
    assert "ok       NetworkPolicy: enforced by" in said
