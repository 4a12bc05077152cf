"""Training run directories: their metadata and their checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snellen.adapters.checkpoints.layouts import list_checkpoints, resolve_checkpoint
from snellen.adapters.checkpoints.run_directory import read_run_directory
from snellen.adapters.errors import InputError
from snellen.adapters.types import TaskType

TIMM_CSV = """epoch,train_loss,eval_loss,eval_top1,eval_top5,lr
0,2.1,1.9,40.0,80.0,0.1
1,1.5,1.2,62.5,90.0,0.05
2,1.4,1.3,60.0,91.0,0.01
"""
DETECT_CSV = (  # older versions pad their headers
    "                  epoch,   train/box_loss,   metrics/mAP50(B),   metrics/mAP50-95(B),"
    " val/box_loss, val/cls_loss\n"
    "1, 1.0, 0.50, 0.30, 0.5, 0.25\n2, 0.9, 0.60, 0.40, 0.4, 0.20\n"
)


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"weights")


@pytest.fixture
def timm_run(tmp_path: Path) -> Path:
    root = tmp_path / "20260101-120000-resnet18-224"
    touch(root, "model_best.pth.tar", "last.pth.tar", "checkpoint-1.pth.tar",
          "checkpoint-10.pth.tar", "checkpoint-2.pth.tar", "recovery-1-5.pth.tar")  # fmt: skip
    (root / "summary.csv").write_text(TIMM_CSV)
    data = tmp_path / "data"
    touch(data, "train/10/a.png", "train/2/a.JPG", "train/1/a.jpeg", "train/empty/readme.txt")
    (root / "args.yaml").write_text(f"model: resnet18\ndata_dir: {data}\nnum_classes: 3\n")
    return root


@pytest.fixture
def detect_run(tmp_path: Path) -> Path:
    root = tmp_path / "detect"
    touch(root, "weights/best.pt", "weights/last.pt", "weights/epoch0.pt", "weights/epoch1.pt")
    (root / "results.csv").write_text(DETECT_CSV)
    (root / "args.yaml").write_text("task: detect\nmodel: yolo11n.pt\nimgsz: 640\n")
    return root


@pytest.fixture
def plain_run(tmp_path: Path) -> Path:
    root = tmp_path / "plain"
    touch(root, "checkpoints/best.pth", "checkpoints/last.pth", "checkpoints/epoch_7.pth")
    return root


def test_a_timm_run(timm_run: Path) -> None:
    run = read_run_directory(timm_run)
    assert run.framework == "timm"
    assert run.task_type is TaskType.IMAGE_CLASSIFICATION
    assert run.model_name == "resnet18"
    assert run.class_names == ("1", "2", "10")
    assert run.class_names_source == f"folders of {timm_run.parent / 'data' / 'train'}"
    assert run.num_classes == 3
    assert [row.epoch for row in run.epochs] == [0, 1, 2]
    best = run.epochs[1]
    assert (best.primary_metric_name, best.primary_metric_value) == ("accuracy", 0.625)
    assert best.overall_loss == 1.2
    assert best.metrics["top5_accuracy"] == 0.9
    assert best.metrics["eval_top1"] == 62.5
    assert [entry.name for entry in run.checkpoints] == ["best", "last", "1", "2", "10"]
    json.dumps(run.config)


def test_an_ultralytics_run_counts_its_checkpoints_from_0(detect_run: Path) -> None:
    run = read_run_directory(detect_run)
    assert run.framework == "ultralytics"
    assert run.task_type is TaskType.OBJECT_DETECTION
    assert run.model_name == "yolo11n"
    assert [row.epoch for row in run.epochs] == [0, 1]
    assert run.epochs[0].primary_metric_name == "ultralytics_mAP50-95"
    assert run.epochs[0].primary_metric_value == 0.3
    assert run.epochs[0].overall_loss == 0.75
    assert run.epochs[0].metrics["metrics/mAP50(B)"] == 0.5
    found = {entry.name: entry.metric for entry in run.checkpoints}
    assert found == {"best": 0.4, "last": 0.4, "0": 0.3, "1": 0.4}


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("/home/me/weights/yolo11n.pt", "yolo11n"),
        ("yolo11n-seg.yaml", "yolo11n-seg"),
        ("D:\\\\models\\\\yolov8x.pt", "yolov8x"),
        ("runs/detect/train/weights/best.pt", "best"),
        ("yolo11n", "yolo11n"),
        ("''", None),
    ],
)
def test_the_name_of_a_yolo_model_is_no_path(
    detect_run: Path, model: str, name: str | None
) -> None:
    quoted = model if model == "''" else f'"{model}"'
    (detect_run / "args.yaml").write_text(f"task: detect\nmodel: {quoted}\n")
    assert read_run_directory(detect_run).model_name == name


@pytest.mark.parametrize("model", ["vit_base_patch16_224.augreg_in21k", "hf-hub:timm/resnet18.a1"])
def test_the_name_of_a_timm_model_is_kept(timm_run: Path, model: str) -> None:
    (timm_run / "args.yaml").write_text(f"model: {model}\ndata_dir: /nowhere\n")
    assert read_run_directory(timm_run).model_name == model


@pytest.mark.parametrize(
    ("task", "column", "name", "task_type"),
    [
        ("segment", "metrics/mAP50-95(M)", "ultralytics_mask_mAP50-95", "instance_segmentation"),
        ("pose", "metrics/mAP50-95(P)", "ultralytics_pose_mAP50-95", "pose_estimation"),
        ("classify", "metrics/accuracy_top1", "accuracy", "image_classification"),
    ],
)
def test_the_primary_metric_of_other_tasks(
    tmp_path: Path, task: str, column: str, name: str, task_type: str
) -> None:
    (tmp_path / "args.yaml").write_text(f"task: {task}\nmodel: m.pt\n")
    boxes = "" if task == "classify" else ",metrics/mAP50-95(B)"
    (tmp_path / "results.csv").write_text(
        f"epoch,{column}{boxes}\n1,0.25{',0.5' if boxes else ''}\n"
    )
    run = read_run_directory(tmp_path)
    assert run.task_type == task_type
    assert run.epochs[0].primary_metric_name == name
    assert run.epochs[0].primary_metric_value == 0.25


def test_rows_that_were_cut_off_repeated_or_not_finite(timm_run: Path) -> None:
    (timm_run / "summary.csv").write_text(TIMM_CSV + "1,1.5,nan,70.0,95.0,0.1\n3,1.2\n,\n\n")
    rows = {row.epoch: row for row in read_run_directory(timm_run).epochs}
    assert sorted(rows) == [0, 1, 2, 3]
    assert rows[1].primary_metric_value == 0.7
    assert rows[1].overall_loss is None
    assert rows[3].primary_metric_name is None


def test_a_file_of_class_names_wins_over_folders(timm_run: Path) -> None:
    (timm_run / "class_names.txt").write_text("one\ntwo\nten\n")
    run = read_run_directory(timm_run)
    assert (run.class_names, run.class_names_source) == (("one", "two", "ten"), "class_names.txt")


def test_a_class_map_wins_over_folders(timm_run: Path) -> None:
    data = timm_run.parent / "data"
    (data / "map.txt").write_text("2\n10\n1\n")
    (timm_run / "args.yaml").write_text(f"model: m\ndata_dir: {data}\nclass_map: map.txt\n")
    assert read_run_directory(timm_run).class_names == ("2", "10", "1")


def test_class_names_are_unknown_where_the_data_is_elsewhere(timm_run: Path) -> None:
    (timm_run / "args.yaml").write_text("model: resnet18\ndata_dir: /nowhere\nnum_classes: 3\n")
    run = read_run_directory(timm_run)
    assert (run.class_names, run.class_names_source, run.num_classes) == (None, None, 3)


def test_a_plain_checkpoints_folder(plain_run: Path) -> None:
    run = read_run_directory(plain_run)
    assert (run.framework, run.task_type, run.model_name) == (None, None, None)
    assert [(entry.name, entry.epoch) for entry in run.checkpoints] == [
        ("best", None), ("last", None), ("7", 7)]  # fmt: skip


def test_what_is_no_run_directory(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError) as caught:
            read_run_directory(path)
        assert caught.value.code == "RUN_DIRECTORY_UNKNOWN"
    with pytest.raises(InputError, match=r"args\.yaml.*summary\.csv.*weights/best\.pt"):
        read_run_directory(tmp_path)


@pytest.mark.parametrize(
    "text", ["- a list\n", "a: [1\n", "!!python/object/apply:os.system [id]\n"]
)
def test_arguments_that_are_no_mapping(timm_run: Path, text: str) -> None:
    (timm_run / "args.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_run_directory(timm_run)
    assert caught.value.code == "RUN_DIRECTORY_INVALID"


def test_checkpoints_resolve_in_every_layout(
    timm_run: Path, detect_run: Path, plain_run: Path
) -> None:
    for root, which, name in [
        (timm_run, "best", "model_best.pth.tar"),
        (timm_run, "last", "last.pth.tar"),
        (timm_run, "2", "checkpoint-2.pth.tar"),
        (timm_run, "02", "checkpoint-2.pth.tar"),
        (detect_run, "best", "weights/best.pt"),
        (detect_run, "1", "weights/epoch1.pt"),
        (plain_run, "best", "checkpoints/best.pth"),
        (plain_run, "7", "checkpoints/epoch_7.pth"),
    ]:
        assert resolve_checkpoint(root, which) == root.resolve() / name
    assert resolve_checkpoint(timm_run, "best", "timm").name == "model_best.pth.tar"
    assert list_checkpoints(timm_run)[0].metric == 0.625


@pytest.mark.parametrize("which", ["3", "worst", "../last", "-1", "²"])
def test_a_missing_checkpoint_lists_those_that_exist(timm_run: Path, which: str) -> None:
    with pytest.raises(InputError, match="existing: best, last, 1, 2, 10") as caught:
        resolve_checkpoint(timm_run, which)
    assert caught.value.code == "CHECKPOINT_NOT_FOUND"
