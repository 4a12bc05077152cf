"""Finished runs with charts."""

from __future__ import annotations

from tests.analysis.export.conftest import greys

__all__ = ["greys"]
