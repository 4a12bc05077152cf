"""Verdicts of rows: corrections within a family and over the runs that are compared."""

from __future__ import annotations

import json
import math

import pytest

from snellen.analysis.comparison.rows import Judgement, Row, contradiction, held, judged
from snellen.metrics.comparison.corrections import holm
from snellen.metrics.comparison.verdict import Difference


def row(p: float, key: str = "accuracy") -> Row:
    return Row(key, 0.8, 0.82, Difference(0.02, 0.005, 0.035, p))


def test_several_runs_are_corrected_by_holm_metric_by_metric() -> None:
    p_values = [0.02, 0.04, 0.01]
    families = [[row(p), row(p / 10, "macro_f1")] for p in p_values]
    found = held(families)
    assert [rows[0].p_holm for rows in found] == holm(p_values) == [0.04, 0.04, 0.03]
    assert [rows[1].p_holm for rows in found] == pytest.approx([0.004, 0.004, 0.003])
    verdicts = [judged(rows, Judgement(0.0, 100), need_q=False)[0].verdict for rows in found]
    assert verdicts == ["better"] * 3
    weak = held([[row(0.03)], [row(0.04)]])
    assert [judged(rows, Judgement(0.0, 100), need_q=False)[0].verdict for rows in weak] == [
        "not_settled", "not_settled",
    ]  # fmt: skip
    assert judged([row(0.03)], Judgement(0.0, 100), need_q=False)[0].verdict == "better"


def test_a_metric_that_one_comparison_lacks_is_corrected_for_the_others() -> None:
    missing = Row("accuracy", None, None, None)
    found = held([[row(0.01)], [missing], [row(0.02)]])
    assert [rows[0].p_holm for rows in found] == [0.02, None, 0.02]


def test_two_runs_need_no_correction() -> None:
    (rows,) = held([[row(0.03)]])
    assert rows[0].p_holm is None


def test_a_class_needs_q_too() -> None:
    family = [row(0.04), *(row(0.9) for _ in range(9))]
    found = judged(family, Judgement(0.0, 100), need_q=True)
    assert found[0].q == pytest.approx(0.4)
    assert found[0].verdict == "not_settled"


@pytest.mark.parametrize(
    ("low", "p", "others", "said"),
    [
        (0.005, 0.08, (), "(p = 0.080)"),
        (0.005, 0.04, (0.04,), "(p = 0.080)"),  # twice 0.04 by Holm's method
        (0.005, 0.04, (), None),  # better
        (-0.005, 0.08, (), None),  # the interval says the same
    ],
)
def test_an_interval_that_the_test_does_not_confirm_is_explained(
    low: float, p: float, others: tuple[float, ...], said: str | None
) -> None:
    one = Row("accuracy", 0.8, 0.82, Difference(0.02, low, 0.035, p))
    (rows, *_) = held([[one], *([row(other)] for other in others)])
    (judged_row,) = judged(rows, Judgement(0.0, 100), need_q=False)
    found = contradiction(judged_row.to_json())
    assert found is None if said is None else found is not None and found.endswith(f"{said}.")


def test_an_interval_of_one_image_is_null_in_the_document() -> None:
    one = Row("mAP50-95", 0.4, 0.6, Difference(0.2, -math.inf, math.inf, 1.0))
    (found,) = judged([one], Judgement(0.0, 1), need_q=False)
    document = found.to_json()
    assert (document["difference"], document["verdict"]) == (0.2, "not_settled")
    assert document["interval"] is document["detectable"] is document["images_needed"] is None
    json.dumps(document, allow_nan=False)
