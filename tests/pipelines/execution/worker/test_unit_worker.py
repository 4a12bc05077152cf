"""A unit: every image becomes a row, batches are cut inside of it, and one bad image is alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.types import AdapterSpec
from snellen.pipelines.data.class_map import align_classes
from snellen.pipelines.data.manifest_reader import ManifestReader
from snellen.pipelines.execution.worker.preprocess import ImagePreparer
from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.execution.worker.unit_steps import (
    Precautions,
    infer_images,
    prepare_images,
    score_images,
    unit_table,
)
from snellen.pipelines.execution.worker.unit_worker import UnitWorker, worker_died
from snellen.pipelines.planning.units import Unit
from snellen.store.parquet.schema import RESULT_SCHEMA, SCHEMA_VERSION, VERSION_KEY
from tests.pipelines.making import TIMES, grey_folder, scoring_spec, write_image
from tests.pipelines.pixel_adapter import (
    NAME,
    RAISE,
    RAISE_IN_PREPROCESS,
    PixelAdapter,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return grey_folder(tmp_path / "data", ("0", "1"), 5)


WHOLE = Unit(0, 0, 10)
Scored = tuple[UnitOutcome, list[dict[str, Any]], list[int]]


def scored(spec: ScoringSpec, unit: Unit = WHOLE, **options: Any) -> Scored:
    """The outcome of a unit, its rows, and the sizes of the batches that the model saw."""
    adapter = PixelAdapter.from_spec(spec.adapter)
    outcome = UnitWorker(spec, adapter=adapter).score(unit, **options)
    record = outcome.record
    rows = pq.read_table(spec.results_dir / record.file).to_pylist() if record else []
    return outcome, rows, adapter.batches


def test_a_good_unit(tmp_path: Path, data: Path) -> None:
    spec = scoring_spec(data, tmp_path / "run", batch_size=4)
    outcome, rows, batches = scored(spec)
    record = outcome.result()
    assert (record.rows, record.failed, outcome.error) == (10, 0, None)
    assert (outcome.unit_id, record.unit_id, record.start, record.stop) == (0, 0, 0, 10)
    assert batches == [4, 4, 2]
    assert [row["image_index"] for row in rows] == list(range(10))
    assert [row["true_label"] for row in rows] == ["0"] * 5 + ["1"] * 5
    assert record.counts["labelled"] == 10
    assert record.counts["correct"] == sum(row["is_correct"] for row in rows)
    assert record.counts["loss"] == pytest.approx(sum(row["loss"] for row in rows))
    assert record.worker.endswith(f"/{os.getpid()}")
    assert set(record.timings) == {"load_s", "score_s", "write_s"}


def test_the_schema_is_exact_and_absent_values_are_null(tmp_path: Path, data: Path) -> None:
    write_image(data / "0" / "02.png", marker=RAISE_IN_PREPROCESS)
    spec = scoring_spec(data, tmp_path / "run")
    outcome, rows, _ = scored(spec)
    table = pq.read_table(spec.results_dir / outcome.result().file)
    assert table.schema.equals(RESULT_SCHEMA)
    assert (table.schema.metadata or {})[VERSION_KEY] == SCHEMA_VERSION.encode()
    for name in ("predicted_boxes", "true_masks", "matches", "tp", "iou", "predicted_mask_path"):
        assert table[name].null_count == 10
    good, bad = rows[0], rows[2]
    assert good["error_stage"] is good["error_code"] is good["error_message"] is None
    assert json.loads(good["extra_data"]).keys() == {"brightness"}
    for name in ("predicted_label", "confidence", "top5_predictions", "loss", "is_correct"):
        assert bad[name] is None
    assert (bad["true_label"], bad["status"]) == ("0", "failed")
    assert (good["width"], good["height"], good["image_name"]) == (6, 5, "00.png")
    assert good["image_path"] == str(data / "0" / "00.png")


def test_metadata_columns_reach_the_rows(tmp_path: Path, data: Path) -> None:
    table = pa.table(
        {
            "path": ["0/00.png", "1/01.png"],
            "label": ["0", "1"],
            "camera": [3, None],
            "x y": ["a", "b"],
        }
    )
    pq.write_table(table, data / "set.parquet")
    spec = scoring_spec(data / "set.parquet", tmp_path / "run")
    _, rows, _ = scored(spec, Unit(0, 0, 2))
    assert [row["meta_camera"] for row in rows] == [3, None]
    assert [row["meta_x y"] for row in rows] == ["a", "b"]


def broken_set(data: Path) -> dict[int, tuple[str, str]]:
    """Spoil images of the folder; give position -> expected stage and code."""
    folder = data / "0"
    (folder / "00.png").write_bytes(b"")
    (folder / "01.png").write_bytes(b"GIF? no, text")
    whole = (folder / "02.png").read_bytes()
    (folder / "02.png").write_bytes(whole[: len(whole) // 2])
    write_image(folder / "03.png", marker=RAISE_IN_PREPROCESS)
    write_image(data / "1" / "01.png", marker=RAISE)
    return {
        0: ("read", "EMPTY"),
        1: ("decode", "UNSUPPORTED"),
        2: ("decode", "TRUNCATED"),
        3: ("preprocess", "INTERNAL"),
        6: ("infer", "INTERNAL"),
    }


def test_bad_images_become_typed_rows_and_their_neighbours_are_scored(
    tmp_path: Path, data: Path
) -> None:
    clean = scored(scoring_spec(data, tmp_path / "clean"))[1]
    expected = broken_set(data)
    outcome, rows, _ = scored(scoring_spec(data, tmp_path / "run", batch_size=4))
    found = {
        row["image_index"]: (row["error_stage"], row["error_code"])
        for row in rows
        if row["status"] == "failed"
    }
    assert found == expected
    assert outcome.result().failed == 5
    for index in set(range(10)) - set(expected):
        for name in rows[index]:
            if name not in TIMES:
                assert rows[index][name] == clean[index][name]
    assert "ZeroDivisionError: in the model" in rows[6]["error_message"]


def test_batches_are_made_of_good_images_in_order(tmp_path: Path, data: Path) -> None:
    (data / "0" / "01.png").write_bytes(b"")
    (data / "1" / "04.png").write_bytes(b"")
    spec = scoring_spec(data, tmp_path / "run", batch_size=3)
    assert scored(spec)[2] == [3, 3, 2]
    assert scored(spec, batch_size=1)[2] == [1] * 8
    assert scored(spec, Unit(1, 1, 2))[2] == []
    assert scored(spec, Unit(2, 9, 10))[0].result().failed == 1


def test_both_layouts_cut_the_same_batches(tmp_path: Path, data: Path) -> None:
    broken_set(data)
    spec = scoring_spec(data, tmp_path / "run", batch_size=3)
    adapter = PixelAdapter.from_spec(spec.adapter)
    preparer = ImagePreparer(spec, adapter, reads_images=True)
    manifest = ManifestReader(spec.manifest).read(0, 10)
    streamed = score_images(manifest, preparer, adapter, 3, Precautions())
    cut, adapter.batches = adapter.batches, []
    staged = prepare_images(manifest, preparer)
    infer_images(staged, adapter, 3)
    assert adapter.batches == cut
    first, second = (unit_table(spec, WHOLE, manifest, images) for images in (streamed, staged))
    assert first.drop(TIMES).equals(second.drop(TIMES))


def test_a_model_that_fails_on_everything_stops_the_run(tmp_path: Path, data: Path) -> None:
    spec = scoring_spec(data, tmp_path / "run", options={"raise_always": True})
    outcome, rows, _ = scored(spec)
    assert rows == []
    assert outcome.error == (
        "MODEL_ERROR",
        "the model failed on every image of a batch: ZeroDivisionError: in the model",
    )


def test_labels_that_are_missing_or_out_of_range(tmp_path: Path, data: Path) -> None:
    files = [f"{c}/{n:02}.png" for c in "01" for n in range(5)][:5]
    labels = ["0", None, "7", "x", "1"]
    pq.write_table(pa.table({"path": files, "label": labels}), data / "set.parquet")
    spec = scoring_spec(
        data / "set.parquet",
        tmp_path / "run",
        class_map=align_classes(["0", "1", "7", "x"], ["a", "b", "c", "d"], "ids"),
    )
    outcome, rows, batches = scored(spec, Unit(0, 0, 5))
    assert [row["error_code"] for row in rows] == [
        None, "LABEL_MISSING", "LABEL_RANGE", "LABEL_INVALID", None]  # fmt: skip
    assert rows[0]["true_label"] == "a"
    assert {row["error_stage"] for row in rows} == {None, "label"}
    assert batches == [2]
    assert outcome.result().failed == 3


def test_without_a_class_map_there_is_no_truth(tmp_path: Path, data: Path) -> None:
    from dataclasses import replace

    spec = replace(scoring_spec(data, tmp_path / "run"), class_map=None)
    outcome, rows, _ = scored(spec)
    assert outcome.result().failed == 0
    for row in rows:
        assert (row["true_label"], row["is_correct"], row["loss"]) == (None, None, None)
        assert row["predicted_label"] is not None
    assert outcome.result().counts["labelled"] == 0


def test_poisoned_images_are_not_touched(tmp_path: Path, data: Path) -> None:
    spec = scoring_spec(data, tmp_path / "run")
    (data / "0" / "03.png").unlink()
    notices: list[str] = []
    outcome, rows, _ = scored(spec, poisoned={3: worker_died(3)}, notice=notices.append)
    assert rows[3]["error_code"] == "WORKER_DIED"
    assert "3" not in ",".join(notices).split(",")
    assert notices[:4] == ["0", "1", "2", "0,1,2"]
    assert outcome.result().failed == 1


def test_a_file_changed_since_the_manifest(tmp_path: Path, data: Path) -> None:
    spec = scoring_spec(data, tmp_path / "run")
    write_image(data / "0" / "00.png", 7, size=(60, 50))
    os.utime(data / "0" / "01.png", ns=(1, 1))
    (data / "0" / "02.png").unlink()
    _, rows, _ = scored(spec)
    assert [row["error_code"] for row in rows[:4]] == ["CHANGED", "CHANGED", "NOT_FOUND", None]


def test_a_name_that_is_not_utf8_is_scored(tmp_path: Path, data: Path) -> None:
    os.rename(data / "0" / "00.png", os.fsencode(data / "0") + b"/\xff.png")  # noqa: PTH104
    _, rows, _ = scored(scoring_spec(data, tmp_path / "run"))
    (row,) = (row for row in rows if row["image_id"] == r"0/\xff.png")
    assert row["status"] == "ok"


def test_a_wrong_extension_is_decoded_and_noted(tmp_path: Path, data: Path) -> None:
    (data / "0" / "00.png").rename(data / "0" / "00.jpg")
    _, rows, _ = scored(scoring_spec(data, tmp_path / "run"))
    assert rows[0]["status"] == "ok"
    assert "warnings" in rows[0]["extra_data"]


def test_attempts_never_share_a_file(tmp_path: Path, data: Path) -> None:
    spec = scoring_spec(data, tmp_path / "run")
    records = [scored(spec)[0].result() for _ in range(2)]
    assert [len({one.file for one in records}), len({one.attempt for one in records})] == [2, 2]


def test_problems_of_the_run_come_back_as_outcomes(tmp_path: Path, data: Path) -> None:
    spec = scoring_spec(data, tmp_path / "run")
    (spec.results_dir / "units").touch()  # a file where the folder must be
    outcome, rows, _ = scored(spec)
    assert rows == []
    assert outcome.error is not None
    assert outcome.error[0] == "OUTPUT_NOT_WRITABLE"
    spec.manifest.write_bytes(b"no manifest")
    outcome = scored(spec)[0]
    assert outcome.error is not None
    assert outcome.error[0] == "WORKER_ERROR"
    assert outcome.error[1].startswith("unit 0: ArrowInvalid: ")


def test_a_model_that_does_not_load_comes_back_as_an_outcome(tmp_path: Path, data: Path) -> None:
    from dataclasses import replace

    spec = replace(
        scoring_spec(data, tmp_path / "run"), adapter=AdapterSpec(NAME.replace("Pixel", "Nixel"))
    )
    outcome = UnitWorker(spec).score(Unit(0, 0, 2))
    assert outcome.error is not None
    assert outcome.error[0] == "ADAPTER_INVALID"


def test_an_adapter_that_reads_no_images_needs_no_files(tmp_path: Path, data: Path) -> None:
    from dataclasses import replace

    spec = scoring_spec(data, tmp_path / "run")
    spec = replace(spec, adapter=AdapterSpec("noop", class_names=("0", "1")))
    for file in data.rglob("*.png"):
        file.unlink()
    outcome = UnitWorker(spec).score(Unit(0, 0, 10))
    rows = pq.read_table(spec.results_dir / outcome.result().file).to_pylist()
    assert outcome.result().failed == 0
    assert rows[0]["width"] is None
    assert [row["is_correct"] for row in rows] == [True] * 5 + [False] * 5


def test_unforeseen_trouble_while_preparing_names_its_stage(tmp_path: Path, data: Path) -> None:
    class Broken:
        def preprocess(self, _: object) -> Any:
            raise MemoryError

    spec = scoring_spec(data, tmp_path / "run")
    preparer = ImagePreparer(spec, Broken(), reads_images=True)
    row = ManifestReader(spec.manifest).read(0, 1).to_pylist()[0]
    error = preparer.prepare(row).error
    assert isinstance(error, ImageError)
    assert (error.stage, error.code) == (ErrorStage.PREPROCESS, ErrorCode.PIXEL_LIMIT)
