"""The runner behind ``Adapter.test_dataset``, which a layer above the adapters provides.

Adapters import nothing above them, and a test run needs datasets, metrics and run tables. So the
package `snellen` sets the runner when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


@dataclass(frozen=True, slots=True)
class TestRunResult:
    """The result of an adapter on a labelled dataset.

    Attributes:
        metrics: metric key -> value, a fraction of 1; None for a metric that does not exist.
        image_results: one row per image, as a polars DataFrame with the columns of a result file.
        test_run_id: id of the run in the run tables, None if the results were not saved.
    """

    __test__ = False  # not a test case, despite its name

    metrics: dict[str, Any]
    image_results: Any
    test_run_id: int | None


DatasetRunner = Callable[["Adapter", Path, str, bool], TestRunResult]
"""Runs a loaded adapter on (dataset path, split); the last argument asks to save the results."""

_runner: DatasetRunner | None = None


def set_dataset_runner(runner: DatasetRunner) -> None:
    """Set the function that ``Adapter.test_dataset`` calls."""
    global _runner  # noqa: PLW0603 - the one injection point
    _runner = runner


def dataset_runner() -> DatasetRunner:
    """Return the function that ``Adapter.test_dataset`` calls.

    Raises:
        RuntimeError: none was set.
    """
    if _runner is None:
        raise RuntimeError("no dataset runner is set. Expected a call of set_dataset_runner.")
    return _runner
