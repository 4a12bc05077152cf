"""Reviews: notes of people on the ground truth of images and objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update

from snellen.adapters.errors import InputError
from snellen.store.sql.database import Database
from snellen.store.sql.service_tables import Review

_REVIEWS: Any = Review.__table__


@dataclass(frozen=True, slots=True)
class ReviewView:
    """A row of ``reviews``; see `snellen.store.sql.service_tables.Review`."""

    id: int
    dataset: str
    image_id: str
    kind: str
    true_index: int | None
    box: list[float] | None
    status: str
    note: str | None
    author: str | None
    created_at: datetime


def add_review(db: Database, columns: Mapping[str, Any]) -> ReviewView:
    """Store a review."""
    with db.session() as session:
        made: Any = session.execute(insert(_REVIEWS).values(**columns))
        found = int(made.inserted_primary_key[0])
    return get_review(db, found)


def get_review(db: Database, review_id: int) -> ReviewView:
    """Return a review. Raises InputError, REVIEW_NOT_FOUND."""
    query = select(_REVIEWS).where(_REVIEWS.c.id == review_id)
    row = db.query(lambda session: session.execute(query).mappings().first())
    if row is None:
        raise InputError("REVIEW_NOT_FOUND", f"there is no review {review_id}. Expected an id.")
    return ReviewView(**row)


def list_reviews(
    db: Database, where: Mapping[str, Any], *, limit: int, offset: int, text: str | None = None
) -> tuple[int, list[ReviewView]]:
    """Return the number of reviews with these columns, and a page of them, newest first.

    Args:
        db: the open database.
        where: values of columns; None is no condition.
        limit, offset: the page.
        text: part of the image id or of the note, in any case.
    """
    conditions = [_REVIEWS.c[key] == value for key, value in where.items() if value is not None]
    if text:
        columns = (_REVIEWS.c.image_id, _REVIEWS.c.note)
        conditions.append(or_(*(column.icontains(text, autoescape=True) for column in columns)))
    count = select(func.count()).select_from(_REVIEWS).where(*conditions)
    query = select(_REVIEWS).where(*conditions).order_by(_REVIEWS.c.id.desc())
    query = query.limit(limit).offset(offset)
    total = db.query(lambda session: session.scalar(count))
    rows = db.query(lambda session: session.execute(query).mappings().all())
    return int(total or 0), [ReviewView(**row) for row in rows]


def change_review(db: Database, review_id: int, columns: Mapping[str, Any]) -> ReviewView:
    """Change the status or the note of a review. Raises InputError, REVIEW_NOT_FOUND."""
    get_review(db, review_id)
    if columns:
        with db.session() as session:
            session.execute(update(_REVIEWS).where(_REVIEWS.c.id == review_id).values(**columns))
    return get_review(db, review_id)


def delete_review(db: Database, review_id: int) -> None:
    """Delete a review. Raises InputError, REVIEW_NOT_FOUND."""
    get_review(db, review_id)
    with db.session() as session:
        session.execute(delete(_REVIEWS).where(_REVIEWS.c.id == review_id))
