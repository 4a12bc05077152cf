"""The tables of the HTTP service: the queue of jobs, comparisons and exports, and reviews."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from snellen.store.sql.models import Base, Created

ANALYSIS_STATUSES = ("pending", "running", "completed", "failed")
REVIEW_STATUSES = ("wrong_label", "unclear", "fixed")


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return "{} IN ({})".format(column, ", ".join(f"'{value}'" for value in values))


class QueuedJob(Created, Base):
    """A job that waits for a worker, or is executed by one.

    Attributes:
        job_kind: ``test_run``, ``inference_job`` or ``analysis``.
        job_id: id of its row.
        retry_failed: error codes of failed images to score again; null: none.
        attempts: processes that were started for it since it last made progress.
        progress: committed images when it was last taken.
        not_before: it is not taken earlier.
        claim_owner, claim_token, claimed_at: the worker that has it, a random number of this
            claim, and the worker's last sign of life.
    """

    __tablename__ = "job_queue"
    __table_args__ = (
        UniqueConstraint("job_kind", "job_id", name="uq_job_queue_job"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    job_kind: Mapped[str]
    job_id: Mapped[int]
    retry_failed: Mapped[Any | None]
    attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    progress: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    not_before: Mapped[datetime | None]
    claim_owner: Mapped[str | None]
    claim_token: Mapped[str | None]
    claimed_at: Mapped[datetime | None]


class Analysis(Created, Base):
    """A comparison or an export that was requested over HTTP.

    Attributes:
        kind: ``comparison`` or ``export``.
        run_kind, run_ids: the runs that it reads.
        request: its settings.
        result: the document of a finished one.
        file: path of an export, relative to the folder of the runs.
        folder: folder of an export, which holds nothing else; relative to the folder of the
            database if it lies below it.
    """

    __tablename__ = "analyses"
    __table_args__ = (
        CheckConstraint(_one_of("status", ANALYSIS_STATUSES), name="ck_analyses_status"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    run_kind: Mapped[str]
    run_ids: Mapped[Any]
    request: Mapped[Any]
    status: Mapped[str] = mapped_column(default="pending", server_default=text("'pending'"))
    result: Mapped[Any | None]
    file: Mapped[str | None]
    folder: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    completed_at: Mapped[datetime | None]


class Review(Created, Base):
    """A person's note on the ground truth of an image or an object; it outlives the runs.

    Attributes:
        dataset: fingerprint of the dataset: the hash of a run's manifest.
        image_id: id of the image in the dataset.
        kind: ``image``, ``object`` (``true_index``) or ``box`` (``box``, in pixels).
        status: ``wrong_label``, ``unclear`` or ``fixed``.
    """

    __tablename__ = "reviews"
    __table_args__ = (
        CheckConstraint(_one_of("status", REVIEW_STATUSES), name="ck_reviews_status"),
        Index("idx_reviews_image", "dataset", "image_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    dataset: Mapped[str]
    image_id: Mapped[str]
    kind: Mapped[str]
    true_index: Mapped[int | None]
    box: Mapped[Any | None]
    status: Mapped[str]
    note: Mapped[str | None]
    author: Mapped[str | None]


class WebSession(Created, Base):
    """A browser that has signed in with an API key.

    Attributes:
        token_hash: SHA-256 of the random token in the browser's cookie.
        key_hash: SHA-256 of the API key; without the key, or with a new one, the session ends.
        expires_at: end of the session.
    """

    __tablename__ = "web_sessions"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    key_hash: Mapped[str]
    expires_at: Mapped[datetime]
