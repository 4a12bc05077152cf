"""Fixtures of the tests of the analysis."""

from tests.pipelines.conftest import place

__all__ = ["place"]
