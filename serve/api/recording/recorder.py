"""Record a request in the run tables: an inference job of type ``single`` with one result."""

from __future__ import annotations

import uuid
from pathlib import Path

from snellen.adapters.errors import RunError
from snellen.adapters.types import ImageStatus
from snellen.pipelines.planning.fingerprint import snellen_version
from snellen.pipelines.runs.run_folder import REQUESTS
from snellen.serve.api.model_resolver import ResolvedModel
from snellen.serve.api.responses import RecordedRequest, result_row
from snellen.serve.inference.messages import InferenceReply
from snellen.store.atomic_file import write_atomically
from snellen.store.image_rows import record_request
from snellen.store.results_path import stored
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database


class Recorder:
    """Write requests to the run tables. Safe to share between threads."""

    def __init__(self, db: Database, root: Path) -> None:
        """Create a recorder.

        Args:
            db: the run tables.
            root: folder of the runs; it is created when needed.
        """
        self._db = db
        self._root = root

    def record(self, reply: InferenceReply, resolved: ResolvedModel, name: str) -> RecordedRequest:
        """Store a request; one whose image could not be used, too.

        Args:
            reply: with a result.
            resolved: the model.
            name: display name of the image.

        Raises:
            RunError: DATABASE_LOCKED, DISK_FULL, OUTPUT_NOT_WRITABLE and the like; nothing is
                stored then.
        """
        result = reply.result
        assert result is not None
        path = self._write(reply.picture) if reply.picture else None
        failed = result.status is ImageStatus.FAILED
        job = {
            "training_job_id": resolved.job.id,
            "checkpoint_path": resolved.model.spec.checkpoint or "",
            "inference_type": "single",
            "input_data": {"image_name": name},
            "config": {"output": stored(self._db, {"dir": str(self._root.absolute())}, "dir")},
            "status": "failed" if failed else "completed",
            "error_message": result.error_message if failed else None,
            "task_type": str(result.task_type),
            "class_names": resolved.job.class_names,
            "total_images": 1,
            "scored_images": 0 if failed else 1,
            "failed_images": 1 if failed else 0,
            "total_inference_time_ms": result.inference_time_ms,
            "avg_inference_time_ms": result.inference_time_ms,
            "fingerprint": {"checkpoint_sha256": reply.sha256},
            "snellen_version": snellen_version(),
            "started_at": utc_now(),
            "completed_at": utc_now(),
        }
        try:
            job_id, result_id = record_request(self._db, job, result_row(result, name, path))
        except BaseException:
            if path is not None:
                (self._root / path).unlink(missing_ok=True)
            raise
        return RecordedRequest(job_id, result_id, path)

    def _write(self, picture: bytes) -> str:
        relative = f"{REQUESTS}/{uuid.uuid4().hex}.jpg"
        try:
            write_atomically(self._root / relative, picture)
        except RunError as error:
            # Clients need not know whether the folder is read-only.
            code = "DISK_FULL" if error.code == "DISK_FULL" else "OUTPUT_NOT_WRITABLE"
            raise RunError(code, error.message) from error
        return relative
