"""Run folders, and the lock that keeps two runs out of one output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.runs.run_folder import OutputLock, make_run_folder, output_root
from snellen.store.leases import owner_id


def test_run_folders_never_collide(tmp_path: Path) -> None:
    names = [make_run_folder(tmp_path, 7, "a b/ü").name for _ in range(3)]
    assert names == ["7-a-b", "7-a-b-2", "7-a-b-3"]
    assert make_run_folder(tmp_path, 8, "../..").name == "8-run"
    assert make_run_folder(tmp_path, 9, "x" * 500).name == "9-" + "x" * 60
    assert (tmp_path / "7-a-b" / "units").is_dir()


def test_the_root_is_made_and_must_be_writable(tmp_path: Path) -> None:
    root = output_root(str(tmp_path / "a" / "b"))
    assert root == tmp_path / "a" / "b"
    assert list(root.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"output\.dir: '.*file' cannot be written to") as caught:
        output_root(str(tmp_path / "file"))
    assert caught.value.code == "OUTPUT_NOT_WRITABLE"


def test_a_read_only_root_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        output_root("/proc/snellen")
    assert caught.value.code == "OUTPUT_NOT_WRITABLE"


def test_the_second_one_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    lock = OutputLock(tmp_path).acquire("run 'first'")
    with pytest.raises(InputError) as caught:
        OutputLock(tmp_path).acquire("run 'second'")
    assert caught.value.code == "OUTPUT_LOCKED"
    host = owner_id().split(":")[0]
    message = caught.value.message
    assert message.startswith(
        f"output.dir: '{tmp_path}' is in use by run 'first' (process {os.getpid()} on {host}, since"
    )
    assert message.endswith("Wait for it, or give this run another output.dir.")
    lock.release()
    OutputLock(tmp_path).acquire("run 'second'").release()


def test_of_twenty_threads_one_wins(tmp_path: Path) -> None:
    gate = threading.Barrier(20)

    def start(number: int) -> bool:
        gate.wait()
        try:
            OutputLock(tmp_path).acquire(f"run {number}")
        except InputError:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(start, range(20))) == 1


_CHILD = """
import os, sys, time
from pathlib import Path
from snellen.pipelines.runs.run_folder import OutputLock
from snellen.adapters.errors import InputError
root = Path(sys.argv[1])
(root / f"ready-{os.getpid()}").touch()
while not (root / "go").exists():
    time.sleep(0.002)
try:
    OutputLock(root / "out").acquire("a run")
    print("won", flush=True)
    time.sleep(60)
except InputError as error:
    print(error.code, flush=True)
"""


def test_of_eight_processes_one_wins_and_its_lock_dies_with_it(
    tmp_path: Path, importable: None
) -> None:
    (tmp_path / "out").mkdir()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    try:
        while len(list(tmp_path.glob("ready-*"))) < len(children):
            time.sleep(0.01)
        (tmp_path / "go").touch()
        answers = {child: (child.stdout or sys.stdin).readline().strip() for child in children}
        assert sorted(answers.values()) == ["OUTPUT_LOCKED"] * 7 + ["won"]
        (winner,) = (child for child, answer in answers.items() if answer == "won")
        with pytest.raises(InputError, match=f"process {winner.pid} on"):
            OutputLock(tmp_path / "out").acquire("another")
        winner.kill()
        winner.wait()
        OutputLock(tmp_path / "out").acquire("another").release()
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_a_silent_owner_on_another_host_loses_the_lock_after_a_minute(tmp_path: Path) -> None:
    file = tmp_path / ".snellen.lock"
    file.write_text(json.dumps({"owner": "elsewhere:1:1.00:2", "run": "run 'x'", "since": "then"}))
    with pytest.raises(InputError, match=r"process 1 on elsewhere, since then"):
        OutputLock(tmp_path).acquire("run 'y'")
    old = time.time() - 61
    os.utime(file, (old, old))
    lock = OutputLock(tmp_path).acquire("run 'y'")
    os.utime(file, (old, old))
    lock.touch()
    assert time.time() - file.stat().st_mtime < 5
    lock.release()


def test_a_lock_that_was_taken_over_is_not_removed_by_its_former_owner(tmp_path: Path) -> None:
    lock = OutputLock(tmp_path).acquire("run 'x'")
    file = tmp_path / ".snellen.lock"
    other = json.dumps({"owner": "elsewhere:1:1.00:2"})
    file.write_text(other)
    lock.release()
    assert file.read_text() == other


def test_a_lock_file_of_garbage_is_no_owner(tmp_path: Path) -> None:
    for text in ("", "{", "[]"):
        (tmp_path / ".snellen.lock").write_text(text)
        OutputLock(tmp_path).acquire("run").release()
