"""The pictures of the web pages are those that their script takes, small enough for a README."""

from __future__ import annotations

from PIL import Image

from docs.images.make import FOLDER, MAX_BYTES, files


def test_the_pictures_are_those_of_the_script() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.*") if path.suffix != ".py") == files()


def test_pictures_are_small_and_alike() -> None:
    sizes = set()
    for name in files():
        path = FOLDER / name
        assert path.stat().st_size < MAX_BYTES, name
        with Image.open(path) as picture:
            assert picture.format == "WEBP"
            sizes.add(picture.size)
    assert len(sizes) == 1
