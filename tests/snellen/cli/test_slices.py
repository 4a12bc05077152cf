"""``snellen slices`` without a column: weak slices, and the images of each of them."""

from __future__ import annotations

import shlex

import pytest

from tests.pipelines.making import write_image
from tests.snellen.command_line import Cli


@pytest.fixture
def measured(cli: Cli) -> Cli:
    """A run whose classifier fails on the brighter half of its images."""
    data = cli.place / "data"
    for name in ("0", "1", "2"):
        for number in range(60):
            # The pixel adapter is most confident of class k at a grey of 126 - 10 k.
            grey = 126 - 10 * int(name) if number % 2 else 200 + number % 40
            write_image(data / name / f"more-{number:02}.png", grey)
    cli.json("eval", cli.config(name="first"))
    return cli


def test_a_weak_slice_is_found_and_its_filter_lists_its_images(measured: Cli) -> None:
    found = measured.json("slices", "1")
    assert found["images"] > 180
    assert "brightness" in found["measures"]
    first = found["slices"][0]
    assert first["q"] < 0.001
    assert first["error"] > first["rest"]
    assert any(text.startswith("brightness") for text in first["where"])
    for one in found["slices"]:
        words = shlex.split(one["command"])[1:]
        assert measured.json(*words)["total"] == one["images"]
    _, out, _ = measured("slices", "1")
    assert "weak slices" in out
    assert first["command"] in " ".join(out.split())


def test_slices_of_a_comparison_list_their_images(measured: Cli) -> None:
    measured.json("eval", measured.config(name="second", model={"class_names": ["0", "2", "1"]}))
    found = measured.json("compare", "1", "2", "-o", "lists")
    assert found["found_slices"]
    for one in found["found_slices"]:
        words = shlex.split(one["command"])[1:]
        assert measured.json(*words)["total"] == one["images"]


def test_options_that_do_not_fit_are_rejected(measured: Cli) -> None:
    for words in (("--edges", "1,2"), ("--by", "image_size", "--min-share", "0.1")):
        assert measured.json("slices", "1", *words, code=2)["error"]["code"] == "USAGE"
    error = measured.json("images", "1", "--where", "bright<0.1", code=2)["error"]
    assert error["code"] == "CONDITION"
    assert "brightness" in error["message"]
