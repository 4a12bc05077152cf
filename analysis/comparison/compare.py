"""Compare finished runs: the document that ``snellen compare`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snellen.adapters.errors import InputError
from snellen.analysis.comparison.flips import Flips, find_flips
from snellen.analysis.comparison.pairing import Pair, pair_runs
from snellen.analysis.comparison.rows import Judgement, Row, judged
from snellen.analysis.tasks import task_of
from snellen.metrics.statistics.draws import blocks_of
from snellen.store.atomic_file import atomic_file, output_errors
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_IMAGE_KINDS = ("fixed", "broken", "both_correct", "both_incorrect")
_OBJECT_KINDS = ("fixed", "broken", "new_fp", "vanished_fp")


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """How runs are compared.

    Attributes:
        tolerance: loss of a metric that is accepted, at least 0.
        group: metadata column whose images are dependent (``meta_patient``); None for the
            ``metrics.group`` that both runs name.
        seed: of the draws.
        slices: slices whose primary metric is compared: columns, or image_size, object_size and
            object_count.
        output: folder for the lists of images and objects that change; None writes none.
    """

    tolerance: float = 0.0
    group: str | None = None
    seed: int = 0
    slices: tuple[str, ...] = ()
    output: Path | None = None


def compare_runs(
    db: Database, runs: Sequence[RunView], settings: CompareSettings | None = None
) -> dict[str, Any]:
    """Compare the first run, A, with each of the others.

    Returns:
        The document of one comparison; with more than two runs ``{"comparisons": [...]}``.

    Raises:
        InputError: COMPARE_RUNS, fewer than two runs; RUN_NOT_COMPLETED; COMPARE_TASK;
            COMPARE_NOTHING, no common images; COMPARE_GROUP; COMPARE_SLICE; COMPARE_TOLERANCE;
            OUTPUT_TAKEN.
    """
    settings = settings or CompareSettings()
    if len(runs) < 2:
        raise InputError("COMPARE_RUNS", f"{len(runs)} run. Expected two or more to compare.")
    if settings.tolerance < 0:
        raise InputError(
            "COMPARE_TOLERANCE",
            f"the tolerance is {settings.tolerance}. Expected 0 or more, such as 0.01.",
        )
    documents = [_compare(db, (runs[0], other), settings) for other in runs[1:]]
    return documents[0] if len(documents) == 1 else {"comparisons": documents}


def _compare(
    db: Database, runs: tuple[RunView, RunView], settings: CompareSettings
) -> dict[str, Any]:
    pair = pair_runs(db, runs, settings.group)
    blocks = blocks_of(pair.images["group"].to_list())
    judgement = Judgement(settings.tolerance, blocks.groups, settled=not pair.one_sided)
    read = task_of(pair.a.run.task_type).compare(pair, blocks)
    metrics = judged(read.metric_rows(settings.seed), judgement, need_q=False)
    classes = judged(read.class_rows(), judgement, need_q=True)
    slices = judged(list(_slice_rows(pair, settings)), judgement, need_q=True)
    flips = find_flips(pair)
    written = None if settings.output is None else _write(flips, settings.output, runs)
    counts = flips.counts()
    return {
        "a": _described(runs[0]),
        "b": _described(runs[1]),
        "common_images": len(pair.images),
        "left_out": dict(pair.left_out),
        "verdict": str(metrics[0].verdict),
        "primary": metrics[0].to_json(),
        "metrics": [row.to_json() for row in metrics],
        "classes": [row.to_json() for row in classes],
        "slices": [row.to_json() for row in slices],
        "images": _listed(counts["images"], written, "images"),
        "objects": _listed(counts["objects"], written, "objects"),
        "group": pair.group,
        "method": _method(pair, metrics[0], blocks.groups),
    }


def _slice_rows(pair: Pair, settings: CompareSettings) -> Iterator[Row]:
    """Yield the primary metric of each slice, with the interval of its own images."""
    for by in settings.slices:
        names = pair.slices(by)
        for value in sorted(set(names)):
            part = pair.where([name == value for name in names])
            yield replace(primary_row(part, settings.seed), slice_name=(by, value))


def primary_row(pair: Pair, seed: int = 0) -> Row:
    """Return the row of the primary metric of a pair."""
    return rows_of(pair, seed)[0]


def rows_of(pair: Pair, seed: int = 0) -> list[Row]:
    """Return the rows of the metrics of a pair, without verdicts."""
    blocks = blocks_of(pair.images["group"].to_list())
    return task_of(pair.a.run.task_type).compare(pair, blocks).metric_rows(seed)


def _described(run: RunView) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "revision": run.revision,
        "checkpoint_path": run.checkpoint_path,
        "dataset_path": run.dataset_path,
        "inference_time_ms": run.inference_time_ms,
    }


def _listed(counts: dict[str, int], written: dict[str, str] | None, what: str) -> dict[str, Any]:
    file = None if written is None else written[what]
    return {kind: {"count": count, "indices_file": file} for kind, count in counts.items()}


def _method(pair: Pair, primary: Row, groups: int) -> str:
    units = f"{groups:,} groups" if pair.grouped else f"{len(pair.images):,} images"
    if primary.key == "accuracy":
        test = "sign flips of groups, t interval" if pair.grouped else "McNemar, Tango's interval"
        return f"{test}; other metrics: paired bootstrap over {units}, Student's t"
    return f"paired bootstrap over {units}, Student's t"


def _write(flips: Flips, folder: Path, runs: tuple[RunView, RunView]) -> dict[str, str]:
    """Write the lists of images and objects as Parquet files."""
    written = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in (("images", flips.images), ("objects", flips.objects)):
        file = folder / f"compare-{runs[0].id}-{runs[1].id}-{name}.parquet"
        if file.exists():
            raise InputError(
                "OUTPUT_TAKEN", f"'{file}' exists. Expected a new file. Remove it or change -o."
            )
        with output_errors(file), atomic_file(file) as partial:
            frame.write_parquet(partial)
        written[name] = str(file)
    return written
