"""Train tiny YOLO models on the shapes: detect, segment, pose and classify.

    python examples/shapes/make_dataset.py --root demo-data/shapes
    python examples/shapes/train.py --root demo-data/shapes --task detect --out tiny-detect.pt

Training takes two to three minutes per task on two cores. ultralytics is AGPL-3.0.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from snellen.adapters.ultralytics.environment import import_ultralytics

SCALE = [0.33, 0.125, 512]
"""Depth, width and maximum channels, for about half a million parameters."""
FAMILIES = {"8": ("v8", "yolov8"), "11": ("11", "yolo11"), "26": ("26", "yolo26")}
"""Folder and file name of the model descriptions; 26 has a head without NMS."""
ENDINGS = {"detect": "", "segment": "-seg", "pose": "-pose", "classify": "-cls"}


def model_yaml(task: str, family: str, folder: Path) -> Path:
    """Write the description of the model with a smaller scale."""
    import yaml

    ultralytics = import_ultralytics()
    subfolder, name = FAMILIES[family]
    models = Path(ultralytics.__path__[0]) / "cfg" / "models"
    source = models / subfolder / f"{name}{ENDINGS[task]}.yaml"
    document = yaml.safe_load(source.read_text())
    document["scales"] = {"n": SCALE}
    document["nc"] = 3
    if task == "pose":
        document["kpt_shape"] = [4, 3]
    path = folder / f"tiny-{task}{'' if family == '11' else '-' + family}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def train(root: Path, task: str, family: str, *, epochs: int, out: Path) -> Path:
    """Train one task and write the stripped best checkpoint to ``out``."""
    import_ultralytics()
    from ultralytics import YOLO

    model = YOLO(str(model_yaml(task, family, root)), task=task)
    data = root / "classify" if task == "classify" else root / task / "data.yaml"
    model.train(
        data=str(data.absolute()),
        imgsz=160 if task != "classify" else 64,
        epochs=epochs,
        batch=16,
        optimizer="AdamW",
        lr0=0.003,
        mosaic=0.0,
        device="cpu",
        workers=0,
        seed=0,
        deterministic=True,
        plots=False,
        verbose=False,
        project=str((root / "runs").absolute()),
        name=f"{task}-{family}",
        exist_ok=True,
    )
    best = root / "runs" / f"{task}-{family}" / "weights" / "best.pt"
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(best, out)
    strip_checkpoint(out)
    return out


def strip_checkpoint(path: Path) -> None:
    """Remove the traces of this machine from a checkpoint: paths, dates, the optimizer, git.

    The model, the task and the input size are kept for inference.
    """
    import_ultralytics()
    import torch
    from ultralytics.nn.tasks import torch_safe_load

    content = torch_safe_load(str(path), safe_only=True)[0]
    model = content.get("ema") or content["model"]
    arguments = {key: content["train_args"][key] for key in ("task", "imgsz")}
    model.args = dict(arguments)
    model.yaml["yaml_file"] = Path(model.yaml["yaml_file"]).name
    model.criterion = None
    kept = {key: content.get(key) for key in ("epoch", "version", "license", "docs")}
    torch.save({**kept, "model": model, "train_args": arguments}, path)


def main() -> None:
    """Train the task that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("demo-data/shapes"))
    parser.add_argument("--task", choices=sorted(ENDINGS), required=True)
    parser.add_argument("--family", choices=list(FAMILIES), default="11")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    print(f"Training {arguments.task} for {arguments.epochs} epochs ...")
    path = train(
        arguments.root,
        arguments.task,
        arguments.family,
        epochs=arguments.epochs,
        out=arguments.out,
    )
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
