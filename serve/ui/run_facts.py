"""Facts at the head of a page that test runs and inference jobs share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from snellen.serve.api.runs.run_responses import shown_path
from snellen.store.views import AnyRun, InferenceJobView, RunView


class RunFacts:
    """Base of the descriptions of a run; a subclass has the row as ``run``."""

    __slots__ = ()

    run: AnyRun

    @property
    def is_live(self) -> bool:
        """Return True if the run changes by itself."""
        return self.run.status in ("pending", "running")

    @property
    def is_completed(self) -> bool:
        """Return True if the run has all its results."""
        return self.run.status == "completed"

    @property
    def checkpoint(self) -> str:
        """Return the checkpoint's file name and its epoch, if it is known."""
        epoch = (self.run.resolved or {}).get("epoch")
        name = PurePosixPath(self.run.checkpoint_path).name
        return name if epoch is None else f"{name} · epoch {epoch}"

    @property
    def seconds(self) -> float | None:
        """Return the duration of the run."""
        return duration_of(self.run)

    @property
    def rate(self) -> float | None:
        """Return images per second."""
        done = (self.run.scored_images or 0) + (self.run.failed_images or 0)
        return done / self.seconds if self.seconds else None

    @property
    def settings(self) -> str:
        """Return the device, the precision and the batch size."""
        return settings_of(self.run)


def duration_of(run: AnyRun) -> float | None:
    """Return the duration of a run in seconds; None for one that has not ended."""
    if run.started_at is None or run.completed_at is None:
        return None
    return (run.completed_at - run.started_at).total_seconds()


def settings_of(run: AnyRun) -> str:
    """Return the device, the precision and the batch size of a run; empty without a model."""
    is_imported = isinstance(run, RunView) and run.is_imported
    resolved = {} if is_imported else run.resolved or {}
    batch = resolved.get("batch_size")
    parts = (resolved.get("device"), resolved.get("precision"), batch and f"batch {batch}")
    return ", ".join(str(part) for part in parts if part)


def source_of(run: InferenceJobView, roots: Sequence[str]) -> str:
    """Return the images of an inference job in words; paths are relative to their root."""
    given = run.input_data or {}
    if run.is_recorded:
        return str(given["image_name"]) or "one uploaded image"
    path = given.get("dataset_path") or given.get("path")
    paths = [path] if path else list(given.get("paths") or ())
    if not paths:
        return "uploaded images"
    more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
    return shown_path(str(paths[0]), tuple(roots)) + more
