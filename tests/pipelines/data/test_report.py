"""The dataset report: what was found, used, passed over, ignored and repaired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.report import EXAMPLES, DatasetReport, PassedOver, unread_images
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.storage.remote_path import Place
from tests.pipelines.making import grey_folder, write_image
from tests.pipelines.place import Place as RunPlace


def report_of(path: Path, exclude: frozenset[str] = frozenset(), **options: Any) -> dict[str, Any]:
    source = open_source(DatasetConfig(path=str(path), **options))
    target = path.parent / "manifest.parquet"
    return write_manifest(source, source.describe(), target, exclude=exclude).report


def adds_up(report: dict[str, Any]) -> bool:
    passed = sum(one["count"] for one in report["passed_over"].values())
    used: int = report["annotations"]["used"]
    return bool(
        report["found"] == report["used"] + passed and used == sum(report["classes"].values())
    )


class Objects(Source):
    """One image per list of (class id, crowd) pairs; None for a label that cannot be used."""

    def __init__(self, images: Sequence[Sequence[tuple[int, bool]] | None]) -> None:
        super().__init__(DatasetConfig(path="made up"))
        self._images = images

    @classmethod
    def recognises(cls, path: Place) -> bool:
        return False

    def describe(self) -> DatasetInfo:
        return DatasetInfo(Path("/data"), None, ("a", "b"), warnings=("a doubt",))

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        n = len(self._images)
        boxes = [
            None
            if found is None
            else [{"class_id": c, "is_crowd": crowd, "ignore": False} for c, crowd in found]
            for found in self._images
        ]
        self.report.ignore("duplicate_line", 3)
        yield {
            "image_id": [str(i) for i in range(n)],
            "location": [f"/data/{i}" for i in range(n)],
            "size": [10] * n,
            "label_width": [100 + i for i in range(n)],
            "label_height": [50] * n,
            "true_boxes": boxes,
            "label_error": ["LABEL_INVALID: x: y" if one is None else None for one in boxes],
        }


def objects_report(
    path: Path, *images: Sequence[tuple[int, bool]] | None, exclude: frozenset[str] = frozenset()
) -> dict[str, Any]:
    source = Objects(images)
    return write_manifest(source, source.describe(), path / "m.parquet", exclude=exclude).report


def test_every_file_of_a_folder_is_used_or_passed_over_with_its_name(tmp_path: Path) -> None:
    root = grey_folder(tmp_path / "data", ("a", "b"), 3)
    (root / "a" / ".hidden.png").write_bytes(b"x")
    (root / "a" / "notes.txt").write_text("x")
    (root / "a" / "unknown.xyz").write_text("x")
    (root / "b" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (root / "b" / "more").symlink_to(root / "a")
    write_image(root / "b" / "no_suffix")
    write_image(root / "stray.png")
    report = report_of(root)
    assert {reason: found["examples"] for reason, found in report["passed_over"].items()} == {
        "hidden": ["a/.hidden.png"],
        "linked": ["b/more"],
        "no_label": ["stray.png"],
        "not_an_image": ["a/notes.txt", "a/unknown.xyz"],
        "unsupported_format": ["b/photo.heic"],
    }
    assert (report["found"], report["used"], report["classes"]) == (13, 7, {"a": 3, "b": 4})
    assert adds_up(report)
    assert [warning.split(" (")[0] for warning in sorted(report["warnings"])] == [
        "1 file passed over: images of a format that is not supported",
        "1 file passed over: links to folders, which dataset.follow_links: true follows, or loops",
        "1 file passed over: without a label",
    ]


def test_following_links_finds_the_linked_images(tmp_path: Path) -> None:
    root = grey_folder(tmp_path / "data", ("a",), 2)
    (root / "a" / "more").symlink_to(grey_folder(tmp_path / "elsewhere", ("c",), 3))
    assert report_of(root, follow_links=True)["used"] == 5
    report = report_of(root)
    assert (report["used"], report["passed_over"]["linked"]["count"]) == (2, 1)


def test_excluded_and_limited_images_are_counted(tmp_path: Path) -> None:
    root = grey_folder(tmp_path / "data", ("a", "b"), 5)
    report = report_of(root, frozenset({"b"}), limit=2)
    assert {reason: found["count"] for reason, found in report["passed_over"].items()} == {
        "excluded_class": 5,
        "limit": 3,
    }
    assert (report["found"], report["used"], report["classes"]) == (10, 2, {"a": 2})
    assert report["warnings"] == []
    assert adds_up(report)


def test_objects_label_errors_and_sizes_are_counted(tmp_path: Path) -> None:
    report = objects_report(tmp_path, [(0, False), (1, True)], [], None, [(0, False)])
    assert report["annotations"] == {"used": 3, "ignored": {"duplicate_line": 3}, "repaired": {}}
    assert report["classes"] == {"a": 2, "b": 1}
    assert report["label_errors"] == {"LABEL_INVALID": {"count": 1, "examples": ["2"]}}
    assert report["sizes"] == {"bytes": 40, "width": [100, 103], "height": [50, 50]}
    assert report["warnings"] == [
        "1 image with labels that cannot be used: LABEL_INVALID (2)",
        "3 annotations ignored: duplicate line",
        "a doubt",
    ]
    assert adds_up(report)


def test_objects_of_an_excluded_class_are_ignored(tmp_path: Path) -> None:
    report = objects_report(tmp_path, [(0, False), (1, False)], exclude=frozenset({"b"}))
    assert report["annotations"]["ignored"] == {"duplicate_line": 3, "excluded_class": 1}
    assert report["classes"] == {"a": 1}
    assert adds_up(report)


def test_a_dataset_of_crowd_regions_only_is_said(tmp_path: Path) -> None:
    (warning,) = (
        text
        for text in objects_report(tmp_path, [(0, True)], [(1, True)])["warnings"]
        if "crowd" in text
    )
    assert "all 2 objects" in warning
    assert "no metric is defined" in warning


def test_strict_makes_a_warning_an_error(tmp_path: Path) -> None:
    root = grey_folder(tmp_path / "data", ("a",), 2)
    (root / "a" / "notes.txt").write_text("no warning")
    assert report_of(root, strict=True)["used"] == 2
    (root / "a" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(InputError, match=r"dataset.strict: the dataset has 1 warning: 1 file") as e:
        report_of(root, strict=True)
    assert e.value.code == "DATASET_STRICT"


def test_an_empty_dataset_says_what_was_passed_over(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(InputError, match=r"no images. Expected at least one. 1 file passed over"):
        report_of(tmp_path / "data")


@given(
    st.lists(
        st.tuples(st.sampled_from(PassedOver), st.text(max_size=3), st.integers(1, 9)), max_size=20
    )
)
def test_examples_are_few_and_counts_add_up(found: list[tuple[PassedOver, str, int]]) -> None:
    report = DatasetReport()
    for reason, name, count in found:
        report.pass_over(reason, name, count=count)
    document = report.to_json()
    assert document["found"] == sum(count for _, _, count in found)
    assert all(len(one["examples"]) <= EXAMPLES for one in document["passed_over"].values())
    unread = {PassedOver.UNSUPPORTED_FORMAT, PassedOver.UNREADABLE}
    assert unread_images(document) == sum(count for reason, _, count in found if reason in unread)


def test_a_run_stores_the_report_and_unread_images_lower_the_coverage(tmp_path: Path) -> None:
    place = RunPlace(tmp_path)
    (place.data / "0" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (place.data / "0" / ".DS_Store").write_bytes(b"x")
    run = place.run()
    assert run.dataset_report is not None
    assert (run.dataset_report["found"], run.dataset_report["used"]) == (14, 12)
    assert run.total_images == 12
    assert run.metrics is not None
    assert run.metrics["coverage"] == pytest.approx(12 / 13)


def test_the_columns_of_a_table_are_named(tmp_path: Path) -> None:
    root = grey_folder(tmp_path / "data", ("a",), 2)
    (root / "list.csv").write_text("FilePath,Category,when\na/00.png,x,1\na/01.png,y,2\n")
    report = report_of(root / "list.csv")
    assert report["columns"] == {"path": "FilePath", "label": "Category"}
    assert report["class_order"] == "natural"
    assert "columns" not in report_of(root)
