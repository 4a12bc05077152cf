"""The list of runs with its filters, from the query of its address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from urllib.parse import urlencode

from snellen.adapters.types import TaskType
from snellen.serve.api.state import State
from snellen.serve.ui.formats import count
from snellen.serve.ui.run_rows import RunRow, make_row
from snellen.store.jobs import list_training_jobs
from snellen.store.kinds import INFERENCE_JOB, TEST_RUN
from snellen.store.run_listing import (
    ListQuery,
    SortKey,
    count_runs,
    count_statuses,
    list_runs,
)
from snellen.store.sql.models import STATUSES

PAGE_ROWS = 25
_MAX_JOBS = 200
_KINDS = (("", "All"), (TEST_RUN, "Test runs"), (INFERENCE_JOB, "Inference jobs"))
_ACTIVE = ("pending", "running")


@dataclass(frozen=True, slots=True)
class Filters:
    """The query of the address; what makes no sense is left out rather than an error."""

    kind: str = ""
    status: str = ""
    task: str = ""
    job: str = ""
    text: str = ""
    days: str = ""
    sort: str = "started"
    order: str = "desc"
    page: int = 1

    def query(self) -> ListQuery:
        """Return the conditions for the database."""
        days = int(self.days) if self.days.isdecimal() and len(self.days) < 5 else 0
        return ListQuery(
            kind=self.kind if self.kind in (TEST_RUN, INFERENCE_JOB) else None,
            status=self.status if self.status in STATUSES else None,
            task_type=self.task if self.task in set(TaskType) else None,
            training_job_id=int(self.job) if self.job.isdecimal() and len(self.job) < 10 else None,
            text=self.text.strip()[:200] or None,
            since=datetime.now(UTC) - timedelta(days=days) if days else None,
            sort=self.sort if self.sort in get_args(SortKey) else "started",  # type: ignore[arg-type]
            descending=self.order != "asc",
        )

    def address(self, prefix: str) -> str:
        """Return the address of the list with these filters; defaults are left out."""
        default = Filters()
        values = {
            name: getattr(self, name)
            for name in Filters.__dataclass_fields__
            if getattr(self, name) != getattr(default, name)
        }
        return f"{prefix}/" + (f"?{urlencode(values)}" if values else "")


@dataclass(frozen=True, slots=True)
class RunList:
    """One page of the list, for the template."""

    filters: Filters
    prefix: str
    query: ListQuery
    rows: list[RunRow]
    counts: dict[str, int]
    by_status: dict[str, int]
    jobs: list[tuple[int, str]]

    @property
    def exists(self) -> bool:
        """Return True if there is any run at all."""
        return bool(self.by_status)

    @property
    def summary(self) -> str:
        """Return how many runs there are: ``2 running · 48 finished``."""
        active = {status: self.by_status.get(status, 0) for status in _ACTIVE}
        ended = sum(self.by_status.values()) - sum(active.values())
        parts = [f"{count(number)} {status}" for status, number in active.items() if number]
        return " · ".join([*parts, f"{count(ended)} finished"])

    @property
    def kinds(self) -> list[tuple[str, str, int]]:
        """Return the choices of kinds: value, label and number of runs with the other filters."""
        return [(key, label, self._count(key)) for key, label in _KINDS]

    def _count(self, kind: str) -> int:
        return self.counts.get(kind, 0) if kind else sum(self.counts.values())

    @property
    def kind(self) -> str:
        """Return the chosen kind, or nothing."""
        return self.query.kind or ""

    @property
    def statuses(self) -> tuple[str, ...]:
        """Return all statuses."""
        return STATUSES

    @property
    def tasks(self) -> list[tuple[str, str]]:
        """Return all tasks: value and label."""
        return [(task.value, task.value.replace("_", " ").capitalize()) for task in TaskType]

    @property
    def days(self) -> int | str:
        """Return the chosen number of days, or nothing."""
        return int(self.filters.days) if self.query.since is not None else ""

    @property
    def sort(self) -> str:
        """Return the column of the order."""
        return self.query.sort

    @property
    def descending(self) -> bool:
        """Return True if the order is descending."""
        return self.query.descending

    @property
    def total(self) -> int:
        """Return the number of runs on all pages."""
        return self._count(self.kind)

    @property
    def page(self) -> int:
        """Return the number of this page, from 1."""
        return self.filters.page

    @property
    def pages(self) -> int:
        """Return the number of pages."""
        return max(1, -(-self.total // PAGE_ROWS))

    def sorted_by(self, key: str) -> str:
        """Return the address of the list sorted by a column; the other way if it is already."""
        down = not self.descending if key == self.sort else key not in ("name", "status")
        order = "desc" if down else "asc"
        return replace(self.filters, sort=key, order=order, page=1).address(self.prefix)

    def at_page(self, number: int) -> str:
        """Return the address of another page."""
        return replace(self.filters, page=number).address(self.prefix)

    @property
    def command(self) -> str:
        """Return the command that lists the same runs."""
        program = "snellen predictions" if self.kind == INFERENCE_JOB else "snellen runs"
        status = f" --status {self.query.status}" if self.query.status else ""
        job = self.query.training_job_id
        listed = f" --job {job}" if job is not None and self.kind != INFERENCE_JOB else ""
        offset = (self.page - 1) * PAGE_ROWS
        return f"{program}{status}{listed} --limit {PAGE_ROWS}" + (
            f" --offset {offset}" if offset else ""
        )


def read_list(state: State, filters: Filters, prefix: str) -> RunList:
    """Read one page of the list."""
    query = filters.query()
    counts = count_runs(state.db, replace(query, kind=None))
    total = counts[query.kind] if query.kind else sum(counts.values())
    page = min(max(filters.page, 1), max(1, -(-total // PAGE_ROWS)))
    entries = list_runs(state.db, query, limit=PAGE_ROWS, offset=(page - 1) * PAGE_ROWS)
    jobs = list_training_jobs(state.db)[:_MAX_JOBS]
    return RunList(
        filters=replace(filters, page=page),
        prefix=prefix,
        query=query,
        rows=[make_row(entry, state.place.roots, state.progress) for entry in entries],
        counts=counts,
        by_status=count_statuses(state.db),
        jobs=[(job.id, job.name) for job in jobs],
    )
