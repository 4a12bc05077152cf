"""Whole runs against the frameworks' own loops, and metrics against scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

import snellen
from tests.adapters.making import ORIENTATION

EXACT = 1e-12
IMG_SIZE = 64


def fitted_checkpoint(path: Path, images: Path) -> Any:
    """Save a seeded ``test_resnet`` whose last layer is fitted to the images.

    Ridge regression on the features of random weights takes seconds and is deterministic.
    """
    import timm

    torch.manual_seed(0)
    labels = sorted(p.name for p in images.iterdir())
    model = timm.create_model("test_resnet", num_classes=len(labels)).eval()
    outputs = loader_loop(model, images, features=True)
    true = torch.nn.functional.one_hot(torch.tensor(outputs["targets"]), len(labels)).double()
    x = torch.cat([outputs["values"].double(), torch.ones(len(true), 1).double()], 1)
    # Every third image is held back: the model is wrong on some.
    x_fit, y_fit = x[np.arange(len(x)) % 3 > 0], true[np.arange(len(x)) % 3 > 0]
    ridge = 1e-3 * torch.eye(x.shape[1]).double()
    weights = torch.linalg.solve(x_fit.T @ x_fit + ridge, x_fit.T @ y_fit).float() * 5
    model.fc.weight.data, model.fc.bias.data = weights[:-1].T.contiguous(), weights[-1]
    torch.save({"arch": "test_resnet", "state_dict": model.state_dict()}, path)
    return model


def loader_loop(model: Any, images: Path, *, features: bool = False) -> dict[str, Any]:
    """Run a plain loop over timm's own dataset and loader, in timm's order."""
    from timm.data import create_dataset, create_loader, resolve_data_config

    config = resolve_data_config({"input_size": (3, IMG_SIZE, IMG_SIZE)}, model=model)
    dataset = create_dataset("", str(images))
    loader = create_loader(
        dataset, config["input_size"], 8, use_prefetcher=False, num_workers=0,
        interpolation=config["interpolation"], mean=config["mean"], std=config["std"],
        crop_pct=config["crop_pct"], crop_mode=config["crop_mode"], device=torch.device("cpu"),
    )  # fmt: skip
    values, targets = [], []
    with torch.inference_mode():
        for batch, true in loader:
            if features:
                values.append(model.forward_head(model.forward_features(batch), pre_logits=True))
            else:
                values.append(model(batch).softmax(1))
            targets += true.tolist()
    names = [dataset.filename(index) for index in range(len(dataset))]
    return {"values": torch.cat(values), "targets": targets, "names": names}


def save(image: npt.NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(image)).save(path)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last 300 handwritten digits, in folders by number."""
    datasets = pytest.importorskip("sklearn.datasets")
    root = tmp_path_factory.mktemp("digits")
    found = datasets.load_digits()
    for number in range(len(found.images) - 300, len(found.images)):
        grey = (found.images[number] * 15).astype(np.uint8)
        save(np.repeat(grey[:, :, None], 3, 2), root / f"{found.target[number]}" / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of photographs in many sizes, JPEG and PNG; one class per photograph."""
    data = pytest.importorskip("skimage.data")
    datasets = pytest.importorskip("sklearn.datasets")
    china, flower = datasets.load_sample_images().images
    pictures = {
        "astronaut": data.astronaut(), "cat": data.chelsea(), "china": china,
        "coffee": data.coffee(), "flower": flower, "rocket": data.rocket(),
    }  # fmt: skip
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for name, picture in pictures.items():
        save(picture, root / name / "whole.jpg")
        for piece in range(9):
            height, width = (int(rng.integers(40, side)) for side in picture.shape[:2])
            top = int(rng.integers(0, picture.shape[0] - height + 1))
            left = int(rng.integers(0, picture.shape[1] - width + 1))
            cut = picture[top : top + height, left : left + width]
            save(cut, root / name / f"{piece}.{'jpg' if piece % 2 else 'png'}")
    return root


@pytest.fixture(params=["digits", "photographs"], scope="module")
def scored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The run, its rows and the results of timm's loop for one dataset."""
    images = request.getfixturevalue(request.param)
    place = tmp_path_factory.mktemp("run")
    model = fitted_checkpoint(place / "model.pth", images)
    run = snellen.evaluate(
        {
            "model": {"checkpoint": str(place / "model.pth"), "class_names": "dataset"},
            "dataset": {"path": str(images)},
            "preprocess": {"img_size": IMG_SIZE},
            "run": {"engine": "inline"},
            "output": {"dir": str(place / "out")},
            "database": f"sqlite:///{place / 'runs.db'}",
        }
    )
    return run, run.results(), loader_loop(model, images)


def test_every_image_has_the_class_and_the_probabilities_of_timms_own_loop(scored: Any) -> None:
    _, rows, theirs = scored
    assert rows["image_id"].to_list() == theirs["names"]
    assert rows["true_label_id"].to_list() == theirs["targets"]
    assert rows["predicted_label_id"].to_list() == theirs["values"].argmax(1).tolist()
    for row, expected in zip(rows.to_dicts(), theirs["values"], strict=True):
        assert row["true_confidence"] == pytest.approx(
            float(expected[row["true_label_id"]]), abs=1e-4)  # fmt: skip
        for score in row["top5_predictions"]:
            assert score["confidence"] == pytest.approx(
                float(expected[score["label_id"]]), abs=1e-4)  # fmt: skip


def test_the_counts_of_right_answers_are_timms(scored: Any) -> None:
    from timm.utils import accuracy

    run, rows, theirs = scored
    top1, top5 = accuracy(theirs["values"], torch.tensor(theirs["targets"]), topk=(1, 5))
    count = len(theirs["targets"])
    assert rows["is_correct"].sum() == round(float(top1) * count / 100)
    assert run.metrics["top5_accuracy"] * count == pytest.approx(
        float(top5) * count / 100, abs=0.01
    )
    assert 0.1 < run.metrics["accuracy"] < 1  # neither hopeless nor perfect: a test worth its name


def test_metrics_are_scikit_learns(scored: Any) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    run, rows, _ = scored
    true, predicted = rows["true_label_id"].to_list(), rows["predicted_label_id"].to_list()
    labels = sorted(set(true))
    assert run.metrics["accuracy"] == sklearn_metrics.accuracy_score(true, predicted)
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
            true, predicted, labels=labels, average=average, zero_division=0
        )
        for name, value in (("precision", precision), ("recall", recall), ("f1", f1)):
            assert run.metrics[f"{average}_{name}"] == pytest.approx(value, abs=EXACT)
    matrix = sklearn_metrics.confusion_matrix(true, predicted)
    assert run.confusion_matrix == matrix.tolist()
    probabilities = rows["true_confidence"].to_numpy().astype(float)
    assert run.metrics["loss"] == pytest.approx(float(-np.log(probabilities).mean()), rel=1e-5)


def test_other_encodings_are_their_upright_rgb_twins(photographs: Path, tmp_path: Path) -> None:
    """EXIF rotation, CMYK, 16 bits and alpha: the run equals the adapter on converted pixels."""
    source = Image.open(photographs / "cat" / "whole.jpg").convert("RGB").resize((90, 60))
    upright = np.asarray(source)
    root = tmp_path / "data"
    (root / "cat").mkdir(parents=True)
    twins: dict[str, npt.NDArray[np.uint8]] = {}

    exif = Image.Exif()
    exif[ORIENTATION] = 6
    source.transpose(Image.Transpose.ROTATE_90).save(root / "cat" / "exif.png", exif=exif)
    twins["cat/exif.png"] = upright

    cmyk = source.convert("CMYK")
    cmyk.save(root / "cat" / "cmyk.tif")
    c = np.asarray(cmyk).astype(int)
    ink = np.minimum(255, c[..., :3] + c[..., 3:])
    twins["cat/cmyk.tif"] = (255 - ink).astype(np.uint8)

    grey = np.asarray(source.convert("L")).astype(np.uint16)
    Image.fromarray(grey * 256 + 77).save(root / "cat" / "grey16.png")
    twins["cat/grey16.png"] = np.repeat(grey.astype(np.uint8)[..., None], 3, 2)

    alpha = np.zeros(upright.shape[:2], np.uint8)
    alpha[:, 45:] = 255
    Image.fromarray(np.dstack([upright, alpha])).save(root / "cat" / "rgba.png")
    on_white = upright.copy()
    on_white[:, :45] = 255
    twins["cat/rgba.png"] = on_white

    fitted_checkpoint(tmp_path / "m.pth", photographs)
    names = sorted(path.name for path in photographs.iterdir())
    run = snellen.evaluate(
        {
            "model": {
                "checkpoint": str(tmp_path / "m.pth"), "class_names": names, "class_map": "subset",
            },
            "dataset": {"path": str(root)},
            "preprocess": {"img_size": IMG_SIZE},
            "run": {"engine": "inline", "batch_size": 1},
            "output": {"dir": str(tmp_path / "out")},
            "database": f"sqlite:///{tmp_path / 'runs.db'}",
        }
    )  # fmt: skip
    adapter = snellen.load_adapter(
        checkpoint=tmp_path / "m.pth", class_names=names, preprocess={"img_size": IMG_SIZE},
        device="cpu",
    )  # fmt: skip
    rows = {row["image_id"]: row for row in run.results().to_dicts()}
    assert set(rows) == set(twins)
    for image_id, pixels in twins.items():
        expected, row = adapter.infer_single(pixels), rows[image_id]
        assert (row["width"], row["height"]) == (90, 60)
        assert row["predicted_label"] == expected.predicted_label
        assert row["confidence"] == pytest.approx(expected.confidence, abs=1e-6)
