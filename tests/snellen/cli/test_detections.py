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
