"""Fixtures of the tests of the analysis."""

from __future__ import annotations

import pytest

from tests.analysis.detected import Detected
from tests.pipelines.conftest import place

__all__ = ["detected", "place"]


@pytest.fixture(scope="session")
def detected(tmp_path_factory: pytest.TempPathFactory) -> Detected:
    """Detection run of four images; tests add rescored runs."""
    return Detected(tmp_path_factory.mktemp("detected"))
