"""Compare finished runs: the document that ``snellen compare`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from snellen.adapters.errors import InputError
from snellen.analysis.comparison.changed_files import write_lists
from snellen.analysis.comparison.deciding import deciding_images
from snellen.analysis.comparison.differing_slices import differing_slices
from snellen.analysis.comparison.flips import find_flips
from snellen.analysis.comparison.pairing import Pair, pair_runs
from snellen.analysis.comparison.rows import Judgement, Row, held, judged
from snellen.analysis.comparison.speed import speed_rows
from snellen.analysis.comparison.training_results import training_rows
from snellen.analysis.tasks import task_of
from snellen.metrics.slices import MAX_SLICES
from snellen.metrics.statistics.draws import blocks_of
from snellen.store.sql.database import Database
from snellen.store.views import RunView


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
    drafts = [_compare(db, (runs[0], other), settings) for other in runs[1:]]
    families = held([draft.metrics for draft in drafts])
    documents = [draft.document(rows) for draft, rows in zip(drafts, families, strict=True)]
    return documents[0] if len(documents) == 1 else {"comparisons": documents}


@dataclass(frozen=True, slots=True)
class _Draft:
    """A comparison whose metrics have no verdicts yet: they depend on the number of runs."""

    metrics: list[Row]
    judgement: Judgement
    rest: dict[str, Any]

    def document(self, metrics: Sequence[Row]) -> dict[str, Any]:
        rows = judged(metrics, self.judgement, need_q=False)
        verdicts = {
            "verdict": str(rows[0].verdict),
            "primary": rows[0].to_json(),
            "metrics": [row.to_json() for row in rows],
        }
        return {key: verdicts.get(key, value) for key, value in self.rest.items()}


def _compare(db: Database, runs: tuple[RunView, RunView], settings: CompareSettings) -> _Draft:
    pair = pair_runs(db, runs, settings.group)
    blocks = blocks_of(pair.images["group"].to_list())
    judgement = Judgement(settings.tolerance, blocks.groups, settled=not pair.one_sided)
    read = task_of(pair.a.run.task_type).compare(pair, blocks)
    metrics = read.metric_rows(settings.seed)
    classes = judged(read.class_rows(), judgement, need_q=True)
    slices = judged(list(_slice_rows(pair, settings)), judgement, need_q=True)
    flips = find_flips(pair)
    deciding = deciding_images(pair.images, read.contributions())
    disagreements = read.disagreements(pair.images)
    frames = {
        "images": _with_slices(flips.images, pair, settings.slices),
        "objects": flips.objects,
        "deciding": deciding.images,
        "disagreements": disagreements.frame,
    }
    folder = settings.output
    files = {} if folder is None else write_lists(frames, folder, runs)
    counts = flips.counts()
    return _Draft(
        metrics,
        judgement,
        {
            "a": _described(runs[0]),
            "b": _described(runs[1]),
            "common_images": len(pair.images),
            "left_out": dict(pair.left_out),
            "verdict": None,
            "primary": None,
            "metrics": None,
            "classes": [row.to_json() for row in classes],
            "slices": [row.to_json() for row in slices],
            "found_slices": differing_slices(pair, files.get("images")),
            "images": _listed(counts["images"], files.get("images")),
            "objects": _listed(counts["objects"], files.get("objects")),
            "deciding": deciding.to_json(metrics[0].key, files.get("deciding"), runs[1].id),
            "disagreements": disagreements.to_json(files.get("disagreements")),
            "speed": speed_rows(pair),
            "training_results": training_rows(db, *runs),
            "group": pair.group,
            "method": _method(pair, metrics[0], blocks.groups),
        },
    )


def _with_slices(images: pl.DataFrame, pair: Pair, slices: Sequence[str]) -> pl.DataFrame:
    """Add the slice of each image, a column ``slice_BY`` for each."""
    columns = {f"slice_{by}": pl.Series(pair.slices(by)) for by in slices}
    return images.with_columns(**columns)


def _slice_rows(pair: Pair, settings: CompareSettings) -> Iterator[Row]:
    """Yield the primary metric of each slice, with the interval of its own images.

    Raises:
        InputError: COMPARE_SLICE, a column of too many values: each is a comparison.
    """
    for by in settings.slices:
        names = pair.slices(by)
        values = sorted(set(names))
        if len(values) > MAX_SLICES:
            raise InputError(
                "COMPARE_SLICE",
                f"'{by}' has {len(values):,} values. Expected at most {MAX_SLICES} slices. Compare "
                "by a column with fewer values.",
            )
        for value in values:
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


def _listed(counts: dict[str, int], file: str | None) -> dict[str, Any]:
    return {kind: {"count": count, "indices_file": file} for kind, count in counts.items()}


def _method(pair: Pair, primary: Row, groups: int) -> str:
    units = f"{groups:,} groups" if pair.grouped else f"{len(pair.images):,} images"
    if primary.key == "accuracy":
        test = "sign flips of groups, t interval" if pair.grouped else "McNemar, Tango's interval"
        return f"{test}; other metrics: paired bootstrap over {units}, Student's t"
    return f"paired bootstrap over {units}, Student's t"
