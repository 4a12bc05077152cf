"""The record of the images that a run has read, and the images that it takes as unchanged."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.data.convert import convert_dataset
from snellen.pipelines.data.manifest_reader import ManifestReader
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from tests.pipelines.making import pixel_config, write_image
from tests.pipelines.place import Place


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_rows_hold_the_sha256_of_the_bytes_that_were_read(place: Place) -> None:
    (place.data / "0" / "00.png").write_bytes(b"")
    (place.data / "0" / "01.png").write_bytes(b"no image, but bytes")
    rows = place.rows(place.run())
    assert [row["error_code"] for row in rows[:3]] == ["EMPTY", "UNSUPPORTED", None]
    assert rows[0]["content_hash"] is None
    assert [row["content_hash"] for row in rows[1:]] == [
        digest(Path(row["image_path"])) for row in rows[1:]
    ]


def test_limits_of_the_configuration_hold(place: Place) -> None:
    size = (place.data / "0" / "00.png").stat().st_size
    write_image(place.data / "0" / "01.png", size=(7, 5))
    run = place.run(images={"max_pixels": 30, "max_bytes": size + 200})
    assert [row["error_code"] for row in place.rows(run) if row["error_code"]] == ["PIXEL_LIMIT"]
    run = place.run(images={"max_bytes": size + 200})
    assert run.failed_images == 0
    with (place.data / "0" / "00.png").open("ab") as file:
        file.write(bytes(201))
    (failed,) = (row for row in place.rows(place.run(images={"max_bytes": size + 200}))
                 if row["status"] == "failed")  # fmt: skip
    assert (failed["image_id"], failed["error_code"]) == ("0/00.png", "BYTE_LIMIT")
    assert "(images.max_bytes)" in failed["error_message"]


@pytest.fixture
def hashed(place: Place, tmp_path: Path) -> Path:
    target = tmp_path / "set.parquet"
    (place.data / "2" / "03.png").unlink()
    (place.data / "2" / "03.png").symlink_to("/etc/hostname")  # cannot be read: leads out
    convert_dataset(pixel_config(place.data), target, Reporter(), with_hashes=True)
    return target


def test_a_manifest_with_hashes_recognises_a_copy(
    place: Place, hashed: Path, tmp_path: Path
) -> None:
    table = ManifestReader(hashed).read(0, 12)
    assert table["content_hash"].to_pylist()[:11] == [
        digest(Path(path)) for path in table["location"].to_pylist()[:11]
    ]
    for path in place.data.rglob("*.png"):
        if not path.is_symlink():
            os.utime(path, ns=(1, 1))
    run = TestRunner(
        pixel_config(hashed, place.output, dataset={"root": str(place.data)}), database=place.url
    ).run_test()
    codes = [row["error_code"] for row in place.rows(run)]
    assert codes[:11] == [None] * 11
    shutil.copy(place.data / "0" / "01.png", place.data / "0" / "00.png")
    run = TestRunner(
        pixel_config(hashed, place.output, dataset={"root": str(place.data)}), database=place.url
    ).run_test()
    assert place.rows(run)[0]["error_code"] == "CHANGED"


def test_a_csv_may_name_the_hashes(place: Place, tmp_path: Path) -> None:
    names = ["0/00.png", "1/01.png", "2/00.png"]
    hashes = [digest(place.data / names[0]).upper(), "", digest(place.data / "2" / "01.png")]
    lines = [f"{name},{name[0]},{value}" for name, value in zip(names, hashes, strict=True)]
    csv = place.data / "set.csv"
    csv.write_text("path,label,sha256\n" + "\n".join(lines) + "\n")
    rows = place.rows(TestRunner(pixel_config(csv, place.output), database=place.url).run_test())
    assert [row["error_code"] for row in rows] == [None, None, "CHANGED"]
    csv.write_text("path,label,content_hash\n0/00.png,0,abc\n1/00.png,1,\n2/00.png,2,\n")
    with pytest.raises(InputError, match="Expected the sha256 of the image file") as caught:
        TestRunner(pixel_config(csv, place.output), database=place.url).run_test()
    assert caught.value.code == "DATASET_COLUMNS"
