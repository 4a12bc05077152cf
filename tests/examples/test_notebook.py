"""The notebook runs from top to bottom, and is stored without outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebooks" / "detector.ipynb"


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_stored_without_outputs() -> None:
    notebook = read()
    nbformat.validate(notebook)
    assert [
        cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")
    ] == []


@pytest.mark.slow
def test_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNELLEN_DATABASE", raising=False)
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    settings = {"metadata": {"path": str(NOTEBOOK.parent)}}
    done = NotebookClient(read(), timeout=120, resources=settings).execute()
    shown = [
        kind
        for cell in done.cells
        for one in cell.get("outputs", [])
        for kind in one.get("data", {})
    ]
    assert "text/html" in shown  # the run, and tables
    assert "image/png" in shown  # the worst image
