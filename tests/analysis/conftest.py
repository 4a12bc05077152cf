"""What the tests of the analysis use."""

from tests.pipelines.conftest import place

__all__ = ["place"]
