"""Runner of ``Adapter.test_dataset``: evaluates an adapter that is already loaded."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from snellen.adapters.dataset_runner import TestRunResult
from snellen.api.runs import TestRun
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.registry import source_class_of
from snellen.pipelines.runs.runner import TestRunner

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


def run_dataset(
    adapter: Adapter, dataset_path: Path, split: str, save_results: bool
) -> TestRunResult:
    """Evaluate a loaded adapter on a labelled dataset; see ``Adapter.test_dataset``.

    The split ``test``, which is the default there, is ignored where the format has no splits.
    """
    if split == "test" and dataset_path.exists() and not _has_splits(dataset_path):
        split = "auto"
    with ExitStack() as stack:
        database = output_dir = None
        if not save_results:
            output_dir = stack.enter_context(TemporaryDirectory(prefix="snellen-test-"))
            database = f"sqlite:///{output_dir}/runs.db"
        runner = TestRunner(adapter, database=database, output_dir=output_dir)
        run = TestRun(runner.run_test(dataset_path, split), database)
        return TestRunResult(run.metrics, run.results(), run.id if save_results else None)


def _has_splits(path: Path) -> bool:
    config = DatasetConfig(path=str(path))
    keys = source_class_of(config)[1].keys_for(config)
    return keys is None or "split" in keys
