"""The cache of pictures: made once, within its limit, and never a reason to fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snellen.serve.api.runs.picture_cache import PictureCache


def test_a_picture_is_made_once(tmp_path: Path) -> None:
    made: list[str] = []

    def make() -> bytes:
        made.append("x")
        return b"picture"

    for _ in range(2):  # another process finds it, too
        cache = PictureCache(tmp_path / "pictures", 1000)
        assert [cache.get("run", "one", make) for _ in range(3)] == [b"picture"] * 3
    assert made == ["x"]


def test_the_least_recently_used_pictures_go_first(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path, 1000)
    for number in range(10):
        cache.get("run", str(number), lambda: bytes(100))
    for age, path in enumerate(sorted(tmp_path.glob("*/*"))):
        os.utime(path, (age, age))
    cache.get("run", "0", lambda: b"made again")  # used now
    cache.get("run", "new", lambda: bytes(100))
    files = list(tmp_path.glob("*/*"))
    assert sum(path.stat().st_size for path in files) <= 800
    assert cache.get("run", "0", lambda: b"made again") == bytes(100)


def test_pictures_of_a_group_are_deleted_together(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path, 1000)
    for group in ("a", "b"):
        for key in ("one", "two"):
            cache.get(group, group + key, lambda: b"picture")
    cache.forget("a")
    cache.forget("never there")
    assert len(list(tmp_path.glob("*/*"))) == 2
    assert cache.get("b", "bone", lambda: b"made again") == b"picture"
    assert cache.get("a", "aone", lambda: b"made again") == b"made again"


def test_a_cache_that_cannot_be_written_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = PictureCache(tmp_path / "file" / "below", 1000)
    assert cache.get("run", "one", lambda: b"picture") == b"picture"
    nothing = PictureCache(tmp_path / "none", 0)
    assert nothing.get("run", "one", lambda: b"picture") == b"picture"
    assert not (tmp_path / "none").exists()
