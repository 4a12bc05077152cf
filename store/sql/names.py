"""The tables of names: tags of runs, and registered datasets."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from snellen.store.sql.models import Base, Created


class Tag(Created, Base):
    """A name that points to one run and can be moved to another, such as ``baseline``."""

    __tablename__ = "tags"
    __table_args__ = (
        UniqueConstraint("run_kind", "name", name="uq_tags_kind_name"),
        Index("idx_tags_run", "run_kind", "run_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    run_kind: Mapped[str]
    run_id: Mapped[int]


class Dataset(Created, Base):
    """A registered dataset: a name for a ``dataset`` section of a configuration."""

    __tablename__ = "datasets"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    config: Mapped[Any]
    fingerprint: Mapped[str | None]
