"""Find the model of a request by training job and checkpoint; lookups are cached briefly.

The key of a model covers the size and modification time of its file and every setting: a
checkpoint that training has overwritten is a different model, and a changed setting never meets a
model that was loaded with the old one.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from cachetools import TTLCache

from snellen.adapters.errors import InputError
from snellen.pipelines.config.base import PREDICTION
from snellen.pipelines.config.sections import ModelConfig
from snellen.pipelines.models.locate import ModelRequest, locate_model
from snellen.serve.api.job_selection import JobSelection
from snellen.serve.config import ServedModelConfig
from snellen.serve.inference.messages import ModelRef
from snellen.store.sql.database import Database
from snellen.store.views import JobView

JobReference = int | str | JobSelection
_TTL_S = 1.0
_MAX_CACHED = 256


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A checkpoint of a training job, and how to load it."""

    job: JobView
    checkpoint: str
    model: ModelRef


class ModelResolver:
    """Resolve models by training job and checkpoint. Safe to share between threads."""

    def __init__(self, db: Database, settings: ServedModelConfig) -> None:
        """Create a resolver.

        Args:
            db: the run tables.
            settings: with which models are loaded.
        """
        self._db = db
        self._settings = settings
        self._lock = threading.Lock()
        self._cache: TTLCache[tuple[JobReference, str], ResolvedModel] = TTLCache(
            _MAX_CACHED, _TTL_S, timer=time.monotonic
        )

    def resolve(self, job: JobReference, checkpoint: str) -> ResolvedModel:
        """Return the model, looked up in the run tables unless it is cached.

        Args:
            job: id or name of a training job as in a configuration, or the selection of a request.
            checkpoint: ``best``, ``last`` or an epoch number.

        Raises:
            InputError: JOB_NOT_FOUND, CHECKPOINT_NOT_FOUND.
            Problem: the selection of a request fits no training job.
            RunError: the database does not respond.
        """
        cached = self.cached(job, checkpoint)
        if cached is not None:
            return cached
        resolved = self._look_up(job, checkpoint)
        with self._lock:
            self._cache[job, checkpoint] = resolved
        return resolved

    def cached(self, job: JobReference, checkpoint: str) -> ResolvedModel | None:
        """Return a model that was looked up within the last second; never blocks on I/O."""
        with self._lock:
            return self._cache.get((job, checkpoint))

    def _look_up(self, job: JobReference, checkpoint: str) -> ResolvedModel:
        settings = self._settings
        model = ModelConfig(
            job=job.find(self._db) if isinstance(job, JobSelection) else job,
            checkpoint=int(checkpoint) if checkpoint.isdecimal() else checkpoint,
            min_confidence=settings.min_confidence,
        )
        request = ModelRequest(model, precision=settings.precision, preset=PREDICTION)
        located = locate_model(request, self._db)
        if settings.trust:
            located = located.trusted()
        assert located.job is not None
        spec = located.spec
        try:
            stat = Path(spec.checkpoint or "").stat()
        except OSError:
            raise InputError(
                "CHECKPOINT_NOT_FOUND",
                f"checkpoint: '{spec.checkpoint}' does not exist any more. Expected a checkpoint "
                "file of the training job. Restore it, or register the run directory again with "
                "`snellen register`.",
            ) from None
        text = json.dumps([asdict(spec), stat.st_size, stat.st_mtime_ns], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        ref = ModelRef(f"{located.job.id}-{digest}", spec, self._pin(located.job, checkpoint))
        return ResolvedModel(located.job, checkpoint, ref)

    def _pin(self, job: JobView, checkpoint: str) -> str | None:
        """Return what keeps a model loaded, if an entry of ``model.preload`` does."""
        names = {str(job.id), job.name, job.output_dir}
        pinned = any(
            str(one.job) in names and str(one.checkpoint) == checkpoint
            for one in self._settings.preload
        )
        return f"{job.id}@{checkpoint}" if pinned else None
