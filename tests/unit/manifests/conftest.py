"""Every overlay and every combination, rendered once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kfpkit.kube.render import Document
from tests.support.renders import SUBJECTS, rendered


@pytest.fixture(params=SUBJECTS)
def documents(request: pytest.FixtureRequest) -> list[Document]:
    """The objects of one overlay or combination."""
    return rendered(request.param)
