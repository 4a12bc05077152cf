"""The dataset report: everything that listing a dataset found, used, passed over and repaired.

A source fills it while its images are listed; `snellen.pipelines.data.manifest.write_manifest`
adds what it sees of every row. It is stored with the run and shown by ``plan`` and ``show``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import Any

from snellen.adapters.errors import InputError

EXAMPLES = 5
"""Maximum number of examples per reason."""
_SHOWN_WARNINGS = 5


class PassedOver(StrEnum):
    """Reason why a file or an image of the dataset is not in the manifest."""

    HIDDEN = "hidden"
    LINKED = "linked"
    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED_FORMAT = "unsupported_format"
    UNREADABLE = "unreadable"
    DUPLICATE = "duplicate"
    NO_LABEL = "no_label"
    FURTHER_FIELD = "further_field"
    NOT_LISTED = "not_listed"
    EXCLUDED_CLASS = "excluded_class"
    LIMIT = "limit"


_EXPECTED = frozenset(
    {
        PassedOver.HIDDEN,
        PassedOver.NOT_AN_IMAGE,
        PassedOver.EXCLUDED_CLASS,
        PassedOver.LIMIT,
    }
)
"""Reasons without a warning: every folder has such files, or the configuration asks for it."""
_UNREAD = (PassedOver.UNSUPPORTED_FORMAT, PassedOver.UNREADABLE)
_SPOKEN = {
    PassedOver.HIDDEN: "hidden",
    PassedOver.LINKED: "links to folders, which dataset.follow_links: true follows, or loops",
    PassedOver.NOT_AN_IMAGE: "no images",
    PassedOver.UNSUPPORTED_FORMAT: "images of a format that is not supported",
    PassedOver.UNREADABLE: "could not be read",
    PassedOver.DUPLICATE: "duplicates",
    PassedOver.NO_LABEL: "without a label",
    PassedOver.FURTHER_FIELD: "further pictures of samples, such as x.seg.png beside x.jpg",
    PassedOver.NOT_LISTED: "images that the annotation file does not list",
    PassedOver.EXCLUDED_CLASS: "excluded by model.class_map",
    PassedOver.LIMIT: "beyond dataset.limit",
}


@dataclass(slots=True)
class Counted:
    """A number of things, and the names of the first ones."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, count: int, examples: Sequence[str]) -> None:
        """Add a number of things, with some of their names."""
        self.count += count
        self.examples += examples[: EXAMPLES - len(self.examples)]

    def to_json(self) -> dict[str, Any]:
        """Return the number and the names."""
        return {"count": self.count, "examples": sorted(self.examples)}


@dataclass(slots=True)
class RowCounts:
    """Counts of the rows of a manifest.

    Attributes:
        images: number of rows.
        classes: number of labelled images, or of objects, per class of the dataset.
        errors: images with a label that cannot be used, by error code.
        sizes: ``bytes`` of all files, and ``width`` and ``height`` as [smallest, largest] in
            pixels where the format knows them.
    """

    images: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, Counted] = field(default_factory=dict)
    sizes: dict[str, Any] = field(default_factory=dict)


class DatasetReport:
    """Counts of a listing. Threads may add to it at the same time.

    ``found`` is the number of files and images that were seen: ``used`` plus all that were passed
    over. Images with a label that cannot be used are used: each is a failed row.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._rows = RowCounts()
        self._read_as: dict[str, Any] = {}
        self._passed: dict[str, Counted] = {}
        self._ignored: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()
        self._warnings: dict[str, None] = {}

    def pass_over(self, reason: PassedOver, *examples: str, count: int | None = None) -> None:
        """Count files or images that are not in the manifest.

        Args:
            reason: the reason.
            examples: some of their names, relative to the root of the dataset.
            count: number of them; None for the number of examples.
        """
        with self._lock:
            found = self._passed.setdefault(reason, Counted())
            found.add(len(examples) if count is None else count, examples)

    def ignore(self, reason: str, count: int = 1) -> None:
        """Count annotations that are not used, by a reason in snake_case."""
        with self._lock:
            self._ignored[reason] += count

    def repair(self, reason: str, count: int = 1) -> None:
        """Count annotations that are used after a repair, by a reason in snake_case."""
        with self._lock:
            self._repaired[reason] += count

    def warn(self, text: str) -> None:
        """Add a sentence for the user; a repeated one is kept once."""
        with self._lock:
            self._warnings.setdefault(text)

    def describe(self, class_order: str | None, columns: Mapping[str, str]) -> None:
        """Set how the dataset was read: the order of its classes, and the columns of a table."""
        self._read_as = {"class_order": class_order}
        if columns:
            self._read_as["columns"] = dict(columns)

    def fill(self, rows: RowCounts) -> None:
        """Set what was counted on the rows of the manifest."""
        self._rows = rows

    def warnings(self) -> list[str]:
        """Return the sentences for the user, those that follow from the counts first."""
        found = [
            f"{_count(counted.count, 'file')} passed over: {_SPOKEN[PassedOver(reason)]} "
            f"({_some(counted)})"
            for reason, counted in sorted(self._passed.items())
            if reason not in _EXPECTED
        ]
        for code, counted in self._rows.errors.items():
            found.append(
                f"{_count(counted.count, 'image')} with labels that cannot be used: {code} "
                f"({_some(counted)})"
            )
        for done, reasons in (("ignored", self._ignored), ("repaired", self._repaired)):
            found += [
                f"{_count(count, 'annotation')} {done}: {reason.replace('_', ' ')}"
                for reason, count in reasons.items()
            ]
        return [*found, *self._warnings]

    def to_json(self) -> dict[str, Any]:
        """Return the report as it is stored with a run."""
        passed = {reason: counted.to_json() for reason, counted in sorted(self._passed.items())}
        return {
            "found": self._rows.images + sum(counted.count for counted in self._passed.values()),
            "used": self._rows.images,
            "passed_over": passed,
            "annotations": {
                "used": sum(self._rows.classes.values()),
                "ignored": dict(self._ignored),
                "repaired": dict(self._repaired),
            },
            "classes": dict(self._rows.classes),
            "label_errors": {code: one.to_json() for code, one in self._rows.errors.items()},
            "sizes": self._rows.sizes,
            **self._read_as,
            "warnings": self.warnings(),
        }

    def reject_if_strict(self, strict: bool) -> None:
        """Reject a dataset with warnings.

        Raises:
            InputError: DATASET_STRICT, listing the first warnings.
        """
        warnings = self.warnings()
        if not strict or not warnings:
            return
        more = len(warnings) - _SHOWN_WARNINGS
        listed = "; ".join(warnings[:_SHOWN_WARNINGS]) + (f"; and {more} more" if more > 0 else "")
        raise InputError(
            "DATASET_STRICT",
            f"dataset.strict: the dataset has {_count(len(warnings), 'warning')}: {listed}. "
            "Expected none. Fix the dataset, or set dataset.strict=false.",
        )


def unread_images(report: Mapping[str, Any] | None) -> int:
    """Return the number of image files of a stored report that could not be read."""
    passed = (report or {}).get("passed_over") or {}
    return sum(int(passed[reason]["count"]) for reason in _UNREAD if reason in passed)


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _some(counted: Counted) -> str:
    shown = ", ".join(sorted(counted.examples))
    more = counted.count - len(counted.examples)
    return f"{shown} and {more:,} more" if more and shown else shown or f"{more:,}"
