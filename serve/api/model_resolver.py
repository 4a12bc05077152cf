"""Which model a request means: a training job and a checkpoint, looked up and remembered a while.

The key of a model holds its file's size and time and every setting: a checkpoint that training
has replaced is another model, and a changed setting never meets one that is loaded already.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.pipelines.config.base import PREDICTION
from snellen.pipelines.config.sections import ModelConfig
from snellen.pipelines.models.locate import ModelRequest, locate_model
from snellen.serve.config import ServedModelConfig
from snellen.serve.inference.messages import ModelRef
from snellen.store.sql.database import Database
from snellen.store.views import JobView

_SECONDS = 1.0
_MOST = 256


@dataclass(frozen=True, slots=True)
class Resolved:
    """A checkpoint of a training job."""

    job: JobView
    checkpoint: str
    model: ModelRef


class ModelResolver:
    """Finds models by job and checkpoint; threads may share it."""

    def __init__(self, db: Database, settings: ServedModelConfig) -> None:
        self._db = db
        self._settings = settings
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[int | str, str], tuple[float, Resolved]] = OrderedDict()

    def resolve(self, job: int | str, checkpoint: str) -> Resolved:
        """The model of a job (id, or name) and ``best``, ``last`` or an epoch.

        Raises:
            InputError: JOB_NOT_FOUND, CHECKPOINT_NOT_FOUND.
            RunError: the database does not answer.
        """
        known = self.known(job, checkpoint)
        if known is not None:
            return known
        key = (job, checkpoint)
        resolved = self._look_up(job, checkpoint)
        with self._lock:
            self._known[key] = (time.monotonic(), resolved)
            self._known.move_to_end(key)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return resolved

    def known(self, job: int | str, checkpoint: str) -> Resolved | None:
        """What was looked up within the last second; takes no time, and so needs no thread."""
        with self._lock:
            known = self._known.get((job, checkpoint))
        if known is None or time.monotonic() - known[0] >= _SECONDS:
            return None
        return known[1]

    def _look_up(self, job: int | str, checkpoint: str) -> Resolved:
        settings = self._settings
        model = ModelConfig(
            job=job,
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
                "CHECKPOINT_NOT_FOUND", f"'{spec.checkpoint}' is not there any more."
            ) from None
        text = json.dumps([asdict(spec), stat.st_size, stat.st_mtime_ns], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        return Resolved(located.job, checkpoint, ModelRef(f"{located.job.id}-{digest}", spec))
