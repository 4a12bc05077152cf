"""Location and loading of checkpoints; errors stop the run before it starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import ConfigError, InputError, SnellenError
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.data.resolve import resolve_dataset
from snellen.pipelines.models.load import ResolvedModel, load_model
from snellen.pipelines.models.locate import ModelRequest, locate_model
from snellen.store.jobs import list_training_jobs
from snellen.store.sql.database import Database
from tests.adapters.making import save_timm
from tests.pipelines.making import grey_folder
from tests.pipelines.pixel_adapter import NAME


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'runs.db'}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model.pth"
    save_timm(path, num_classes=3)
    return path


def resolved(db: Database, task: str = "auto", path: str = "/d", **model: Any) -> ResolvedModel:
    config = build_config({"model": model, "dataset": {"path": path}, "task": task})
    return load_model(locate_model(ModelRequest.of(config), db), "cpu")


def error_of(db: Database, **model: Any) -> SnellenError:
    with pytest.raises(SnellenError) as caught:
        resolved(db, **model)
    assert caught.value.exit_code == 2
    return caught.value


def test_a_bare_checkpoint(db: Database, checkpoint: Path) -> None:
    model = resolved(db, checkpoint=str(checkpoint), class_names=["a", "b", "c"])
    assert (model.job, model.spec.checkpoint) == (None, str(checkpoint))
    assert model.info.class_names == ("a", "b", "c")
    assert list_training_jobs(db) == []


def test_relative_paths_become_absolute_for_the_workers(
    db: Database, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    assert resolved(db, checkpoint="model.pth").spec.checkpoint == str(checkpoint)


def test_a_checkpoint_inside_of_a_run_directory_brings_its_job(
    db: Database, tmp_path: Path
) -> None:
    root = tmp_path / "run"
    root.mkdir()
    save_timm(root / "model_best.pth.tar", num_classes=3)
    save_timm(root / "checkpoint-2.pth.tar", num_classes=3, seed=2)
    (root / "args.yaml").write_text("model: test_resnet\nnum_classes: 3\n")
    for given in (
        {"checkpoint": str(root / "model_best.pth.tar")},
        {"checkpoint": str(root)},
        {"job": str(root)},
        {"job": "run", "checkpoint": "best"},
    ):
        model = resolved(db, **given)
        assert model.job is not None
        assert (model.job.name, Path(model.info.checkpoint_path).name) == (
            "run", "model_best.pth.tar")  # fmt: skip
    assert Path(resolved(db, job="run", checkpoint=2).info.checkpoint_path).name.startswith("check")
    assert len(list_training_jobs(db)) == 1


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        ({}, "MODEL_MISSING", "has no checkpoint. Expected model.checkpoint with a file, or"),
        ({"checkpoint": "best"}, "MODEL_JOB_MISSING", "'best' is a checkpoint of a training"),
        ({"checkpoint": 3}, "MODEL_JOB_MISSING", "'3' is a checkpoint of a training job"),
        ({"checkpoint": "/no.pth"}, "CHECKPOINT_NOT_FOUND", "there is no such file"),
        ({"checkpoint": "https://x/m.pth"}, "REMOTE_REFUSED", "nothing is downloaded"),
        ({"checkpoint": "hf-hub:timm/x"}, "REMOTE_REFUSED", "nothing is downloaded"),
        ({"checkpoint": "ul://x/y"}, "REMOTE_REFUSED", "nothing is downloaded"),
        ({"job": "ul://x/y"}, "REMOTE_REFUSED", "nothing is downloaded"),
        ({"job": "nobody"}, "JOB_NOT_FOUND", "'nobody'"),
        ({"adapter": "tim", "checkpoint": "x"}, "CHECKPOINT_NOT_FOUND", "no such file"),
        ({"adapter": "nooop"}, "ADAPTER_UNKNOWN", "noop"),
        ({"adapter": "os:getcwd"}, "ADAPTER_INVALID", "not a subclass of"),
        ({"adapter": "nowhere.mod:X"}, "ADAPTER_UNKNOWN", "no module 'nowhere.mod'"),
    ],
)
def test_models_that_cannot_be_found(
    db: Database, model: dict[str, Any], code: str, message: str
) -> None:
    error = error_of(db, **model)
    assert error.code == code
    assert message in error.message


def torch_file(path: Path, value: Any) -> Path:
    import torch

    torch.save(value, path)
    return path


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("payload-ran"),))


def test_checkpoints_that_are_none(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    whole = tmp_path / "whole.pth"
    save_timm(whole)
    bomb = torch.as_strided(torch.zeros(1), (10**5, 10**6), (0, 0))
    (tmp_path / "empty.pth").touch()
    (tmp_path / "cut.pth").write_bytes(whole.read_bytes()[:1000])
    (tmp_path / "photo.pth").write_bytes(b"\xff\xd8\xff\xe0 JPEG")
    bad = [
        tmp_path / "empty.pth",
        tmp_path / "cut.pth",
        tmp_path / "photo.pth",
        torch_file(tmp_path / "list.pth", [1, 2]),
        torch_file(tmp_path / "int.pth", 3),
        torch_file(tmp_path / "none.pth", None),
        torch_file(tmp_path / "payload.pth", {"state_dict": _Payload()}),
        torch_file(tmp_path / "bomb.pth", {"state_dict": {"conv1.weight": bomb}}),
    ]
    for path in bad:
        error = error_of(db, checkpoint=str(path), architecture="test_resnet")
        assert isinstance(error, InputError)
        assert path.name in error.message
    assert not (tmp_path / "payload-ran").exists()


def test_a_checkpoint_of_another_architecture_names_its_keys(db: Database, tmp_path: Path) -> None:
    save_timm(tmp_path / "m.pth", "test_vit")
    error = error_of(db, checkpoint=str(tmp_path / "m.pth"), architecture="test_resnet")
    assert error.code == "CHECKPOINT_MISMATCH"


def test_the_wrong_number_of_names(db: Database, checkpoint: Path) -> None:
    error = error_of(db, checkpoint=str(checkpoint), class_names=["a", "b"])
    assert error.code == "CLASS_COUNT"
    assert "2 class names" in error.message
    assert "3 outputs" in error.message


def test_names_from_a_file(db: Database, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("a\nb\n c \n\n")
    model = resolved(db, checkpoint=str(checkpoint), class_names=str(tmp_path / "names.txt"))
    assert model.info.class_names == ("a", "b", "c")
    error = error_of(db, checkpoint=str(checkpoint), class_names="no-such.txt")
    assert error.code == "CLASS_NAMES_NOT_FOUND"
    assert "does not exist. Expected auto, imagenet, dataset, a list" in error.message
    error = error_of(db, checkpoint=str(checkpoint), class_names="https://x/names.txt")
    assert error.code == "REMOTE_REFUSED"
    # A blank line would shift every class behind it.
    (tmp_path / "names.txt").write_text("a\nb\n\nc\n")
    error = error_of(db, checkpoint=str(checkpoint), class_names=str(tmp_path / "names.txt"))
    assert error.code == "CLASS_NAMES_INVALID"
    assert "line 3 is blank" in error.message


def test_a_task_that_is_not_the_checkpoints(db: Database) -> None:
    with pytest.raises(ConfigError, match="task: object_detection does not fit") as caught:
        resolved(db, task="object_detection", adapter=NAME)
    assert caught.value.code == "TASK_MISMATCH"


def dataset_error(db: Database, path: Path, **model: Any) -> InputError:
    config = build_config({"model": model, "dataset": {"path": str(path)}})
    found = load_model(locate_model(ModelRequest.of(config), db), "cpu")
    with pytest.raises(InputError) as caught:
        resolve_dataset(config, found.info, dataset_names=found.dataset_names)
    return caught.value


def test_unknown_class_names(db: Database, checkpoint: Path, tmp_path: Path) -> None:
    three, two = grey_folder(tmp_path / "3"), grey_folder(tmp_path / "2", ("a", "b"))
    error = dataset_error(db, three, checkpoint=str(checkpoint))
    assert error.code == "CLASS_NAMES_UNKNOWN"
    assert "dataset (it was trained on these 3 classes in this order)" in error.message
    assert "in this order" not in dataset_error(db, two, checkpoint=str(checkpoint)).message
    error = dataset_error(db, two, checkpoint=str(checkpoint), class_names="dataset")
    assert error.code == "CLASS_COUNT"
    assert "the dataset has 2 classes. Expected 3" in error.message


def test_images_without_labels(db: Database, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.png\n")
    error = dataset_error(db, tmp_path / "list.txt", adapter=NAME)
    assert error.code == "DATASET_UNLABELLED"


@pytest.mark.parametrize(
    "names", [("A", "a", "b"), ("1", "01", "2")], ids=["M-case", "M-leading-zeros"]
)
def test_an_order_that_timm_does_not_know_is_not_taken_as_the_checkpoints(
    db: Database, checkpoint: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    root = grey_folder(tmp_path / "data", names, 1)
    error = dataset_error(db, root, checkpoint=str(checkpoint), class_names="dataset")
    assert error.code == "DATASET_CLASS_ORDER"
    first, second = sorted(names)[:2]
    assert f"timm does not order the classes '{first}' and '{second}'" in error.message
    assert "Expected names in the order of the outputs. Set model.class_names" in error.message
    model = {"checkpoint": str(checkpoint), "class_names": "dataset"}
    dataset = {"path": str(root), "class_order": "lexicographic"}
    config = build_config({"model": model, "dataset": dataset})
    found = load_model(locate_model(ModelRequest.of(config), db), "cpu")
    aligned = resolve_dataset(config, found.info, dataset_names=True).aligned
    assert aligned.names == tuple(sorted(names))


def test_nested_folders_and_shifted_labels_are_said_before_inference(
    db: Database, checkpoint: Path, tmp_path: Path
) -> None:
    nested = grey_folder(tmp_path / "nested" / "data", ("0", "1", "2"), 1).parent
    error = dataset_error(db, nested, checkpoint=str(checkpoint), class_names=["0", "1", "2"])
    assert error.code == "CLASS_MAP_MISMATCH"
    assert "With dataset.class_level=leaf the classes are the checkpoint's: 0, 1, 2." in (
        error.message
    )
    shifted = grey_folder(tmp_path / "shifted", ("1", "2", "3"), 1)
    error = dataset_error(db, shifted, checkpoint=str(checkpoint), class_map="ids")
    assert error.code == "CLASS_IDS_SHIFTED"
    model = {"checkpoint": str(checkpoint), "class_map": "ids"}
    dataset = {"path": str(shifted), "first_label": 1}
    config = build_config({"model": model, "dataset": dataset})
    found = load_model(locate_model(ModelRequest.of(config), db), "cpu")
    aligned = resolve_dataset(config, found.info, dataset_names=False).aligned
    assert [aligned.class_id(label) for label in "123"] == [0, 1, 2]
    assert aligned.names == ("1", "2", "3")
    by_name = build_config({"model": {**model, "class_map": "auto"}, "dataset": dataset})
    named = load_model(
        locate_model(ModelRequest.of(build_config({
            "model": {"checkpoint": str(checkpoint), "class_names": ["1", "2", "3"]},
            "dataset": dataset,
        })), db),
        "cpu",
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"Expected model\.class_map=ids with it") as caught:
        resolve_dataset(by_name, named.info, dataset_names=False)
    assert caught.value.code == "DATASET_FIRST_LABEL"


def test_ignored_class_names_are_said(db: Database, checkpoint: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    checkpoint.rename(run / "model_best.pth.tar")
    (run / "class_names.txt").write_text("a\n\nb\nc\n")
    (run / "args.yaml").write_text("model: test_resnet\n")
    error = dataset_error(
        db, grey_folder(tmp_path / "data"), checkpoint=str(run / "model_best.pth.tar"),
        architecture="test_resnet",
    )  # fmt: skip
    assert error.code == "CLASS_NAMES_UNKNOWN"
    assert "no class names (ignored class names: " in error.message
    assert "class_names.txt': line 2 is blank" in error.message
