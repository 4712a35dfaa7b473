"""Every overlay and every combination, rendered once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.renders import SUBJECTS, rendered

if TYPE_CHECKING:
    from kfpkit.kube.render import Document


@pytest.fixture(params=SUBJECTS)
def documents(request: pytest.FixtureRequest) -> list[Document]:
    """The objects of one overlay or combination."""
    return rendered(request.param)
