"""Drawings of test runs: each kind of match has its own colour, line and shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.pipelines.tasks.render import draw_row
from snellen.pipelines.visualization import matches
from tests.pipelines.tasks.test_render import GREY, NAMES, box, changed, grey, mask_of


def matched_row(**more: Any) -> dict[str, Any]:
    true = [
        {"class_id": 0, "x1": 100, "y1": 100, "x2": 180, "y2": 180},
        {"class_id": 1, "x1": 300, "y1": 100, "x2": 380, "y2": 180},
    ]
    found = [box(104, 104, 184, 184), box(100, 300, 180, 380, 2), box(400, 300, 480, 380, 1)]
    matches = [
        {"kind": "TP", "true_index": 0, "predicted_index": 0, "overlap": 0.8},
        {"kind": "FP", "true_index": None, "predicted_index": 1, "overlap": None},
        {"kind": "FN", "true_index": 1, "predicted_index": None, "overlap": None},
    ]
    row = {"status": "ok", "true_boxes": true, "predicted_boxes": found, "matches": matches}
    return row | more


def test_objects_of_a_test_run_have_the_colour_of_their_match() -> None:
    drawn = draw_row(grey(), matched_row(), NAMES)
    assert tuple(drawn[184, 150]) == matches.TRUE_POSITIVE
    assert tuple(drawn[380, 150]) == matches.FALSE_POSITIVE
    assert tuple(drawn[180, 301]) == matches.MISSED
    assert not changed(grey(), drawn)[300:380, 400:480].any(), "below the operating point"


def test_kinds_of_matches_differ_in_their_lines() -> None:
    """In grey, too: solid, a filled corner, dashed, dotted."""
    ignored = {"kind": "IGNORED", "true_index": 2, "predicted_index": None, "overlap": None}
    row = matched_row()
    row["true_boxes"].append({"class_id": 1, "x1": 300, "y1": 220, "x2": 380, "y2": 290})
    row["matches"].append(ignored)
    drawn = draw_row(grey(), row, NAMES)

    def share(line: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
        return float((line == colour).all(axis=1).mean())

    assert share(drawn[184, 104:184], matches.TRUE_POSITIVE) == 1
    assert 0.4 < share(drawn[101:179, 100], matches.TRUE_POSITIVE) < 0.7  # its ground truth
    assert share(drawn[380, 100:180], matches.FALSE_POSITIVE) == 1
    assert 0.4 < share(drawn[180, 300:380], matches.MISSED) < 0.7
    assert 0.2 < share(drawn[290, 300:380], matches.IGNORED) < 0.45
    corner = drawn[303:306, 172:177].reshape(-1, 3)
    assert share(corner, matches.FALSE_POSITIVE) == 1
    assert share(drawn[303:306, 103:110].reshape(-1, 3), matches.FALSE_POSITIVE) < 0.1
    assert tuple(drawn[340, 99]) < (GREY, GREY, GREY)  # a casing around every line


def test_masks_of_a_test_run_are_filled_by_their_match() -> None:
    masks = {
        "true_masks": [mask_of(400, 500, np.s_[100:180, 100:180]),
                       mask_of(400, 500, np.s_[100:180, 300:380])],
        "predicted_masks": [mask_of(400, 500, np.s_[104:184, 104:184]),
                            mask_of(400, 500, np.s_[300:380, 100:180]),
                            mask_of(400, 500, np.s_[300:380, 400:480])],
    }  # fmt: skip
    drawn = draw_row(grey(), matched_row(**masks), NAMES).astype(int)
    for (y, x), colour in (
        ((150, 150), matches.TRUE_POSITIVE),
        ((340, 140), matches.FALSE_POSITIVE),
        ((140, 340), matches.MISSED),
    ):
        mixed = [round(GREY * 0.55 + part * 0.45) for part in colour]
        assert np.abs(drawn[y, x] - mixed).max() <= 1
