"""Suspect labels of a run as a queue, one image at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from cachetools import LRUCache

from snellen.analysis.suspects.label_search import Suspects, find_suspects
from snellen.analysis.suspects.suspect import KINDS, Suspect
from snellen.pipelines.progress import Reporter
from snellen.serve.api.runs.dataset_fingerprint import dataset_fingerprint
from snellen.serve.api.runs.row_reader import Row
from snellen.serve.api.state import State
from snellen.serve.ui.run_page.tiles import COLUMNS, Overlay, image_path, overlay
from snellen.store.service.reviews import ReviewView, list_reviews
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_MAX_KEPT = 16
MAX_REVIEWS = 100_000
"""Reviews of one dataset that are read at a time."""
_PICTURE = 2048
KIND_LABELS = {
    "wrong_class": "Wrong class",
    "missing_label": "Missing label",
    "unseen_label": "Unseen label",
}


class SuspectQueues:
    """Finds and keeps the suspects of runs and the fingerprints of their datasets.

    Safe to share between threads.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._searching = threading.Lock()
        self._found: LRUCache[Any, Suspects] = LRUCache(_MAX_KEPT)
        self._datasets: LRUCache[Any, str] = LRUCache(1000)

    def is_ready(self, run: RunView) -> bool:
        """Return True if the suspects of a run are known."""
        with self._lock:
            return _key(run) in self._found

    def of(self, run: RunView) -> Suspects:
        """Return the suspects of a completed run, the most suspect first.

        Raises:
            InputError: RUN_NOT_COMPLETED; COMPARE_NOTHING, no image was scored.
            RunError: RESULTS_MISSING.
        """
        key = _key(run)
        with self._searching:  # one at a time: each reads every result file
            with self._lock:
                found = self._found.get(key)
            if found is None:
                found = find_suspects(self._db, [run], Reporter())
                with self._lock:
                    self._found[key] = found
        return found

    def dataset(self, run: RunView) -> str:
        """Return the fingerprint of a run's dataset. Raises RunError RUN_NOT_STARTED."""
        key = (run.id, run.created_at)
        with self._lock:
            found = self._datasets.get(key)
        if found is None:
            found = dataset_fingerprint(self._db, run)
            with self._lock:
                self._datasets[key] = found
        return found


def _key(run: RunView) -> tuple[Any, ...]:
    return run.id, run.created_at, run.revision


@dataclass(frozen=True, slots=True)
class QueuedSuspect:
    """A suspect label for the template.

    Attributes:
        run: its run.
        suspect: the label.
        row: the result row of its image.
        place: in the queue, from 0.
        total: number of suspects of the kind that is listed.
        reviewed: number of those that have a review.
        kind: the kind that is listed; empty for all.
        review: the review of this label; None without.
        others: all objects of the image, one path per kind of match.
    """

    run: RunView
    suspect: Suspect
    row: Row
    place: int
    total: int
    reviewed: int
    kind: str
    review: ReviewView | None
    others: Overlay | None

    @property
    def title(self) -> str:
        """Return the kind in words."""
        return KIND_LABELS[self.suspect.kind]

    @property
    def meaning(self) -> str:
        """Return why the label is suspect."""
        return (
            KINDS[self.suspect.kind]
            .replace("every run predicts", "the run predicts")
            .replace("no run predicts", "the run does not predict")
        )

    @property
    def drawn(self) -> str:
        """Return the class of the box in the style sheet."""
        return "fn" if self.suspect.kind == "unseen_label" else "fp"

    @property
    def tag(self) -> str:
        """Return the text beside the box."""
        true, predicted = self.suspect.true_label, self.suspect.predicted_label
        return " → ".join(label for label in (true, predicted) if label)

    @property
    def picture(self) -> str:
        """Return the path of the picture."""
        path = image_path(self.run, self.suspect.image_index)
        return f"{path}/picture?max_side={_PICTURE}&revision={self.run.revision}"

    @property
    def command(self) -> str:
        """Return the command that lists the same."""
        return f"snellen suspects {self.run.id}" + (f" --kind {self.kind}" if self.kind else "")

    def at(self, place: int, kind: str | None = None) -> str:
        """Return the query of another place."""
        return queue_query(self.run.id, place, self.kind if kind is None else kind)


def queue_query(run_id: int, place: int, kind: str) -> str:
    """Return the query of a place in a queue; places count from 1 there."""
    values = {"run": run_id, "kind": kind, "place": place + 1 if place else ""}
    return f"?{urlencode({name: value for name, value in values.items() if value})}"


def target_of(suspect: Suspect) -> dict[str, Any]:
    """Return what a review of a suspect is about: its kind, true object or box."""
    if suspect.true_index is not None:
        return {"kind": "object", "true_index": suspect.true_index, "box": None}
    if suspect.box is not None:
        return {"kind": "box", "true_index": None, "box": list(suspect.box)}
    return {"kind": "image", "true_index": None, "box": None}


def review_of(reviews: Sequence[ReviewView], suspect: Suspect) -> ReviewView | None:
    """Return the newest of some reviews that is about a suspect."""
    target = target_of(suspect)
    for one in reviews:
        same = one.image_id == suspect.image_id and one.kind == target["kind"]
        if same and (one.true_index, one.box) == (target["true_index"], target["box"]):
            return one
    return None


def listed(suspects: Suspects, kind: str) -> list[Suspect]:
    """Return the suspects of a kind; of all without one."""
    return [one for one in suspects.found if kind in ("", one.kind)]


def read_place(
    state: State, queues: SuspectQueues, run: RunView, kind: str, place: int
) -> QueuedSuspect | None:
    """Read a place of the queue, the last one for any behind it; None for an empty queue.

    Raises:
        InputError, RunError: see `SuspectQueues.of`.
    """
    suspects = queues.of(run)
    found = listed(suspects, kind)
    if not found:
        return None
    place = min(max(place, 0), len(found) - 1)
    suspect = found[place]
    opened = state.pages.open(run)
    (row,) = state.pages.rows(opened, [suspect.image_index], COLUMNS)
    where = {"dataset": queues.dataset(run)}
    reviews = list_reviews(state.db, where, limit=MAX_REVIEWS, offset=0)[1]
    by_image: dict[str, list[ReviewView]] = {}
    for one in reviews:
        by_image.setdefault(one.image_id, []).append(one)
    noted = [one for one in found if review_of(by_image.get(one.image_id, ()), one)]
    return QueuedSuspect(
        run=run,
        suspect=suspect,
        row=row,
        place=place,
        total=len(found),
        reviewed=len(noted),
        kind=kind,
        review=review_of(by_image.get(suspect.image_id, ()), suspect),
        others=overlay(row, (row["width"], row["height"])),
    )
