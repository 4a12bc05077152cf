"""Files appear whole or not at all; a failed write names its cause."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from snellen.adapters.errors import InputError, RunError
from snellen.store.atomic_file import (
    TEMPORARY_PREFIX,
    atomic_file,
    output_error,
    output_errors,
    sweep_temporaries,
    write_atomically,
)


def test_a_file_appears_at_the_end_of_the_block(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    target.write_bytes(b"old")
    with atomic_file(target) as temporary:
        temporary.write_bytes(b"new")
        assert target.read_bytes() == b"old"
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".onnx")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "rows.parquet"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_file(target) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "nothing"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_created(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "c.bin", b"data")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"data"
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"'.*/file/c\.bin' cannot be written") as caught:
        write_atomically(tmp_path / "file" / "c.bin", b"data")
    assert caught.value.code == "OUTPUT_NOT_WRITABLE"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        *((number, "DISK_FULL") for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)),
        *((number, "OUTPUT_READONLY") for number in (errno.EROFS, errno.EACCES, errno.EPERM)),
        (errno.EIO, "OUTPUT_NOT_WRITABLE"),
        (None, "OUTPUT_NOT_WRITABLE"),
    ],
)
def test_every_failure_has_one_code(number: int | None, code: str) -> None:
    error = OSError(number, os.strerror(number)) if number else OSError("broken")
    assert output_error(error, Path("x")).code == code
    with (
        pytest.raises(InputError, match="'x' cannot be written") as caught,
        output_errors(Path("x"), InputError),
    ):
        raise error
    assert (caught.value.code, caught.value.__cause__) == (code, error)


def test_leftovers_of_killed_writers_are_swept(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / f"{TEMPORARY_PREFIX}1-x.jpg").touch()
    (tmp_path / "deep" / "x.jpg").touch()
    assert sweep_temporaries(tmp_path) == 1
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x.jpg"]
