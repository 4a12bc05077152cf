"""ZIP archives of images: extracted under generated names, or rejected as a whole."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snellen.serve.api.problems import Problem
from snellen.serve.api.uploads.archives import extract_images, is_archive
from snellen.serve.config import LimitsConfig
from tests.serve.conftest import picture

Fill = Callable[[zipfile.ZipFile], Any]
LIMITS = LimitsConfig(max_batch_images=5, max_unpacked_bytes=1_000_000)


def archive(place: Path, fill: Fill) -> Path:
    path = place / "upload"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        warnings.simplefilter("ignore")  # duplicate names
        fill(opened)
    return path


def extracted(place: Path, fill: Fill, limits: LimitsConfig = LIMITS) -> Any:
    path = archive(place, fill)
    folder = place / "out"
    folder.mkdir()
    return extract_images(path, folder, limits)


def test_images_at_any_depth_are_extracted_and_the_rest_is_counted(tmp_path: Path) -> None:
    data = picture()

    def fill(opened: zipfile.ZipFile) -> None:
        opened.writestr("top.png", data)
        opened.mkdir("empty")
        opened.writestr("a/b/one.png", data)
        opened.writestr("a\\two.png", b"not an image")
        opened.writestr("__MACOSX/a/._one.png", b"x")
        opened.writestr("a/.DS_Store", b"x")
        opened.writestr("Thumbs.db", b"x")

    found = extracted(tmp_path, fill)
    assert [one.name for one in found.files] == ["top.png", "a/b/one.png", "a/two.png"]
    assert [one.path.name for one in found.files] == ["000000", "000001", "000002"]
    assert found.files[1].path.read_bytes() == data
    assert found.passed_over == {"system": 2, "hidden": 1}
    assert is_archive(tmp_path / "upload")
    (tmp_path / "image").write_bytes(data)
    assert not is_archive(tmp_path / "image")


def link(opened: zipfile.ZipFile) -> None:
    member = zipfile.ZipInfo("link.png")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    opened.writestr(member, "/etc/passwd")


def fifo(opened: zipfile.ZipFile) -> None:
    member = zipfile.ZipInfo("pipe.png")
    member.external_attr = (stat.S_IFIFO | 0o777) << 16
    opened.writestr(member, "")


def nested(name: str) -> Fill:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as opened:
        opened.writestr("a.png", b"x")
    return lambda opened: opened.writestr(name, inner.getvalue())


@pytest.mark.parametrize(
    ("fill", "code"),
    [
        (lambda z: z.writestr("../out.png", b"x"), "ARCHIVE_PATH"),
        (lambda z: z.writestr("a/../../out.png", b"x"), "ARCHIVE_PATH"),
        (lambda z: z.writestr("..\\out.png", b"x"), "ARCHIVE_PATH"),
        (lambda z: z.writestr("/etc/out.png", b"x"), "ARCHIVE_PATH"),
        (lambda z: z.writestr("C:\\out.png", b"x"), "ARCHIVE_PATH"),
        (link, "ARCHIVE_LINK"),
        (fifo, "ARCHIVE_LINK"),
        (nested("inner.zip"), "ARCHIVE_NESTED"),
        (nested("inner.png"), "ARCHIVE_NESTED"),
        (lambda z: z.writestr("data.tar.gz", b"x"), "ARCHIVE_NESTED"),
        (lambda z: [z.writestr("a.png", b"x") for _ in range(2)], "ARCHIVE_DUPLICATE"),
        (lambda z: [z.writestr(f"{n}.png", b"x") for n in range(6)], "BATCH_IMAGES"),
        (lambda z: [z.mkdir(f"{n}") for n in range(11)], "BATCH_IMAGES"),
        (lambda z: z.writestr("bomb.png", bytes(1_000_001)), "ARCHIVE_SIZE"),
        (lambda z: [z.writestr(f"{n}.png", bytes(400_000)) for n in range(3)], "ARCHIVE_SIZE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_archives_are_rejected(fill: Fill, code: str, tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        extracted(tmp_path, fill)
    assert (caught.value.status, caught.value.code) == (422, code)
    assert not (tmp_path / "out.png").exists()


def test_a_bomb_whose_directory_lies_about_its_size_is_stopped(tmp_path: Path) -> None:
    path = archive(tmp_path, lambda z: z.writestr("bomb.png", bytes(50_000_000)))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.rfind(signature) + offset
        data[at : at + 4] = struct.pack("<L", 1000)
    path.write_bytes(data)
    (tmp_path / "out").mkdir()
    with pytest.raises(Problem) as caught:
        extract_images(path, tmp_path / "out", LIMITS)
    assert caught.value.code in {"ARCHIVE_SIZE", "ARCHIVE_INVALID"}
    assert sum(one.stat().st_size for one in (tmp_path / "out").iterdir()) <= 2_000_000


def test_a_limit_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        extracted(tmp_path, lambda z: z.writestr("bomb.png", bytes(1_000_001)))
    expected = "The ZIP archive has more than 1000000 bytes unpacked (limits.max_unpacked_bytes)."
    assert caught.value.detail == expected


def test_an_encrypted_archive_is_rejected(tmp_path: Path) -> None:
    path = archive(tmp_path, lambda z: z.writestr("a.png", b"x"))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        data[data.rfind(signature) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(Problem) as caught:
        extract_images(path, tmp_path, LIMITS)
    assert caught.value.code == "ARCHIVE_ENCRYPTED"


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_damaged_archive_is_rejected(keep: float, tmp_path: Path) -> None:
    path = archive(tmp_path, lambda z: z.writestr("a.png", picture()))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(Problem) as caught:
        extract_images(path, tmp_path, LIMITS)
    assert caught.value.code == "ARCHIVE_INVALID"


def test_content_that_does_not_match_its_checksum_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("a.png", b"0123456789" * 100)
    path.write_bytes(path.read_bytes().replace(b"0123456789", b"0123456788", 1))
    (tmp_path / "out").mkdir()
    with pytest.raises(Problem) as caught:
        extract_images(path, tmp_path / "out", LIMITS)
    assert caught.value.code == "ARCHIVE_INVALID"


def test_a_directory_of_another_size_in_a_zip64_record_is_rejected(tmp_path: Path) -> None:
    path = archive(tmp_path, lambda z: z.writestr("a.png", b"x"))
    data = path.read_bytes()
    at = data.rfind(b"PK\x05\x06")
    path.write_bytes(data[:at] + b"PK\x06\x07" + bytes(16) + data[at:])
    with pytest.raises(Problem) as caught:
        extract_images(path, tmp_path, LIMITS)
    assert caught.value.code == "ARCHIVE_INVALID"
