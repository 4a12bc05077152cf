"""Drawings of a run as files, and contact sheets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snellen.adapters.errors import InputError
from snellen.analysis.drawing import RunImages, draw_image
from snellen.analysis.picture_files import (
    Pictures,
    PictureTarget,
    caption,
    worst_images,
    write_pictures,
)
from snellen.analysis.reader import open_results
from snellen.pipelines.progress import Reporter
from snellen.pipelines.visualization.sheet import TILE, contact_sheet
from tests.analysis.detected import Detected


@pytest.fixture
def rows(detected: Detected) -> list[dict[str, Any]]:
    results = open_results(detected.db, detected.run)
    return results.page(results.lazy()).rows


def written(detected: Detected, rows: list[dict[str, Any]], target: PictureTarget) -> Pictures:
    images = RunImages(detected.db, detected.run)
    return write_pictures(images, rows, target, Reporter())


def test_each_file_is_the_drawing_of_its_image(
    detected: Detected, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    found = written(detected, rows, PictureTarget(tmp_path / "new"))
    assert [path.name for path in found.files] == [f"{n:06d}-{n}.jpg" for n in range(4)]
    assert (found.drawn, found.not_drawn) == (4, [])
    for number, path in enumerate(found.files):
        with Image.open(path) as picture:
            drawn = np.asarray(picture.convert("RGB")).astype(int)
        expected = draw_image(detected.db, detected.run, number)
        assert np.abs(drawn - expected).mean() < 3  # JPEG


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    made = Detected(tmp_path)
    results = open_results(made.db, made.run)
    rows = results.page(results.lazy()).rows
    (tmp_path / "data" / "images" / "1.png").unlink()
    found = written(made, rows, PictureTarget(tmp_path / "out"))
    assert [path.name for path in found.files] == ["000000-0.jpg", "000002-2.jpg", "000003-3.jpg"]
    assert found.not_drawn == [
        {
            "image_index": 1, "image_id": "1.png", "code": "NOT_FOUND",
            "message": "the file does not exist any more",
        }
    ]  # fmt: skip


def test_an_existing_file_is_kept(
    detected: Detected, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "000002-2.jpg").write_text("mine")
    with pytest.raises(InputError, match=r"000002-2\.jpg' exists"):
        written(detected, rows, PictureTarget(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["000002-2.jpg"]
    assert written(detected, rows, PictureTarget(tmp_path, overwrite=True)).drawn == 4


def test_the_worst_images_come_first(detected: Detected) -> None:
    run = detected.at(0.5)
    worst = worst_images(open_results(detected.db, run), run, 3)
    assert [row["image_index"] for row in worst] == [3, 0, 2]
    assert [row["fn"] for row in worst] == [2, 1, 0]


def test_sheets_hold_24_images_each(
    detected: Detected, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    found = written(detected, rows * 7, PictureTarget(tmp_path, sheet=True))
    assert [path.name for path in found.files] == ["sheet-01.jpg", "sheet-02.jpg"]
    assert found.drawn == 28
    sizes = []
    for path in found.files:
        with Image.open(path) as picture:
            sizes.append(picture.size)
    assert sizes == [(4 * 332 + 12, 6 * 354 + 12), (4 * 332 + 12, 354 + 12)]


def test_a_sheet_shows_each_picture_in_its_place() -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    tiles = [(np.full((200, TILE, 3), colour, np.uint8), "text") for colour in colours]
    sheet = contact_sheet(tiles, columns=2)
    middles = [(12 + TILE // 2, 12 + TILE // 2 + 332), (12 + 354 + TILE // 2,)]
    assert tuple(sheet[middles[0][0], middles[0][0]]) == colours[0]
    assert tuple(sheet[middles[0][0], middles[0][1]]) == colours[1]
    assert tuple(sheet[middles[1][0], middles[0][0]]) == colours[2]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"status": "failed", "error_code": "EMPTY"}, "EMPTY  a.png"),
        ({"tp": 1, "fp": 0, "fn": 2}, "TP 1  FP 0  FN 2  a.png"),
        (
            {"predicted_label": "cat", "confidence": 0.912, "true_label": "dog"},
            "cat 0.91, is dog  a.png",
        ),
        ({"predicted_label": "cat", "confidence": 0.912}, "cat 0.91  a.png"),
        ({}, "a.png"),
    ],
)
def test_captions(row: dict[str, Any], text: str) -> None:
    assert caption({"image_id": "a.png", **row}) == text
