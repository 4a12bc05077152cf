"""Temporary folders: deleted at their end, and after a process that was killed by the next one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from snellen.adapters.runtime.temporary_folder import folder_of_process, temporary_folder

KILLED = """
import os, signal
from snellen.adapters.runtime.temporary_folder import temporary_folder
with temporary_folder("plan") as folder:
    (folder / "images.parquet").write_bytes(bytes(10))
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def test_a_folder_is_private_and_deleted_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), temporary_folder("plan") as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "images.parquet").write_bytes(b"")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_folders_of_killed_processes_are_deleted(tmp_path: Path) -> None:
    left = Path(run(KILLED))
    assert (left / "images.parquet").exists()
    foreign = ("snellen-plan", f"snellen-plan-{os.getpid()}", "snellen-plan-abcdef-1-x", "other")
    for name in foreign:
        (tmp_path / name).mkdir()
    (tmp_path / left.name.replace("plan", "http")).symlink_to(tmp_path / "other")
    with temporary_folder("sweep") as mine:
        with temporary_folder("plan"):
            assert mine.exists(), "that of a living process is kept"
        assert {path.name for path in tmp_path.iterdir()} >= {*foreign, mine.name}
        assert not left.exists()
    assert (tmp_path / "other").is_dir()


def test_the_folder_of_a_process_lasts_as_long_as_it(tmp_path: Path) -> None:
    code = "from snellen.adapters.runtime.temporary_folder import folder_of_process as of\n"
    code += "folder = of('ultralytics'); assert folder.is_dir(); print(folder)"
    made = Path(run(code))
    assert made.parent == tmp_path
    assert not made.exists()
    assert folder_of_process("ultralytics").is_dir()
