"""Order of class folders, and the class names of a timm run."""

from __future__ import annotations

import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest

from snellen.adapters.checkpoints.class_names import (
    ambiguous_names,
    find_class_names,
    natural_key,
)

TIMM_ORDER = """
import sys
from timm.data.readers.reader_image_folder import find_images_and_targets
print(list(find_images_and_targets(sys.argv[1])[1]))
"""


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "1.png").write_bytes(b"")
    return root


def timm_order(root: Path, seed: int) -> str:
    """The classes of timm's reader in a process with its own hash seed."""
    return subprocess.run(
        [sys.executable, "-c", TIMM_ORDER, str(root)],
        env={"PYTHONHASHSEED": str(seed), "PATH": ""}, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def test_the_order_is_timms_where_timm_has_one(tmp_path: Path) -> None:
    names = ("10", "2", "1", "b", "A", "a2", "a10", "é1", "x²", "n01440764")
    root = folders(tmp_path, *names)
    assert ambiguous_names(names) == ()
    reader = pytest.importorskip("timm.data.readers.reader_image_folder")
    assert list(reader.find_images_and_targets(str(root))[1]) == sorted(names, key=natural_key)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("a", "A", "b"), ["A", "a", "b"]),
        (("1", "01", "001", "2"), ["001", "01", "1", "2"]),
        (("²", "①", "1"), ["1", "²", "①"]),
        (("٣", "3"), ["3", "٣"]),
    ],
    ids=["M-case", "M-leading-zeros", "M-digits-that-int-rejects", "M-digits-of-another-script"],
)
def test_the_order_is_total(names: tuple[str, ...], expected: list[str]) -> None:
    for order in permutations(names):
        assert sorted(order, key=natural_key) == expected


@pytest.mark.slow
def test_names_that_timm_does_not_order(tmp_path: Path) -> None:
    root = folders(tmp_path, *(f"{letter}{n}" for n in range(4) for letter in "aA"))
    # timm's own order of them depends on the hash seed of the process.
    assert len({timm_order(root, seed) for seed in (1, 2)}) > 1
    assert ambiguous_names(["b", "a0", "A0", "A1"]) == ("A0", "a0")
    assert ambiguous_names(["a", "b", "1", "2"]) == ()


def test_the_folders_of_a_run_are_no_class_names_without_an_order(tmp_path: Path) -> None:
    run, data = tmp_path / "run", tmp_path / "data"
    run.mkdir()
    folders(data / "train", "A", "a", "b")
    names, source = find_class_names(run, {"data_dir": str(data)})
    assert names is None
    assert source is not None
    assert source.startswith("ignored class names: timm does not order the folders A and a of")
    (run / "class_names.txt").write_text("a\nA\nb\n")
    assert find_class_names(run, {"data_dir": str(data)}) == (("a", "A", "b"), "class_names.txt")


@pytest.mark.parametrize("above", range(4))
def test_a_relative_folder_is_looked_up_beside_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: int
) -> None:
    run = tmp_path / "work" / "output" / "train" / "20260101-resnet18"
    run.mkdir(parents=True)
    place = (run, *run.parents)[above]
    folders(place / "data" / "train", "cat", "dog")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    arguments = {"data_dir": "data"}
    expected = (("cat", "dog"), f"folders of {place / 'data' / 'train'}")
    assert find_class_names(run, arguments) == expected
    asked: list[Path] = []

    def readable(path: Path) -> bool:
        asked.append(path)
        return False

    names, _ = find_class_names(run, arguments, readable)
    assert names is None
    assert place / "data" in asked
    (place / "data" / "map.txt").write_text("dog\ncat\n")
    by_map = {**arguments, "class_map": "map.txt"}
    expected = (("dog", "cat"), f"class map {place / 'data' / 'map.txt'}")
    assert find_class_names(run, by_map) == expected


def test_a_relative_folder_that_is_nowhere_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "a" / "b" / "c" / "d" / "run"
    run.mkdir(parents=True)
    folders(tmp_path / "data", "cat", "dog")  # five folders above the run
    monkeypatch.chdir(run)
    names, source = find_class_names(run, {"data_dir": "data"})
    assert names is None
    assert (source or "").startswith("ignored data_dir 'data': it is relative, and neither")
    assert find_class_names(run, {"data_dir": "/nowhere"}) == (None, None)


def test_a_file_in_doubt_gives_no_names_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("a\n\nb\n")
    names, source = find_class_names(tmp_path, {})
    assert names is None
    assert "classes.txt': line 2 is blank" in (source or "")
