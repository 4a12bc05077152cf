"""Search the images of one or more runs for suspect labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.adapters.errors import InputError
from snellen.adapters.types import ImageStatus
from snellen.analysis.reader import completed_owner, open_results
from snellen.analysis.suspects.object_suspects import Objects, object_suspects
from snellen.analysis.suspects.suspect import CONFIDENCE, KINDS, Suspect
from snellen.metrics.classification.confusion import unique_names
from snellen.pipelines.progress import Reporter
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_COLUMNS = (
    *("image_index", "image_id", "status", "content_hash", "width", "height", "is_correct"),
    *("true_label", "predicted_label", "confidence", "true_confidence"),
    *("true_boxes", "predicted_boxes"),
)
_FAINT = 0.01
"""Less confident predictions are ignored: evaluations keep hundreds of them per image."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Suspects:
    """The result of a search.

    Attributes:
        runs: ids of the runs, the first one has the labels.
        min_confidence: of a prediction that denies a label.
        images: number of images that all runs have scored.
        left_out: images that are not searched, by reason.
        found: suspects, the most suspect first.
    """

    runs: list[int]
    min_confidence: float
    images: int
    left_out: Mapping[str, int]
    found: list[Suspect]

    def to_json(self, limit: int | None = None, kind: str | None = None) -> dict[str, Any]:
        """Return the document of ``snellen suspects --json``."""
        counts = Counter(suspect.kind for suspect in self.found)
        shown = [one for one in self.found if kind is None or one.kind == kind]
        return {
            "runs": self.runs,
            "min_confidence": self.min_confidence,
            "images": self.images,
            "left_out": dict(self.left_out),
            "counts": {name: counts[name] for name in KINDS},
            "suspects": [suspect.to_json() for suspect in shown[:limit]],
        }


def find_suspects(
    db: Database,
    runs: Sequence[RunView],
    reporter: Reporter,
    *,
    min_confidence: float | None = None,
) -> Suspects:
    """Find labels that every run denies, and labels of objects that no run sees.

    Args:
        db: the open database.
        runs: completed runs of one task on the same images; the labels are those of the first.
        reporter: receives progress.
        min_confidence: of a prediction that denies a label; None for 0.5, and 0.8 with one run.

    Raises:
        InputError: RUN_NOT_COMPLETED; COMPARE_TASK, runs of different tasks; COMPARE_NOTHING, no
            common images.
    """
    for run in runs:
        completed_owner(db, run)
    tasks = {run.task_type for run in runs}
    if len(tasks) > 1:
        raise InputError(
            "COMPARE_TASK", f"runs of {' and '.join(sorted(tasks))}. Expected one task."
        )
    least = CONFIDENCE[len(runs) > 1] if min_confidence is None else min_confidence
    first, *rest = runs
    others = []
    for run in rest:
        reporter.status(f"Reading run {run.id}")
        others.append({row["image_id"]: row for row in _rows(db, run)})
    names = [unique_names(run.class_names or ()) for run in runs]
    left_out: Counter[str] = Counter()
    images, found = 0, []
    reporter.status(f"Searching run {first.id}")
    for row in _rows(db, first):
        matched = [row, *(rows.get(row["image_id"]) for rows in others)]
        reason = _reason(matched)
        if reason is not None:
            left_out[reason] += 1
            continue
        images += 1
        found += _of_image([one for one in matched if one is not None], names, least)
    if not images:
        raise InputError(
            "COMPARE_NOTHING",
            f"the runs have no common images that all of them have scored: {dict(left_out)}. "
            "Expected runs on the same dataset.",
        )
    found.sort(key=lambda one: (-one.score, one.image_index, one.true_index or 0))
    return Suspects([run.id for run in runs], least, images, left_out, found)


def _rows(db: Database, run: RunView) -> Iterator[Row]:
    for table in open_results(db, run).iter_units(_COLUMNS):
        for batch in table.to_batches(max_chunksize=256):
            for row in batch.to_pylist():
                boxes = row["predicted_boxes"]
                if boxes is not None:
                    row["predicted_boxes"] = [b for b in boxes if b["confidence"] >= _FAINT]
                yield row


def _reason(rows: Sequence[Row | None]) -> str | None:
    """Return why an image is not searched; None for one that all runs have scored."""
    if any(row is None for row in rows):
        return "not_in_all_runs"
    known = [row for row in rows if row is not None]
    if any(row["status"] != ImageStatus.OK for row in known):
        return "failed"
    hashes = {row["content_hash"] for row in known if row["content_hash"] is not None}
    return "other_content" if len(hashes) > 1 else None


def _of_image(rows: Sequence[Row], names: Sequence[list[str]], least: float) -> list[Suspect]:
    first = rows[0]
    # A row does not name its task; the columns that it has tell.
    if first["predicted_boxes"] is None:
        return list(_wrong_class(rows, least))
    truth = Objects.of(first["true_boxes"], names[0])
    found = [
        Objects.of(row["predicted_boxes"], of_run) for row, of_run in zip(rows, names, strict=True)
    ]
    return list(object_suspects(first, truth, found, least))


def _wrong_class(rows: Sequence[Row], least: float) -> Iterator[Suspect]:
    first = rows[0]
    predicted = {row["predicted_label"] for row in rows}
    if first["is_correct"] is not False or len(predicted) > 1:
        return
    lowest = min(row["confidence"] for row in rows)
    if lowest >= least:
        yield Suspect(
            "wrong_class", float(lowest), first["image_id"], first["image_index"],
            first["true_label"], first["predicted_label"],
        )  # fmt: skip
