"""Reading one image: whole, regular, unchanged, inside the dataset; or a typed error."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.images.decode import MAX_BYTES
from snellen.pipelines.data.image_reader import ImageAccess, ImageFile, read_image

DATA = b"some bytes"
_NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.png").write_bytes(DATA)
    return folder


def read(path: Path | str, root: Path, **options: Any) -> bytes:
    file = {
        key: options.pop(key)
        for key in ("size", "mtime_ns", "member", "content_hash")
        if key in options
    }
    return read_image(ImageFile(str(path), **file), ImageAccess(root, **options))


def code(path: Path | str, root: Path, **options: Any) -> ErrorCode:
    with pytest.raises(ImageError) as caught:
        read(path, root, **options)
    assert caught.value.stage is ErrorStage.READ
    assert str(root) not in caught.value.message
    return caught.value.code


def test_the_bytes_of_an_unchanged_file(root: Path) -> None:
    stat = (root / "a.png").stat()
    assert read(root / "a.png", root, size=stat.st_size, mtime_ns=stat.st_mtime_ns) == DATA
    assert read(root / "a.png", root) == DATA


def test_an_empty_file(root: Path) -> None:
    (root / "e.png").touch()
    assert code(root / "e.png", root) is ErrorCode.EMPTY


def test_a_file_over_the_limit_is_not_read(root: Path) -> None:
    with open(root / "big.png", "wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert code(root / "big.png", root) is ErrorCode.BYTE_LIMIT
    with open(root / "big.png", "wb") as file:
        file.truncate(MAX_BYTES)
    assert len(read(root / "big.png", root)) == MAX_BYTES


def test_the_limit_can_be_set(root: Path) -> None:
    assert read(root / "a.png", root, max_bytes=len(DATA)) == DATA
    assert code(root / "a.png", root, max_bytes=len(DATA) - 1) is ErrorCode.BYTE_LIMIT


def test_with_a_known_hash_a_copied_file_is_unchanged(root: Path) -> None:
    """Its time differs, but not its bytes."""
    stat = (root / "a.png").stat()
    known = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns - 1}
    assert code(root / "a.png", root, **known) is ErrorCode.CHANGED
    digest = hashlib.sha256(DATA).hexdigest()
    assert read(root / "a.png", root, content_hash=digest, **known) == DATA


def test_a_known_hash_finds_other_bytes_of_the_same_size_and_time(root: Path) -> None:
    stat = (root / "a.png").stat()
    (root / "a.png").write_bytes(DATA[::-1])
    os.utime(root / "a.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    known = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    assert read(root / "a.png", root, **known) == DATA[::-1]
    digest = hashlib.sha256(DATA).hexdigest()
    assert code(root / "a.png", root, content_hash=digest, **known) is ErrorCode.CHANGED
    assert code(root / "a.png", root, content_hash=digest, size=3) is ErrorCode.CHANGED


def test_a_file_that_vanished(root: Path) -> None:
    assert code(root / "gone.png", root) is ErrorCode.NOT_FOUND
    assert code(root / "nowhere" / "gone.png", root) is ErrorCode.NOT_FOUND


def test_a_file_that_changed_in_size_or_in_time(root: Path) -> None:
    file = root / "a.png"
    stat = file.stat()
    assert code(file, root, size=len(DATA) + 1) is ErrorCode.CHANGED
    assert code(file, root, size=0) is ErrorCode.CHANGED
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    known = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    assert code(file, root, **known) is ErrorCode.CHANGED


def test_a_file_emptied_since_is_changed_and_not_just_empty(root: Path) -> None:
    (root / "a.png").write_bytes(b"")
    assert code(root / "a.png", root, size=len(DATA)) is ErrorCode.CHANGED


def test_a_fifo_does_not_hang(root: Path) -> None:
    os.mkfifo(root / "f.png")
    began = time.monotonic()
    assert code(root / "f.png", root) is ErrorCode.IO
    assert time.monotonic() - began < 1


def test_folders_devices_and_nul_are_io_errors(root: Path) -> None:
    (root / "folder.png").mkdir()
    assert code(root / "folder.png", root) is ErrorCode.IO
    assert code(root / "a\0b.png", root) is ErrorCode.IO
    assert code("/dev/null", root) is ErrorCode.IO
    (root / "loop.png").symlink_to(root / "loop.png")
    assert code(root / "loop.png", root, follow_links=True) is ErrorCode.IO


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up the rights of root, who reads whatever the permissions say."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_file_without_permission() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, file = Path(folder), Path(folder) / "a.png"
        root.chmod(0o755)  # everybody may look into it, unlike the folders of pytest
        file.write_bytes(DATA)
        file.chmod(0o644)
        with as_nobody():
            assert read(file, root) == DATA
        file.chmod(0)
        with as_nobody():
            assert code(file, root) is ErrorCode.IO


def test_a_link_out_of_the_dataset(root: Path) -> None:
    outside = root.parent / "secret.png"
    outside.write_bytes(b"secret")
    (root / "link.png").symlink_to(outside)
    (root / "folder").symlink_to(root.parent)
    (root / "chain.png").symlink_to(root / "link.png")
    for name in ("link.png", "folder/secret.png", "chain.png"):
        assert code(root / name, root) is ErrorCode.PATH_ESCAPE
        assert read(root / name, root, follow_links=True) == b"secret"


def test_a_link_inside_of_the_dataset_is_fine(root: Path) -> None:
    (root / "link.png").symlink_to(root / "a.png")
    assert read(root / "link.png", root) == DATA


def test_dots_do_not_lead_out_even_where_links_may(root: Path) -> None:
    (root.parent / "secret.png").write_bytes(b"secret")
    for follow in (False, True):
        escape = f"{root}/../secret.png"
        assert code(escape, root, follow_links=follow) is ErrorCode.PATH_ESCAPE
    assert read(f"{root}/sub/../a.png", root) == DATA


def test_a_folder_with_a_similar_name_is_outside(root: Path) -> None:
    other = root.parent / "data-2"
    other.mkdir()
    (other / "x.png").write_bytes(b"x")
    (root / "link.png").symlink_to(other / "x.png")
    assert code(root / "link.png", root) is ErrorCode.PATH_ESCAPE


def test_the_root_itself_may_be_a_link(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    assert read(link / "a.png", link) == DATA


def test_an_absolute_path_that_a_manifest_names_outright(root: Path) -> None:
    outside = root.parent / "elsewhere.png"
    outside.write_bytes(b"x")
    assert read(outside, root) == b"x"
