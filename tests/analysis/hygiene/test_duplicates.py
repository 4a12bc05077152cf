"""Duplicates that were planted in a set of photographs are found, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from skimage import data

from snellen.adapters.errors import ConfigError, InputError
from snellen.analysis.hygiene.duplicates import Duplicates, find_duplicates
from snellen.analysis.hygiene.image_set import dataset_images, folder_images, training_images
from snellen.analysis.hygiene.run_images import images_of_run
from snellen.pipelines.progress import Reporter
from tests.analysis.detected import Detected

PARTS = 4


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen different parts of a photograph, in folders by class."""
    folder = tmp_path_factory.mktemp("photographs")
    picture = Image.fromarray(data.astronaut())
    side = picture.width // PARTS
    for number in range(PARTS**2):
        left, top = number % PARTS * side, number // PARTS * side
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        picture.crop((left, top, left + side, top + side)).resize((192, 192)).save(path)
    return folder


def copied(photographs: Path, tmp_path: Path) -> Path:
    shutil.copytree(photographs, tmp_path / "set")
    return tmp_path / "set"


def search(folder: Path, against: Path | None = None, **options: Any) -> Duplicates:
    others = None if against is None else training_images(str(against))
    return find_duplicates(dataset_images(str(folder)), others, Reporter(), **options)


def ids(found: Duplicates) -> list[list[str]]:
    return [[member.image_id for member in group.members] for group in found.groups]


def test_different_photographs_are_no_duplicates(photographs: Path) -> None:
    found = search(photographs)
    assert (found.images, found.groups, found.unreadable) == (16, [], [])


def test_equal_files_are_exact_copies(photographs: Path, tmp_path: Path) -> None:
    folder = copied(photographs, tmp_path)
    shutil.copy(folder / "a" / "2.png", folder / "b" / "copy.png")
    for exact in (False, True):
        found = search(folder, exact=exact)
        assert ids(found) == [["a/2.png", "b/copy.png"]]
        assert (found.groups[0].kind, found.groups[0].conflicting) == ("exact", True)
        assert not found.groups[0].leaked


@pytest.mark.parametrize("change", ["jpeg", "smaller", "larger", "brighter"])
def test_changed_copies_are_near_duplicates(change: str, photographs: Path, tmp_path: Path) -> None:
    folder = copied(photographs, tmp_path)
    planted = []
    for name in ("a/0.png", "b/7.png", "a/14.png"):
        path = folder / name
        copy = path.with_name(f"{path.stem}x.jpg" if change == "jpeg" else f"{path.stem}x.png")
        with Image.open(path) as picture:
            if change == "jpeg":
                picture.save(copy, quality=60)
            elif change == "brighter":
                ImageEnhance.Brightness(picture).enhance(1.03).save(copy)
            else:
                side = 96 if change == "smaller" else 300
                picture.resize((side, side)).save(copy)
        planted.append(sorted([name, copy.relative_to(folder).as_posix()]))
    found = search(folder)
    assert sorted(sorted(group) for group in ids(found)) == sorted(planted)
    assert {group.kind for group in found.groups} == {"near"}
    assert search(folder, exact=True).groups == []


def test_images_of_the_training_set_are_leaks(photographs: Path, tmp_path: Path) -> None:
    training = tmp_path / "train" / "deep"
    training.mkdir(parents=True)
    shutil.copy(photographs / "a" / "4.png", training / "same.png")
    with Image.open(photographs / "b" / "5.png") as picture:
        picture.resize((120, 120)).save(training / "small.jpg", quality=80)
    Image.fromarray(data.rocket()).save(training / "other.png")
    shutil.copy(training / "other.png", training / "twice.png")
    found = search(photographs, training)
    assert ids(found) == [["a/4.png", "same.png"], ["b/5.png", "small.jpg"]]
    assert [group.kind for group in found.groups] == ["exact", "near"]
    assert all(group.leaked for group in found.groups)
    document = found.to_json()
    assert (document["leaked_images"], document["against_images"]) == (2, 4)
    assert document["groups"][0]["images"][1] == {
        "set": "against", "image_id": "same.png", "label": None,
    }  # fmt: skip


def test_the_files_of_the_set_itself_are_no_leaks(photographs: Path) -> None:
    found = search(photographs, photographs)
    assert (found.against, found.groups) == (0, [])


def test_plain_images_of_other_colours_are_different(tmp_path: Path) -> None:
    """Their perceptual hashes are equal."""
    for number, colour in enumerate([(0, 0, 0), (90, 90, 90), (200, 30, 30), (30, 200, 30)]):
        Image.fromarray(np.full((64, 64, 3), colour, np.uint8)).save(tmp_path / f"{number}.png")
    found = find_duplicates(folder_images(str(tmp_path)), None, Reporter())
    assert found.groups == []


def test_an_unreadable_image_is_named(photographs: Path, tmp_path: Path) -> None:
    folder = copied(photographs, tmp_path)
    (folder / "a" / "broken.png").write_bytes(b"no image")
    found = search(folder)
    assert found.unreadable == ["a/broken.png"]


def test_the_images_of_a_run_are_searched(detected: Detected) -> None:
    found = find_duplicates(images_of_run(detected.db, detected.run), None, Reporter(), exact=True)
    assert ids(found) == [[f"{number}.png" for number in range(4)]]  # all are the same grey
    assert not found.groups[0].conflicting


def test_near_duplicates_need_the_library(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("snellen.analysis.hygiene.signatures.import_module", missing)
    with pytest.raises(ConfigError, match=r"pip install 'snellen\[hygiene\]'"):
        search(photographs)
    assert search(photographs, exact=True).groups == []


def test_a_broken_dataset_file_is_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("names: [a]\nval: nowhere\n")
    with pytest.raises((ConfigError, InputError), match=r"data\.yaml|nowhere"):
        dataset_images(str(tmp_path / "data.yaml"))
