"""Two models on the same images: equivalent, different, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import snellen
from examples.photographs.make_dataset import PHOTOGRAPHS, copy_weights, write_photographs
from examples.shapes.make_dataset import make
from snellen.adapters.errors import ConfigError, InputError
from snellen.metrics.parity.differences import Tolerance
from snellen.pipelines.model_tools.export import ExportSettings, export_model
from snellen.pipelines.model_tools.parity import compare_models
from snellen.pipelines.model_tools.parity_check import ParitySettings
from snellen.pipelines.progress import Reporter
from tests.adapters.exported.making import FIXTURES

pytestmark = pytest.mark.slow

CONFIG = Path(__file__).parents[3] / "configs" / "photographs.yaml"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('parity') / 'runs.db'}"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shapes")
    make(root, counts={"test": 12}, seed=4)
    return root


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, database: str) -> Path:
    file = tmp_path_factory.mktemp("exported") / "tiny-segment.onnx"
    settings = ExportSettings("onnx", output=file)
    export_model(str(FIXTURES / "tiny-segment.pt"), settings, database=database)
    return file


class Heard(Reporter):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.rows = 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        self.rows += rows


def test_an_export_is_equivalent_to_its_checkpoint(
    shapes: Path, exported: Path, database: str, tmp_path: Path
) -> None:
    heard, lines = Heard(), tmp_path / "images.jsonl"
    settings = ParitySettings({"path": str(shapes / "segment")}, batch_size=5, output=lines)
    document = compare_models(
        str(FIXTURES / "tiny-segment.pt"), "tiny-segment-onnx", settings,
        database=database, reporter=heard)  # fmt: skip
    assert (document["verdict"], document["reasons"]) == ("equivalent", [])
    assert (document["images"], document["failed"], document["different"]) == (12, 0, 0)
    assert document["detections"][0] == document["detections"][1] > 10
    assert document["unmatched"] == [0, 0]
    assert document["largest"]["confidence"] < 1e-4
    assert document["largest"]["box"] < 1e-2
    assert document["largest"]["mask_iou"] > 0.999
    assert document["b"]["checkpoint"] == str(exported)
    assert heard.rows == 12
    metrics = document["metrics"]
    assert metrics["mask_mAP50-95"]["a"] > 0.1
    assert abs(metrics["mask_mAP50-95"]["difference"]) < 1e-6
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [line["status"] for line in written] == ["ok"] * 12
    assert written[0]["image_id"] < written[-1]["image_id"]
    with pytest.raises(InputError) as caught:
        compare_models(str(exported), str(exported), settings, database=database)
    assert caught.value.code == "OUTPUT_TAKEN"
    assert [path.name for path in tmp_path.iterdir()] == ["images.jsonl"]


def test_the_metrics_are_those_of_an_evaluation(
    shapes: Path, exported: Path, database: str, tmp_path: Path
) -> None:
    path = str(shapes / "segment")
    document = snellen.parity(exported, exported, path, database=database)
    assert document["verdict"] == "equivalent"
    run = snellen.evaluate(
        {
            "model": {"checkpoint": str(exported)},
            "dataset": {"path": path},
            "run": {"engine": "inline", "batch_size": 16, "unit_rows": 16},
            "metrics": {"bootstrap": 0},
            "output": {"dir": str(tmp_path)},
            "database": database,
        }
    )
    for key in ("mAP50-95", "mask_mAP50-95", "f1"):
        assert document["metrics"][key]["a"] == pytest.approx(run.metrics[key], abs=1e-9)


def test_two_models_differ_and_the_worst_images_are_named(shapes: Path, database: str) -> None:
    document = compare_models(
        str(FIXTURES / "tiny-detect.pt"), str(FIXTURES / "tiny-detect-8.pt"),
        ParitySettings({"path": str(shapes / "detect"), "limit": 6}, worst=3),
        database=database)  # fmt: skip
    assert document["verdict"] == "different"
    assert document["images"] == 6
    assert any("a confidence differs by more than 0.0001" in text for text in document["reasons"])
    assert document["different"] >= len(document["worst"]) == 3
    assert document["worst"][0]["severity"] >= document["worst"][2]["severity"]
    assert "confidence" in document["worst"][0]["reasons"]
    loose = ParitySettings(
        {"path": str(shapes / "detect"), "limit": 6}, tolerance=Tolerance(1.0, 1e4, 0.0, 1.0)
    )
    document = compare_models(
        str(FIXTURES / "tiny-detect.pt"), str(FIXTURES / "tiny-detect-8.pt"), loose,
        database=database)  # fmt: skip
    assert document["verdict"] == "equivalent"


def test_images_without_labels_and_broken_ones(
    shapes: Path, exported: Path, database: str, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(sorted((shapes / "segment" / "images" / "test").iterdir())[:3]):
        (folder / f"{number}.png").write_bytes(image.read_bytes())
    (folder / "broken.png").write_bytes(b"\x89PNG no")
    settings = ParitySettings({"path": str(folder), "format": "image_list"})
    listing = tmp_path / "list.txt"
    listing.write_text("".join(f"{path}\n" for path in sorted(folder.iterdir())))
    settings = ParitySettings({"path": str(listing)})
    document = compare_models(str(exported), str(exported), settings, database=database)
    assert (document["images"], document["failed"], document["metrics"]) == (4, 1, None)
    assert document["verdict"] == "equivalent"


def test_labels_that_do_not_fit_are_left_out(
    shapes: Path, exported: Path, database: str, tmp_path: Path
) -> None:
    folder = tmp_path / "other" / "cat"
    folder.mkdir(parents=True)
    image = next((shapes / "segment" / "images" / "test").iterdir())
    (folder / "a.png").write_bytes(image.read_bytes())
    heard = Heard()
    settings = ParitySettings({"path": str(folder.parent), "split": None})
    document = compare_models(
        str(FIXTURES / "tiny-classify.pt"), str(FIXTURES / "tiny-classify.pt"), settings,
        database=database, reporter=heard)  # fmt: skip
    assert (document["metrics"], document["verdict"]) == (None, "equivalent")
    assert any("labels are not used" in note for note in heard.notes)


def test_what_cannot_be_compared(shapes: Path, exported: Path, database: str) -> None:
    path = str(shapes / "detect")
    with pytest.raises(ConfigError, match="Expected two models for the same task") as caught:
        snellen.parity(exported, FIXTURES / "tiny-classify.pt", path, database=database)
    assert caught.value.code == "PARITY_TASKS"
    with pytest.raises(InputError) as rejected:
        snellen.parity(exported, "nobody", path, database=database)
    assert rejected.value.code == "JOB_NOT_FOUND"
    with pytest.raises(InputError) as rejected:
        snellen.parity(exported, exported, shapes / "nowhere", database=database)
    assert rejected.value.code == "DATASET_NOT_FOUND"


def test_torchscript_needs_trust(shapes: Path, database: str, tmp_path: Path) -> None:
    source, file = FIXTURES / "tiny-classify.pt", tmp_path / "tiny.torchscript"
    document = export_model(
        str(source), ExportSettings("torchscript", output=file), database=database
    )
    assert document["job"]["name"] == "tiny-classify-torchscript"
    path = shapes / "classify" / "test"
    with pytest.raises(InputError, match=r"set model\.trust: true") as caught:
        snellen.parity(source, file, path, database=database)
    assert caught.value.code == "CHECKPOINT_UNSAFE"
    document = snellen.parity(source, file, path, trust=True, limit=9, database=database)
    assert document["verdict"] == "equivalent"
    assert document["metrics"]["accuracy"]["difference"] == 0
    config = {
        "model": {"checkpoint": str(file), "trust": True, "class_map": "subset"},
        "dataset": {"path": str(path), "limit": 9},
        "run": {"engine": "inline"},
        "output": {"dir": str(tmp_path)},
        "database": database,
    }
    run = snellen.evaluate(config)
    assert run.metrics["accuracy"] == document["metrics"]["accuracy"]["a"]
    with pytest.raises(ConfigError, match="option 'trust' is unknown"):
        snellen.evaluate({**config, "model": {"checkpoint": str(source), "trust": True}})


def test_real_weights_on_real_photographs(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EfficientNet-Lite0 with its ImageNet weights, exported, on seven photographs."""
    root = tmp_path / "demo-data" / "photographs"
    write_photographs(root)
    copy_weights(root)
    monkeypatch.chdir(tmp_path)
    settings = ExportSettings("onnx", output=tmp_path / "lite0.onnx")
    export_model(str(CONFIG), settings, database=database)
    document = snellen.parity(CONFIG, tmp_path / "lite0.onnx", root / "images", database=database)
    assert (document["verdict"], document["images"]) == ("equivalent", len(PHOTOGRAPHS))
    assert document["different"] == 0
    assert document["largest"]["confidence"] < 1e-4
    assert document["metrics"]["accuracy"] == {
        "a": pytest.approx(6 / 7), "b": pytest.approx(6 / 7), "difference": 0.0}  # fmt: skip
    tops = {one["image_id"]: one["top1"] for one in document["worst"]}
    assert len(tops) == len(PHOTOGRAPHS)
    assert all(a == b for a, b in tops.values())
    assert tops["espresso/coffee.jpg"] == ("espresso", "espresso")
