"""Keep a request in the run tables: an inference job of type ``single`` and its one result."""

from __future__ import annotations

import errno
import os
import uuid
from pathlib import Path

from snellen.adapters.errors import RunError
from snellen.adapters.types import ImageStatus
from snellen.pipelines.planning.fingerprint import snellen_version
from snellen.serve.api.model_resolver import Resolved
from snellen.serve.api.responses import row_of
from snellen.serve.inference.messages import Answer
from snellen.store.image_rows import record_request
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database

FOLDER = "requests"
"""Where pictures of recorded requests lie, below the folder of the runs."""


class Recorder:
    """Writes requests to the run tables; threads may share it."""

    def __init__(self, db: Database, root: Path) -> None:
        """Take the run tables, and the folder of the runs, which need not exist yet."""
        self._db = db
        self._root = root

    def record(
        self, answer: Answer, resolved: Resolved, name: str
    ) -> tuple[tuple[int, int], str | None]:
        """Store a request, whether its image could be used or not.

        Returns:
            Ids of the inference job and of its result, and the picture's path below the folder
            of the runs.

        Raises:
            RunError: DATABASE_LOCKED, DISK_FULL, OUTPUT_NOT_WRITABLE and their like; nothing was
                stored.
        """
        result = answer.result
        assert result is not None
        path = self._write(answer.picture) if answer.picture else None
        failed = result.status is ImageStatus.FAILED
        job = {
            "training_job_id": resolved.job.id,
            "checkpoint_path": resolved.model.spec.checkpoint or "",
            "inference_type": "single",
            "input_data": {"image_name": name},
            "status": "failed" if failed else "completed",
            "error_message": result.error_message if failed else None,
            "task_type": str(result.task_type),
            "class_names": resolved.job.class_names,
            "total_images": 1,
            "scored_images": 0 if failed else 1,
            "failed_images": 1 if failed else 0,
            "total_inference_time_ms": result.inference_time_ms,
            "avg_inference_time_ms": result.inference_time_ms,
            "fingerprint": {"checkpoint_sha256": answer.sha256},
            "snellen_version": snellen_version(),
            "started_at": utc_now(),
            "completed_at": utc_now(),
        }
        try:
            ids = record_request(self._db, job, row_of(result, name, path))
        except BaseException:
            if path is not None:
                (self._root / path).unlink(missing_ok=True)
            raise
        return ids, path

    def _write(self, picture: bytes) -> str:
        relative = f"{FOLDER}/{uuid.uuid4().hex}.jpg"
        target = self._root / relative
        temporary = target.with_suffix(".part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(picture)
            os.replace(temporary, target)  # noqa: PTH105 (what pathlib calls, too)
        except OSError as error:
            Path(temporary).unlink(missing_ok=True)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            raise RunError(
                "DISK_FULL" if full else "OUTPUT_NOT_WRITABLE", f"'{target}': {error}"
            ) from error
        return relative
