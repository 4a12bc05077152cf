"""The running metric of the progress line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from snellen.adapters.types import TaskType
from snellen.analysis.reader import open_results
from snellen.cli.progress import PlainReporter, TerminalReporter
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from tests.analysis.conftest import detected
from tests.analysis.detected import Detected
from tests.pipelines.place import Place

__all__ = ["detected"]


class Told(Reporter):
    def __init__(self) -> None:
        self.metrics: list[tuple[str, float] | None] = []

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        self.metrics.append(metric)


@pytest.mark.parametrize("reporter", [PlainReporter, TerminalReporter])
def test_a_partial_metric_says_so(
    reporter: type[PlainReporter | TerminalReporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snellen.cli.progress._LINE_SECONDS", 0.0)
    stream = io.StringIO()
    told = reporter(Console(file=stream, force_terminal=reporter is TerminalReporter, width=200))
    told.begin(8, 0)
    told.advance(4, 1, ("f1", 0.5))
    if isinstance(told, TerminalReporter):
        assert told._progress is not None
        told._progress.refresh()
    assert "1 failed, f1 so far 0.5000" in stream.getvalue()
    told.advance(4, 1, ("f1", 0.75))
    told.close()
    assert "f1 0.7500" in stream.getvalue()


def test_the_last_running_metric_is_that_of_the_run(tmp_path: Path, detected: Detected) -> None:
    told = Told()
    run = Place(tmp_path).run(told)
    assert run.metrics is not None
    assert told.metrics[-1] == ("accuracy", run.metrics["accuracy"])
    objects = Told()
    other = TestRunner(detected.config, database=detected.url, reporter=objects).run_test()
    assert other.metrics is not None
    name, value = objects.metrics[-1] or ("", 0.0)
    assert name == "f1"
    assert value == pytest.approx(other.metrics["f1"])
    assert other.task_type == TaskType.OBJECT_DETECTION


def test_other_counts_than_those_of_the_files_have_no_running_metric(tmp_path: Path) -> None:
    told, objects = Told(), Told()
    settings: dict[str, Any] = {"metrics": {"classes": ["1"]}}
    assert Place(tmp_path).run(told, **settings).status == "completed"
    assert set(told.metrics) == {None}
    own = Detected(tmp_path / "boxes")
    open_results(own.db, own.run).paths[1].unlink()
    runner = TestRunner(database=own.url, reporter=objects)
    assert runner.resume(own.run.id, ["metrics.operating_confidence=0.5"]).status == "completed"
    assert objects.metrics == [None]
