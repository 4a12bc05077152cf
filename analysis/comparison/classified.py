"""Comparison of two classifiers: metrics, classes, fixed and broken images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from snellen.analysis.comparison.disagreements import Disagreements, image_disagreements
from snellen.analysis.comparison.pairing import Pair, Side
from snellen.analysis.comparison.rows import Row
from snellen.metrics.classification.drawn_metrics import drawn_averages, drawn_ece
from snellen.metrics.classification.state import ECE_BINS
from snellen.metrics.comparison.paired_draws import difference_of_draws, sign_flip_test
from snellen.metrics.comparison.paired_proportions import mcnemar, tango
from snellen.metrics.comparison.verdict import Difference
from snellen.metrics.statistics.draws import Blocks
from snellen.pipelines.config.loader import build_config

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of one run on the common images, arrays of n.

    Attributes:
        predicted: position of the predicted class in the names of the pair.
        correct: float, 0 or 1.
        in_top5: likewise; NaN where the result has no five most probable classes.
        loss, confidence: NaN where the result has none.
        ece_bins: number of bins of the run's calibration error.
    """

    predicted: npt.NDArray[np.int64]
    correct: Floats
    in_top5: Floats
    loss: Floats
    confidence: Floats
    ece_bins: int = ECE_BINS


@dataclass(frozen=True, eq=False)
class Classified:
    """Two classifiers on the common images.

    Attributes:
        true: int64, (n,), position of the true class in the names of the pair.
        a, b: their predictions.
        blocks: of the images.
        grouped: images are grouped by a column.
        names: class names.
    """

    true: npt.NDArray[np.int64]
    a: Predictions
    b: Predictions
    blocks: Blocks
    grouped: bool
    names: tuple[str, ...]

    def metric_rows(self, seed: int = 0) -> list[Row]:
        """Return the rows of the metrics; accuracy is the first."""
        rows = self.proportion_rows()
        drawn_a, drawn_b = (self._drawn(side, seed) for side in (self.a, self.b))
        favours = self.blocks.sums(self.b.correct - self.a.correct)
        for key, (values_a, values_b) in _paired(drawn_a, drawn_b).items():
            lower = key in ("loss", "ece")
            a, b = float(values_a[0]), float(values_b[0])
            if not (np.isfinite(a) and np.isfinite(b)):
                rows.append(Row(key, _known(a), _known(b), None, lower_is_better=lower))
                continue
            found = difference_of_draws(b - a, values_b[1:] - values_a[1:], favours)
            rows.append(Row(key, a, b, found, lower_is_better=lower))
        return rows

    def proportion_rows(self) -> list[Row]:
        """Return the rows of accuracy and top-5 accuracy, which need no draws."""
        return [
            self._proportion("accuracy", self.a.correct, self.b.correct),
            self._proportion("top5_accuracy", self.a.in_top5, self.b.in_top5),
        ]

    def class_rows(self) -> list[Row]:
        """Return the recall of each class that has images."""
        rows = []
        for number in np.unique(self.true).tolist():
            of_class = self.true == number
            row = self._proportion(
                "recall", self.a.correct[of_class], self.b.correct[of_class], of_class
            )
            rows.append(Row(row.key, row.a, row.b, row.difference, class_name=self.names[number]))
        return rows

    def contributions(self) -> Floats:
        """Return what each image adds to the difference in accuracy: (n,)."""
        return np.asarray((self.b.correct - self.a.correct) / len(self.true))

    def disagreements(self, images: pl.DataFrame) -> Disagreements:
        """Return the images that the runs take for different classes."""
        named = {
            "class": self.true,
            "class_a": self.a.predicted,
            "class_b": self.b.predicted,
        }
        names = pl.Series(self.names, dtype=pl.String)
        classes = pl.DataFrame({key: names.gather(places) for key, places in named.items()})
        return image_disagreements(images, classes)

    def _proportion(
        self, key: str, a: Floats, b: Floats, chosen: npt.NDArray[np.bool_] | None = None
    ) -> Row:
        means = _known(float(a.mean())), _known(float(b.mean()))
        if None in means:
            return Row(key, *means, None)
        images = len(a)
        only_a, only_b = int((a > b).sum()), int((b > a).sum())
        value = (only_b - only_a) / images
        if not self.grouped:
            low, high = tango(only_a, only_b, images)
            found = Difference(value, low, high, mcnemar(only_a, only_b))
        else:
            found = self._grouped(value, b - a, chosen)
        return Row(key, *means, found)

    def _grouped(
        self, value: float, differences: Floats, chosen: npt.NDArray[np.bool_] | None
    ) -> Difference:
        """Return the t interval over blocks of groups, and the test that flips their signs.

        Only groups with chosen images count; a draw without any of them defines no difference.
        """
        of_image = self.blocks.of_image if chosen is None else self.blocks.of_image[chosen]
        sums = np.bincount(of_image, differences, self.blocks.count).astype(np.float64)
        sizes = np.bincount(of_image, minlength=self.blocks.count)
        present = sizes > 0
        weights = self.blocks.weights()[:, present]
        with np.errstate(invalid="ignore"):
            drawn = (weights @ sums[present]) / (weights @ sizes[present])
        found = difference_of_draws(value, drawn, sums[present])
        return Difference(found.value, found.low, found.high, sign_flip_test(sums))

    def _drawn(self, side: Predictions, seed: int) -> dict[str, Floats]:
        """Return each metric on the set (first) and in each draw of blocks: (1 + R,)."""
        blocks, classes = self.blocks, len(self.names)
        weights = np.vstack(
            [np.ones((1, blocks.count), np.float32), blocks.weights(seed=seed)]
        ).astype(np.float64)
        hits = _by_class(blocks, self.true, classes, side.correct)
        support = _by_class(blocks, self.true, classes, np.ones(len(self.true)))
        made = _by_class(blocks, side.predicted, classes, np.ones(len(self.true)))
        averages = drawn_averages(weights @ hits, weights @ support, weights @ made)
        return {
            **{key: values for key, values in averages.items() if key.startswith("macro_")},
            "loss": _mean(weights, blocks, side.loss),
            "ece": _ece(weights, blocks, side),
        }


def read_classified(pair: Pair, blocks: Blocks) -> Classified:
    """Read what both runs predicted on the common images."""
    sides = [
        _predictions(side, pair.images[f"index_{name}"])
        for side, name in zip(pair.sides, "ab", strict=True)
    ]
    true = sides[0][1]
    return Classified(true, sides[0][0], sides[1][0], blocks, pair.grouped, pair.names)


def _predictions(side: Side, indices: pl.Series) -> tuple[Predictions, npt.NDArray[np.int64]]:
    top5 = pl.col("top5_predictions").list.eval(pl.element().struct.field("label_id"))
    frame = side.results.lazy().select(
        "image_index",
        pl.col("true_label_id").cast(pl.Int64),
        pl.col("predicted_label_id").cast(pl.Int64),
        pl.col("is_correct").cast(pl.Float64),
        top5.list.contains(pl.col("true_label_id")).cast(pl.Float64).alias("in_top5"),
        pl.col("loss").cast(pl.Float64),
        pl.col("confidence").cast(pl.Float64),
    )
    wanted = pl.DataFrame({"image_index": indices}).with_row_index("place")
    found = wanted.join(frame.collect(), on="image_index", how="left").sort("place")
    placed = np.array([side.class_ids[number] for number in range(len(side.class_ids))], np.int64)
    floats = {
        name: found[name].to_numpy().astype(np.float64)
        for name in ("is_correct", "in_top5", "loss", "confidence")
    }
    return (
        Predictions(
            placed[found["predicted_label_id"].to_numpy()],
            correct=floats["is_correct"],
            in_top5=floats["in_top5"],
            loss=floats["loss"],
            confidence=floats["confidence"],
            ece_bins=build_config(side.run.config).metrics.ece_bins,
        ),
        placed[found["true_label_id"].to_numpy()],
    )


def _known(value: float) -> float | None:
    """Return a value; None where it is not defined."""
    return value if np.isfinite(value) else None


def _paired(a: dict[str, Floats], b: dict[str, Floats]) -> dict[str, tuple[Floats, Floats]]:
    return {key: (a[key], b[key]) for key in a}


def _by_class(
    blocks: Blocks, class_of: npt.NDArray[np.int64], classes: int, values: Floats
) -> Floats:
    """Sum values by block and class: (B, K)."""
    cell = blocks.of_image * classes + class_of
    counts = np.bincount(cell, values, blocks.count * classes).astype(np.float64)
    return counts.reshape(blocks.count, classes)


def _mean(weights: Floats, blocks: Blocks, values: Floats) -> Floats:
    known = np.isfinite(values)
    sums = blocks.sums(np.where(known, values, 0.0))
    sizes = blocks.sums(known.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((weights @ sums) / (weights @ sizes))


def _ece(weights: Floats, blocks: Blocks, side: Predictions) -> Floats:
    """Compute the expected calibration error with the equal, right-open bins of the run."""
    known = np.isfinite(side.confidence)
    count = side.ece_bins
    bins = np.minimum((np.where(known, side.confidence, 0.0) * count).astype(np.int64), count - 1)
    ones = known.astype(np.float64)
    values = (ones, side.correct * ones, np.where(known, side.confidence, 0.0))
    return drawn_ece(*(weights @ _by_class(blocks, bins, count, of) for of in values))
