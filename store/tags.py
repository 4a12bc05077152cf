"""Tags: unique names that point to one run each and can be moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from snellen.adapters.errors import InputError
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database
from snellen.store.sql.names import Tag

_TAGS: Any = Tag.__table__


def set_tag(db: Database, kind: str, run_id: int, name: str) -> int | None:
    """Point a tag to a run; a tag that exists is moved.

    Returns:
        The run that had the tag before, or None.

    Raises:
        InputError: TAG_NAME, a name that means something else: empty, ``latest`` or a number.
    """
    if not name.strip() or name == "latest" or name.isdecimal() or "@" in name:
        raise InputError(
            "TAG_NAME",
            f"{name!r} cannot be a tag. Expected a word such as baseline: numbers are ids, "
            "'latest' is the newest run, and '@' separates a job from its checkpoint.",
        )
    ours = (_TAGS.c.run_kind == kind) & (_TAGS.c.name == name)
    with db.session() as session:
        before = session.scalar(select(_TAGS.c.run_id).where(ours))
        dialect = session.get_bind().dialect.name
        upsert = postgresql.insert if dialect == "postgresql" else sqlite.insert
        # In one statement: of several writers on Postgres, none may find the name taken.
        session.execute(
            upsert(_TAGS)
            .values(name=name, run_kind=kind, run_id=run_id)
            .on_conflict_do_update(
                index_elements=["run_kind", "name"],
                set_={"run_id": run_id, "created_at": utc_now()},
            )
        )
    return None if before is None else int(before)


def remove_tag(db: Database, kind: str, name: str) -> int:
    """Remove a tag and return the run that had it.

    Raises:
        InputError: TAG_NOT_FOUND, listing the tags.
    """
    ours = (_TAGS.c.run_kind == kind) & (_TAGS.c.name == name)
    with db.session() as session:
        before = session.scalar(select(_TAGS.c.run_id).where(ours))
        if before is None:
            every = select(_TAGS.c.name).where(_TAGS.c.run_kind == kind).order_by(_TAGS.c.name)
            known = ", ".join(session.scalars(every))
            raise InputError(
                "TAG_NOT_FOUND",
                f"there is no tag {name!r}. Expected one of {known or 'the tags: there are none'}.",
            )
        session.execute(delete(_TAGS).where(ours))
    return int(before)


def all_tags(db: Database, kind: str) -> list[tuple[str, int]]:
    """Return the tags of a kind of run with their runs, in alphabetical order."""
    query = select(_TAGS.c.name, _TAGS.c.run_id).where(_TAGS.c.run_kind == kind)
    rows = db.query(lambda session: session.execute(query.order_by(_TAGS.c.name)).all())
    return [(name, run_id) for name, run_id in rows]


def tags_of(db: Database, kind: str, run_ids: Iterable[int]) -> dict[int, list[str]]:
    """Return the tags of some runs, in alphabetical order; runs without tags are left out."""
    query = (
        select(_TAGS.c.run_id, _TAGS.c.name)
        .where(_TAGS.c.run_kind == kind, _TAGS.c.run_id.in_(list(run_ids)))
        .order_by(_TAGS.c.name)
    )
    found: dict[int, list[str]] = defaultdict(list)
    for run_id, name in db.query(lambda session: session.execute(query).all()):
        found[run_id].append(name)
    return dict(found)
