"""``snellen images`` and ``snellen errors`` of a detector, at the operating point of the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from snellen.cli.main import run as command
from tests.analysis.conftest import detected
from tests.analysis.detected import Detected

__all__ = ["detected"]

Command = Callable[..., str]


@pytest.fixture
def cli(detected: Detected, capfd: pytest.CaptureFixture[str]) -> Command:
    def run(*words: str) -> str:
        capfd.readouterr()
        assert command([*words, "--database", detected.url]) == 0
        return " ".join(capfd.readouterr().out.split())

    return run


def document(cli: Command, *words: str) -> Any:
    return json.loads(cli(*words, "--json"))


def test_images_name_the_operating_point(cli: Command, detected: Detected) -> None:
    run, other = str(detected.run.id), str(detected.at(0.5, "metrics.operating_iou=0.6").id)
    assert "4 images: 1 correct, 3 incorrect, at confidence 0.25, IoU 0.5" in cli("images", run)
    assert "4 images: 1 correct, 3 incorrect, at confidence 0.5, IoU 0.6" in cli("images", other)
    listed = [document(cli, "images", one, "--correct")["images"] for one in (run, other)]
    assert [[row["image_id"] for row in rows] for rows in listed] == [["0.png"], ["1.png"]]


def test_predicted_is_a_class_at_the_operating_point(cli: Command, detected: Detected) -> None:
    run, other = str(detected.run.id), str(detected.at(0.5).id)
    assert document(cli, "images", run, "--predicted", "dog")["total"] == 4
    assert document(cli, "images", other, "--predicted", "dog")["total"] == 0
    assert document(cli, "images", other, "--class", "dog")["total"] == 2


CAT_AP = (67 + 34 * 3 / 4) / 101
"""One false positive before the third of three objects, at COCO's 101 recalls."""
DOG_AP = (34 + 33 / 2) / 101
"""Two false positives before the second of three objects; the third is missed."""


def buckets(document: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {one["bucket"]: (one["count"], one["images"]) for one in document["buckets"]}


def test_errors_are_counted_at_the_operating_point(cli: Command, detected: Detected) -> None:
    run = str(detected.run.id)
    found = document(cli, "errors", run)
    assert found["min_confidence"] == 0.25
    none = dict.fromkeys(("Cls", "Loc", "Both", "Dupe"), (0, 0))
    assert buckets(found) == none | {"Bkg": (3, 2), "Miss": (1, 1)}
    assert found["ap"] == pytest.approx((CAT_AP + DOG_AP) / 2)
    gains = {one["bucket"]: one["delta_ap"] for one in found["buckets"]}
    assert gains["Bkg"] == pytest.approx((1 + 67 / 101) / 2 - found["ap"])
    assert gains["Miss"] == pytest.approx((CAT_AP + (51 + 50 / 2) / 101) / 2 - found["ap"])
    assert gains["Loc"] == 0
    assert document(cli, "errors", run, "--min-confidence", "0.25") == found
    assert document(cli, "errors", run, "--bucket", "Bkg")["total"] == 3
    printed = cli("errors", run)
    assert "predictions with confidence >= 0.25; dAP" in printed
    higher = document(cli, "errors", str(detected.at(0.5).id))
    assert buckets(higher) == none | {"Bkg": (1, 1), "Miss": (3, 2)}


def test_all_counts_every_stored_prediction(cli: Command, detected: Detected) -> None:
    run = str(detected.run.id)
    found = document(cli, "errors", run, "--all")
    assert found["min_confidence"] == 0
    assert buckets(found)["Bkg"] == (6, 3)
    assert buckets(found)["Miss"] == (0, 0)
    assert detected.run.details is not None
    stored = detected.run.details["tide"]
    assert found["ap"] == stored["ap"]
    assert {one["bucket"]: one["delta_ap"] for one in found["buckets"]} == stored["delta_ap"]
    assert document(cli, "errors", run, "--bucket", "Bkg", "--all")["total"] == 6
    assert "all stored predictions; dAP" in cli("errors", run, "--all")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--all", "--min-confidence", "0.5"), "Expected one of them"),
        (("--all", "--true", "cat"), "a minimum confidence applies to buckets"),
    ],
)
def test_all_excludes_other_confidences(
    detected: Detected, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    asked = ["errors", str(detected.run.id), *words, "--database", detected.url, "--json"]
    assert command(asked) == 2
    assert message in json.loads(capfd.readouterr().out)["error"]["message"]
