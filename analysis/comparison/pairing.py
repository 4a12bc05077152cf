"""Pairs of runs: the images that both have scored, with the same ground truth and content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from snellen.adapters.errors import InputError
from snellen.analysis.comparison.definitions import check_same_definitions
from snellen.analysis.reader import completed_owner, open_results
from snellen.metrics.class_filter import class_ids
from snellen.metrics.slices import BINS, slice_columns, slice_names
from snellen.store.parquet.results import Results
from snellen.store.sql.database import Database
from snellen.store.views import RunView

SIDES = ("a", "b")
_SETTLED_SHARE = 0.01
"""Share of images that may be scored in one run only before nothing is settled."""


@dataclass(frozen=True, eq=False)
class Side:
    """One of two runs.

    Attributes:
        run: its row.
        results: its files.
        class_ids: its class id -> position in the names of the pair.
    """

    run: RunView
    results: Results
    class_ids: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two runs on common images.

    Attributes:
        a, b: the runs.
        names: class names: those of A, then those of B alone.
        images: the common images in the order of A: ``image_id``, ``index_a``, ``index_b``,
            ``group``.
        left_out: number of images that are not compared, by reason.
        group: metadata column whose images are dependent; None for none.
    """

    a: Side
    b: Side
    names: tuple[str, ...]
    images: pl.DataFrame
    left_out: Mapping[str, int] = field(default_factory=dict)
    group: str | None = None

    @property
    def grouped(self) -> bool:
        """True if images are grouped by a column."""
        return self.group is not None

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both runs."""
        return self.a, self.b

    def where(self, chosen: Sequence[bool]) -> Pair:
        """Return the pair on some of its images."""
        return replace(self, images=self.images.filter(pl.Series(chosen, dtype=pl.Boolean)))

    def slices(self, by: str) -> list[str]:
        """Return the slice of each image, read from the rows of A.

        Raises:
            InputError: COMPARE_SLICE, no such column.
        """
        columns = slice_columns(by)
        known = self.a.results.lazy().collect_schema().names()
        if any(name not in known for name in columns):
            raise InputError(
                "COMPARE_SLICE",
                f"the results have no column '{by}'. Expected one of {', '.join(BINS)}"
                + "".join(f", {name}" for name in known if name.startswith("meta_"))
                + ".",
            )
        names: dict[int, str] = {}
        for table in self.a.results.iter_units(["image_index", *columns]):
            indices = table["image_index"].to_pylist()
            names.update(zip(indices, slice_names(table, by), strict=True))
        return [names[index] for index in self.images["index_a"].to_list()]

    @property
    def one_sided(self) -> bool:
        """True if more than 1 % of the images were scored in one run only."""
        failed = self.left_out.get("scored_in_one", 0)
        return failed > _SETTLED_SHARE * (len(self.images) + failed)


def pair_runs(db: Database, runs: Sequence[RunView], group: str | None = None) -> Pair:
    """Pair the images of two completed runs.

    Args:
        db: the open database.
        runs: A and B, of the same task.
        group: metadata column (``meta_patient``) whose images are dependent; None for the
            ``metrics.group`` of the runs if both name the same one, else for none.

    Raises:
        InputError: RUN_NOT_COMPLETED; COMPARE_TASK, runs of different tasks; COMPARE_CLASSES, runs
            whose ``metrics.classes`` differ; COMPARE_METRICS, runs whose metrics are defined
            differently; COMPARE_NOTHING, no common images; COMPARE_GROUP, no such column.
    """
    a, b = runs
    if a.task_type != b.task_type:
        raise InputError(
            "COMPARE_TASK",
            f"run {a.id} is for {a.task_type} and run {b.id} for {b.task_type}. Expected one task.",
        )
    classes = _common_classes(a, b)
    check_same_definitions(a, b)
    group = group or _common_group(runs)
    names = list(dict.fromkeys([*(a.class_names or ()), *(b.class_names or ())]))
    position = {name: number for number, name in enumerate(names)}
    sides, frames = [], []
    for run, side in zip(runs, SIDES, strict=True):
        completed_owner(db, run)
        results = open_results(db, run)
        ids = {number: position[name] for number, name in enumerate(run.class_names or ())}
        sides.append(Side(run, results, ids))
        frame = _identities(results, ids, side, group if side == "a" else None)
        frames.append(frame.with_columns(_of_classes(run, classes).alias(f"chosen_{side}")))
    frames = [frame.drop("true_label_id") for frame in frames]
    joined = frames[0].join(frames[1], on="image_id", how="full", coalesce=True)
    common, left_out = _common(joined)
    if not len(common):
        listed = ", ".join(
            f"{count:,} {reason.replace('_', ' ')}" for reason, count in left_out.items()
        )
        raise InputError(
            "COMPARE_NOTHING",
            f"runs {a.id} and {b.id} have no images in common ({listed}). Expected runs of one "
            "dataset, with the same image ids and the same ground truth.",
        )
    images = common.sort("index_a").select(
        "image_id",
        "index_a",
        "index_b",
        (pl.col("group") if group else pl.col("image_id")).alias("group"),
    )
    return Pair(sides[0], sides[1], tuple(names), images, left_out, group)


def _common_classes(a: RunView, b: RunView) -> tuple[str, ...] | None:
    """Return the ``metrics.classes`` of both runs.

    Raises:
        InputError: COMPARE_CLASSES, they score different classes.
    """
    chosen = [tuple((run.config or {}).get("metrics", {}).get("classes") or ()) for run in (a, b)]
    if set(chosen[0]) != set(chosen[1]):
        shown = [", ".join(one[:10]) or "all classes" for one in chosen]
        words = json.dumps(list(chosen[0]) or None)
        raise InputError(
            "COMPARE_CLASSES",
            f"run {a.id} scores {shown[0]} (metrics.classes), and run {b.id} {shown[1]}. Expected "
            f"the same classes. Compute one of them again: snellen rescore {b.id} "
            f"'metrics.classes={words}'",
        )
    return chosen[0] or None


def _of_classes(run: RunView, classes: tuple[str, ...] | None) -> pl.Expr:
    """Return True for images whose true class is scored; images with objects always are."""
    ids = class_ids(classes, run.class_names or ())
    if ids is None:
        return pl.lit(True)
    label = pl.col("true_label_id")
    return label.is_null() | label.is_in(list(ids))


def _common_group(runs: Sequence[RunView]) -> str | None:
    """Return the ``metrics.group`` that all runs name."""
    named = {(run.config or {}).get("metrics", {}).get("group") for run in runs}
    return named.pop() if len(named) == 1 else None


def _identities(
    results: Results, class_ids: Mapping[int, int], side: str, group: str | None
) -> pl.DataFrame:
    """Read what tells images apart: id, index, status, ground truth and content."""
    frame = results.lazy()
    known = set(frame.collect_schema().names())
    if group is not None and group not in known:
        columns = sorted(name for name in known if name.startswith("meta_"))
        raise InputError(
            "COMPARE_GROUP",
            f"the results have no column '{group}'. Expected one of "
            f"{', '.join(columns) or 'the metadata columns of the dataset: it has none'}.",
        )
    content = pl.col("content_hash") if "content_hash" in known else pl.lit(None, pl.String)
    extra = [] if group is None else [_group_of_image(pl.col(group), frame)]
    return frame.select(
        "image_id",
        pl.col("image_index").alias(f"index_{side}"),
        pl.col("status").eq("ok").alias(f"scored_{side}"),
        pl.struct(_truth(class_ids)).hash().alias(f"truth_{side}"),
        "true_label_id",
        content.alias(f"content_{side}"),
        *extra,
    ).collect()


def _group_of_image(column: pl.Expr, frame: pl.LazyFrame) -> pl.Expr:
    """Return the name of the group of each row, as `snellen.metrics.statistics.groups` has it."""
    name = column.meta.output_name()
    if frame.collect_schema()[name].is_float():
        column = column.fill_nan(None)
    own = pl.lit("image ") + pl.col("image_id")
    return (pl.lit("group ") + column.cast(pl.String)).fill_null(own).alias("group")


def _truth(class_ids: Mapping[int, int]) -> list[pl.Expr]:
    """Return the ground truth of a row in the class positions of the pair."""
    same = all(number == place for number, place in class_ids.items())
    boxes = pl.col("true_boxes")
    if not same:
        placed = pl.element().struct.field("class_id").replace(dict(class_ids))
        boxes = boxes.list.eval(pl.element().struct.with_fields(placed.alias("class_id")))
    return [pl.col("true_label"), boxes, pl.col("true_masks"), pl.col("true_keypoints")]


def _common(joined: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Split the joined images into those that are compared and the counts of all others."""
    reasons = (
        ("only_in_a", pl.col("index_b").is_null()),
        ("only_in_b", pl.col("index_a").is_null()),
        ("other_content", pl.col("content_a") != pl.col("content_b")),
        ("other_ground_truth", pl.col("truth_a") != pl.col("truth_b")),
        ("other_classes", ~pl.col("chosen_a")),
        ("scored_in_neither", ~pl.col("scored_a") & ~pl.col("scored_b")),
        ("scored_in_one", pl.col("scored_a") != pl.col("scored_b")),
    )
    left_out: dict[str, int] = {}
    for reason, wrong in reasons:
        kept = joined.filter(~wrong.fill_null(False))
        if len(kept) < len(joined):
            left_out[reason] = len(joined) - len(kept)
        joined = kept
    return joined, left_out
