"""Every file of a folder is an image, or is counted with the reason why it is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.data.listed import Listed
from tests.pipelines.making import grey_folder, write_image

HEIC = b"\0\0\0\x18ftypheic" + bytes(100)
Make = Callable[[Path], object]


def bytes_of(content: bytes, *names: str) -> Make:
    def make(root: Path) -> None:
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)

    return make


def images(*names: str) -> Make:
    def make(root: Path) -> None:
        for name in names:
            write_image(root / name)

    return make


def link(name: str, target: str) -> Make:
    def make(root: Path) -> None:
        (root / name).symlink_to(target)

    return make


CASES: dict[str, tuple[Make, int, dict[str, int]]] = {
    "N-no-suffix": (images("a/0001", "b/0002"), 2, {}),
    "N-unknown-suffix": (images("a/1.image", "a/2.jpg_large", "a/3.photo"), 3, {}),
    "N-suffix-of-another-image-format": (images("a/1.heic", "a/2.ico"), 2, {}),
    "N-upper-case-and-rare-suffixes": (images("a/1.JPG", "a/2.JPE", "a/3.jfif", "a/4.Tif"), 4, {}),
    "N-format-that-is-not-supported": (
        bytes_of(HEIC, "a/1.heic", "a/2"), 0, {"unsupported_format": 2},
    ),
    "N-no-images": (
        bytes_of(b"text", "a/Thumbs.db", "a/desktop.ini", "a/1.txt", "a/2"), 0, {"not_an_image": 4},
    ),
    "N-macos": (images("a/._x.jpg", "a/.DS_Store", "a/__MACOSX/1.png"), 0, {"hidden": 3}),
    "N-macos-class-folder": (images("__MACOSX/1.png", "a/1.png"), 1, {"hidden": 1}),
    "N-thumbnails-of-a-file-server": (images("a/@eaDir/1.png/thumb.jpg"), 0, {"hidden": 1}),
    "N-beside-the-class-folders": (images("1.png", "2"), 0, {"no_label": 2}),
    "N-link-to-a-file": (link("a/2.png", "00.png"), 1, {}),
    "N-link-to-itself": (link("a/2", "2"), 0, {"unreadable": 1}),
    "N-pipe": (lambda root: os.mkfifo(root / "a" / "pipe"), 0, {"not_an_image": 1}),
    "N-linked-class-folder": (link("c", "a"), 0, {"linked": 1}),
    "N-loop": (link("a/loop", ".."), 0, {"linked": 1}),
}  # fmt: skip


@pytest.mark.parametrize(("make", "more", "passed"), CASES.values(), ids=CASES)
def test_every_file_is_read_or_counted(
    tmp_path: Path, make: Make, more: int, passed: dict[str, int]
) -> None:
    root = grey_folder(tmp_path / "data", ("a", "b"), 2)
    make(root)
    found = Listed(root)
    assert found.info.classes == ("a", "b")
    assert found.report["used"] == 4 + more
    assert found.passed == passed


LINKS: dict[str, tuple[Make, int, dict[str, int]]] = {
    "N-linked-class-folder": (link("c", "../elsewhere/x"), 3, {}),
    "N-linked-folder-in-a-class": (link("a/more", "../../elsewhere"), 3, {}),
    "N-two-links-to-one-folder": (
        lambda root: [link(f"a/{name}", "../../elsewhere/x")(root) for name in "12"], 6, {},
    ),
    "N-loop-to-the-root": (link("a/loop", ".."), 0, {"linked": 1}),
    "N-loop-to-itself": (link("a/loop", "."), 0, {"linked": 1}),
    "N-link-to-itself": (link("a/2", "2"), 0, {"unreadable": 1}),
    "N-link-to-nothing": (link("a/2", "nowhere"), 0, {"unreadable": 1}),
}  # fmt: skip


@pytest.mark.parametrize(("make", "more", "passed"), LINKS.values(), ids=LINKS)
def test_links_are_followed_if_the_configuration_says_so(
    tmp_path: Path, make: Make, more: int, passed: dict[str, int]
) -> None:
    root = grey_folder(tmp_path / "data", ("a", "b"), 2)
    grey_folder(tmp_path / "elsewhere", ("x",), 3)
    make(root)
    found = Listed(root, follow_links=True)
    assert found.report["used"] == 4 + more
    assert found.passed == passed
    assert len(set(found.ids)) == 4 + more


def test_followed_links_give_the_images_of_timm(tmp_path: Path) -> None:
    reader = pytest.importorskip("timm.data.readers.reader_image_folder")
    root = grey_folder(tmp_path / "data", ("a", "b"), 2)
    grey_folder(tmp_path / "elsewhere", ("x",), 3)
    link("c", "../elsewhere/x")(root)
    images("a/1.JPG", "b/2.JpEg")(root)
    theirs, classes = reader.find_images_and_targets(str(root))
    found = Listed(root, follow_links=True)
    assert found.info.classes == tuple(classes)
    assert sorted(f"{root}/{name}" for name in found.ids) == sorted(path for path, _ in theirs)
    names = {index: name for name, index in classes.items()}
    assert found.labels == {path[len(f"{root}/") :]: names[index] for path, index in theirs}
