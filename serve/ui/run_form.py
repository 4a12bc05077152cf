"""The form of a new test run: its fields, and the check of the dataset while it is typed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snellen.adapters.errors import SnellenError
from snellen.serve.api.bodies.catalog_bodies import InspectionResponse
from snellen.serve.api.bodies.run_bodies import TestRunRequest
from snellen.serve.api.problems import Problem
from snellen.serve.api.redaction import without_paths
from snellen.serve.api.runs.dataset_inspection import inspect_dataset
from snellen.serve.api.state import State
from snellen.store.datasets import list_datasets
from snellen.store.jobs import get_training_job

LEAVE_OUT = "-"
MAP_PREFIX = "map:"
_SHOWN_CLASSES = 200


@dataclass(frozen=True, slots=True)
class RunForm:
    """Values of the form.

    Attributes:
        class_map: dataset class -> class of the checkpoint, `LEAVE_OUT`, or nothing yet.
    """

    job: int | None = None
    checkpoint: str = "best"
    path: str = ""
    split: str = ""
    name: str = ""
    class_map: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RunForm:
        """Read the fields of a form; what is no number of a job is left out."""
        job = str(values.get("training_job_id", ""))
        return cls(
            job=int(job) if job.isdecimal() and len(job) < 10 else None,
            checkpoint=str(values.get("checkpoint") or "best"),
            path=str(values.get("path", "")).strip(),
            split=str(values.get("split", "")).strip(),
            name=str(values.get("name", "")).strip(),
            class_map={
                key.removeprefix(MAP_PREFIX): str(value)
                for key, value in values.items()
                if key.startswith(MAP_PREFIX)
            },
        )

    def request(self) -> TestRunRequest:
        """Return the request of the API.

        Raises:
            ValidationError: a field is missing or malformed.
            Problem: 422, a class is not mapped yet.
        """
        unmapped = [name for name, value in self.class_map.items() if not value]
        if unmapped:
            listed = ", ".join(unmapped[:5])
            raise Problem(422, "CLASS_MAP", f"Choose what becomes of these classes: {listed}.")
        mapped = {
            name: None if value == LEAVE_OUT else value for name, value in self.class_map.items()
        }
        return TestRunRequest.model_validate(
            {
                "training_job_id": self.job,
                "checkpoint": self.checkpoint,
                "dataset_path": self.path,
                "dataset_split": self.split or None,
                "name": self.name or None,
                "class_map": mapped or "auto",
            }
        )

    @property
    def command(self) -> str:
        """Return the command that does the same."""
        words = ["snellen", "eval", "--job", f"{self.job or 'JOB'}@{self.checkpoint}"]
        words += ["--dataset", self.path or "PATH"]
        words += ["--split", self.split] if self.split else []
        words += ["--name", self.name] if self.name else []
        return shlex.join(words)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class of the dataset, and what it becomes.

    Attributes:
        target: class of the checkpoint; None: it is left out, or must be chosen.
        must_choose: its name is not one of the checkpoint's.
    """

    name: str
    count: int | None
    target: str | None
    must_choose: bool


@dataclass(frozen=True, slots=True)
class Check:
    """What is known of the dataset before anything runs.

    Attributes:
        state: ``none`` (nothing typed), ``ok``, ``classes`` (to be mapped) or ``missing``.
    """

    form: RunForm
    state: str
    problem: str = ""
    code: str = ""
    found: InspectionResponse | None = None
    classes: list[ClassRow] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    @property
    def shown_classes(self) -> list[ClassRow]:
        """Return the classes that are listed: those that must be chosen first."""
        return self._sorted()[:_SHOWN_CLASSES]

    @property
    def hidden_classes(self) -> list[ClassRow]:
        """Return the other classes."""
        return self._sorted()[_SHOWN_CLASSES:]

    def _sorted(self) -> list[ClassRow]:
        return sorted(self.classes, key=lambda row: not row.must_choose)


def check_form(state: State, form: RunForm) -> Check:
    """Inspect the dataset of a form, and preview how its classes fit the checkpoint."""
    if not form.path or form.job is None:
        return Check(form, "none")
    model = {"job": form.job, "checkpoint": form.checkpoint}
    try:
        found = inspect_dataset(state.place, state.submission, form.path, model, form.split or None)
        job = get_training_job(state.db, form.job)
    except Problem as problem:
        return Check(form, "missing", str(problem.detail), problem.code)
    except SnellenError as error:
        return Check(form, "missing", without_paths(error.message), error.code)
    names = job.class_names or []
    rows = _classes(found, names, form)
    preview = found.class_map
    if preview is None or preview.code is None or _all_chosen(rows, form):
        return Check(form, "ok", found=found, classes=rows, targets=names)
    choosable = any(row.must_choose for row in rows) and bool(names)
    return Check(
        form,
        "classes" if choosable else "missing",
        preview.problem or "",
        preview.code,
        found,
        rows,
        names,
    )


def _all_chosen(rows: list[ClassRow], form: RunForm) -> bool:
    open_rows = [row.name for row in rows if row.must_choose]
    return bool(open_rows) and all(form.class_map.get(name) for name in open_rows)


def _classes(found: InspectionResponse, names: list[str], form: RunForm) -> list[ClassRow]:
    preview = found.class_map
    ids = (preview.ids if preview else None) or {}
    rows = []
    for name in found.classes or []:
        index = ids.get(name)
        target = names[index] if index is not None and 0 <= index < len(names) else None
        if not ids:
            target = name if name in names else None
        must_choose = bool(preview and preview.code) and name not in names
        chosen = form.class_map.get(name)
        rows.append(ClassRow(name, found.class_counts.get(name), chosen or target, must_choose))
    return rows


def dataset_names(state: State) -> list[str]:
    """Return the names of the registered datasets."""
    return [one.name for one in list_datasets(state.db)]
