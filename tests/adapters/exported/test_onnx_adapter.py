"""ONNX files give the predictions of the checkpoint; unsuitable files are not run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.description import KEY
from snellen.adapters.exported.onnx_adapter import OnnxAdapter
from snellen.adapters.exported.verify import outputs_apart
from snellen.adapters.exported.writer import Exportable, write_export
from snellen.adapters.runtime.threads import compute_threads, set_compute_threads
from snellen.adapters.types import AdapterSpec
from snellen.adapters.ultralytics.environment import import_ultralytics
from tests.adapters.exported.making import (
    FIXTURES,
    MODELS,
    changed,
    differences,
    export,
    load,
    objects,
    original,
    pictures,
)
from tests.adapters.making import pixels
from tests.adapters.ultralytics.making import grey_checkpoint
from tests.contracts.adapter_contract import AdapterContract, answer


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_yolo_export_gives_the_answers_of_its_checkpoint(
    name: str, files: Callable[[str], Path]
) -> None:
    first, second = original(name), load("onnx", files(name))
    for found in differences(first, second, pictures()):
        assert found.reasons == (), found
    if name != "classify":
        assert objects(second.infer_batch(pictures())) > 10
    assert second.info.class_names == ("circle", "square", "triangle")
    assert second.info.task_type is first.info.task_type
    assert second.info.preprocess["end2end"] is (not MODELS[name].get("nms", True))


@pytest.mark.parametrize("size", [96, (64, 128)], ids=["I-grey", "I-grey-rectangle"])
def test_a_yolo_export_of_a_grey_input(size: int | tuple[int, int], tmp_path: Path) -> None:
    grey = grey_checkpoint("detect", tmp_path / "grey.pt")
    first = load("ultralytics", grey, imgsz=size)
    second = load("onnx", export(first, tmp_path / "grey.onnx"), imgsz=size)
    assert second.info.input_shape == first.info.input_shape
    assert first.info.input_shape[0] == 1
    for found in differences(first, second, pictures()):
        assert found.reasons == (), found


@pytest.mark.parametrize("name", ["test_vit", "test_efficientnet_gn"])
def test_a_timm_export_gives_the_answers_of_its_checkpoint(
    name: str, files: Callable[[str], Path]
) -> None:
    second = load("onnx", files(name))
    first = load("timm", files(name).with_suffix(".pth"))
    for found in differences(first, second, pictures()):
        assert found.reasons == (), found
    confidences = {round(r.confidence or 0, 3) for r in second.infer_batch(pictures())}
    assert len(confidences) > 1
    assert second.info.preprocess == first.info.preprocess
    assert (second.info.architecture, second.info.epoch) == (name, 3)
    assert first.info.checkpoint_sha256[:12] in (second.info.weights or "")
    assert {"onnxruntime", "timm", "torch"} <= set(second.info.versions)


@pytest.mark.slow
def test_a_model_that_only_the_second_exporter_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The first exporter is faster and needs no further package, but lacks RMS norm."""

    class Normed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 4, 4)
            self.norm = torch.nn.RMSNorm(8)
            self.head = torch.nn.Linear(8, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.norm(self.conv(images).mean((2, 3))))
            return logits

    like = load("ultralytics", FIXTURES / "tiny-classify.pt").as_exportable().model
    exportable = Exportable(Normed().eval(), like)
    path = tmp_path / "normed.onnx"
    with monkeypatch.context() as patched:
        patched.setattr("snellen.adapters.exported.writer.find_spec", lambda _: None)
        with pytest.raises(InputError, match="pip install onnxscript") as caught:
            write_export(exportable, "onnx", path)
    assert caught.value.code == "EXPORT_FAILED"
    assert not path.exists()
    write_export(exportable, "onnx", path)
    adapter = load("onnx", path)
    items = [adapter.preprocess_image(image) for image in pictures()]
    assert isinstance(adapter, OnnxAdapter)
    assert outputs_apart(exportable, adapter, items) < 1
    assert capfd.readouterr().out == ""


def test_targets_give_loss_and_true_confidence(files: Callable[[str], Path]) -> None:
    first = load("timm", files("test_vit").with_suffix(".pth"))
    second = load("onnx", files("test_vit"))
    items = [first.preprocess_image(image) for image in pictures()]
    pair = [a.infer_preprocessed(items, batch_size=4, targets=[1] * 5) for a in (first, second)]
    for one, other in zip(*pair, strict=True):
        assert one.loss == pytest.approx(other.loss, abs=1e-4)
        assert one.true_confidence == pytest.approx(other.true_confidence, abs=1e-4)


class TestDetectContract(AdapterContract):
    @pytest.fixture
    def spec(self, files: Callable[[str], Path]) -> AdapterSpec:
        return AdapterSpec("onnx", str(files("detect")))


class TestSegmentContract(AdapterContract):
    @pytest.fixture
    def spec(self, files: Callable[[str], Path]) -> AdapterSpec:
        return AdapterSpec("onnx", str(files("segment-26")))


class TestTimmContract(AdapterContract):
    @pytest.fixture
    def spec(self, files: Callable[[str], Path]) -> AdapterSpec:
        return AdapterSpec("onnx", str(files("test_efficientnet_gn")))


def as_ultralytics(model: Any) -> None:
    """Leave only the properties that Ultralytics writes."""
    kept = {entry.key: entry.value for entry in model.metadata_props if entry.key != KEY}
    del model.metadata_props[:]
    helper.set_model_props(model, kept)


@pytest.mark.parametrize("name", ["segment", "pose", "detect-26"])
def test_files_of_ultralytics_are_read(
    name: str, files: Callable[[str], Path], tmp_path: Path
) -> None:
    path = changed(files(name), tmp_path / "theirs.onnx", as_ultralytics)
    adapter = load("onnx", path)
    for found in differences(original(name), adapter, pictures()):
        assert found.reasons == (), found
    assert adapter.info.class_names == ("circle", "square", "triangle")


@pytest.mark.parametrize(
    ("name", "file_format", "settings"),
    [
        ("segment", "onnx", {"simplify": False}),
        ("classify", "onnx", {"simplify": False, "dynamic": True}),
        ("detect", "torchscript", {}),
    ],
)
def test_what_ultralytics_itself_exports_is_read(
    name: str,
    file_format: str,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import_ultralytics()
    from ultralytics import YOLO

    monkeypatch.chdir(tmp_path)
    source = tmp_path / "theirs.pt"
    source.write_bytes((FIXTURES / f"tiny-{name}.pt").read_bytes())
    side = original(name).info.input_shape[1]
    written = YOLO(str(source)).export(format=file_format, imgsz=side, **settings)
    options = {"trust": True} if file_format == "torchscript" else {}
    adapter = load(file_format, Path(written), **options)
    for found in differences(original(name), adapter, pictures()):
        assert found.reasons == (), found
    assert adapter.info.class_names == ("circle", "square", "triangle")
    assert adapter.info.input_shape == (3, side, side)


def test_a_batch_of_fixed_size_is_cut_and_filled(
    files: Callable[[str], Path], tmp_path: Path
) -> None:
    def fix(model: Any) -> None:
        as_ultralytics(model)
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
        model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 2

    adapter = load("onnx", changed(files("detect"), tmp_path / "fixed.onnx", fix))
    for found in differences(original("detect"), adapter, pictures()):
        assert found.reasons == (), found


def test_probabilities_of_an_ultralytics_classifier(tmp_path: Path) -> None:
    """Ultralytics' exporter ends in a softmax; predictions and loss are the same."""
    exportable = original("classify").as_exportable()

    class WithSoftmax(type(exportable.module)):  # type: ignore[misc]
        def forward(self, images: Any) -> Any:
            return super().forward(images).softmax(1)

    exportable.module.__class__ = WithSoftmax
    path = tmp_path / "classify.onnx"
    write_export(Exportable(exportable.module, exportable.model), "onnx", path)

    def theirs(model: Any) -> None:
        del model.metadata_props[:]
        names = dict(enumerate(("circle", "square", "triangle")))
        properties = {"task": "classify", "names": str(names), "imgsz": "[64, 64]", "stride": "1"}
        helper.set_model_props(model, properties)

    adapter = load("onnx", changed(path, path, theirs))
    for found in differences(original("classify"), adapter, pictures()):
        assert found.reasons == (), found
    item = adapter.preprocess_image(pixels())
    (result,) = adapter.infer_preprocessed([item], batch_size=1, targets=[2])
    assert result.loss == pytest.approx(-np.log(result.true_confidence or 0), abs=1e-4)


def test_a_timm_file_without_a_word_needs_the_architecture(
    files: Callable[[str], Path], tmp_path: Path
) -> None:
    def silent(model: Any) -> None:
        del model.metadata_props[:]

    path = changed(files("test_vit"), tmp_path / "silent.onnx", silent)
    with pytest.raises(InputError, match=r"set model\.architecture") as caught:
        load("onnx", path)
    assert caught.value.code == "ARCHITECTURE_MISSING"
    names = tuple(f"class {n}" for n in range(10))
    spec = AdapterSpec("onnx", str(path), architecture="test_vit", class_names=names)
    adapter = OnnxAdapter.from_spec(spec, device="cpu")
    assert (adapter.info.num_classes, adapter.info.class_names) == (10, names)
    first = load("timm", files("test_vit").with_suffix(".pth"))
    for found in differences(first, adapter, pictures()):
        assert "confidence" not in found.reasons, found
    with pytest.raises(InputError) as caught:
        OnnxAdapter.from_spec(replace(spec, class_names=names[:4]), device="cpu")
    assert caught.value.code == "CLASS_COUNT"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"imgsize": 64}, "'imgsize' is unknown .* did you mean imgsz"),
        ({"imgsz": 320}, "Expected 160 x 160 pixels"),
        ({"nms": False}, "exported for non-maximum suppression"),
    ],
)
def test_options_that_cannot_be(
    options: dict[str, Any], message: str, files: Callable[[str], Path]
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load("onnx", files("detect"), **options)
    assert caught.value.code == "OPTION_INVALID"


def test_precision_device_and_training(files: Callable[[str], Path]) -> None:
    spec = AdapterSpec("onnx", str(files("detect")))
    with pytest.raises(ConfigError) as caught:
        OnnxAdapter.from_spec(replace(spec, precision="bf16"), device="cpu")
    assert caught.value.code == "PRECISION_UNKNOWN"
    with pytest.raises(ConfigError) as caught:
        OnnxAdapter.from_spec(spec, device="cuda")
    assert caught.value.code == "DEVICE_MISSING"
    with pytest.raises(InputError) as rejected:
        OnnxAdapter(spec).load_checkpoint(files("detect"), inference_mode=False)
    assert rejected.value.code == "MODEL_NOT_TRAINABLE"


def test_the_session_has_the_compute_threads(files: Callable[[str], Path]) -> None:
    before = compute_threads()
    adapter = load("onnx", files("detect"))
    session = adapter._run.__self__  # type: ignore[attr-defined]
    expected = answer(adapter.infer_single(pixels()))
    try:
        set_compute_threads(before + 1)
        again = adapter.infer_single(pixels())
        made = session._current().get_session_options().intra_op_num_threads
        assert made == before + 1
    finally:
        set_compute_threads(before)
    assert again.status == "ok"
    assert answer(adapter.infer_single(pixels())) == expected
