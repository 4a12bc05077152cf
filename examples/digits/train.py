"""Train a tiny timm classifier on the digits on a CPU and write a run directory of timm.

    python examples/digits/train.py --root demo-data/digits

writes ``<root>/runs/<YYYYmmdd-HHMMSS>-<model>-<img>/`` with ``args.yaml``, ``summary.csv``,
``last.pth.tar``, ``model_best.pth.tar`` and ``checkpoint-N.pth.tar``, written by timm's own
``CheckpointSaver`` and ``update_summary``. Images are read with timm's own dataset and
evaluation transform; the only augmentation is a shift by up to two pixels. The same seed on the
same kind of machine gives the same weights.
"""

from __future__ import annotations

import argparse
import time
from collections import OrderedDict
from datetime import datetime
from pathlib import Path

import torch
import yaml
from timm.data import create_dataset, create_transform
from timm.models import create_model
from timm.utils import CheckpointSaver, accuracy, update_summary
from torch import Tensor, nn

SHIFT = 2


def parse_arguments() -> argparse.Namespace:
    """Parse the command line, whose options are named as in timm's ``train.py``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("demo-data/digits"),
        help="folder written by make_dataset.py (default: %(default)s)",
    )
    parser.add_argument(
        "--model", default="test_efficientnet", help="timm model (default: %(default)s)"
    )
    parser.add_argument(
        "--epochs", type=int, default=10, help="number of epochs (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=64, help="images per step (default: %(default)s)"
    )
    parser.add_argument(
        "--lr", type=float, default=3e-3, help="peak learning rate (default: %(default)s)"
    )
    parser.add_argument(
        "--img-size", type=int, default=32, help="side in pixels (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    return parser.parse_args()


def as_timm(given: argparse.Namespace) -> argparse.Namespace:
    """Return the arguments of timm's trainer, which are stored in every checkpoint."""
    return argparse.Namespace(
        data_dir=str(given.root.absolute()),
        dataset="",
        train_split="train",
        val_split="val",
        class_map="",
        model=given.model,
        pretrained=False,
        num_classes=10,
        gp=None,
        img_size=given.img_size,
        in_chans=None,
        input_size=None,
        crop_pct=1.0,
        mean=[0.5, 0.5, 0.5],
        std=[0.5, 0.5, 0.5],
        interpolation="bicubic",
        batch_size=given.batch_size,
        epochs=given.epochs,
        opt="adamw",
        lr=given.lr,
        sched="cosine",
        weight_decay=0.01,
        smoothing=0.0,
        seed=given.seed,
        model_ema=False,
        eval_metric="top1",
        checkpoint_hist=10,
        output=str((given.root / "runs").absolute()),
        experiment="",
    )


def load_split(args: argparse.Namespace, split: str) -> tuple[Tensor, Tensor]:
    """Load a split: normalised images, float32 (N, 3, S, S), and labels, int64 (N,)."""
    transform = create_transform(
        (3, args.img_size, args.img_size),
        is_training=False,
        interpolation=args.interpolation,
        mean=args.mean,
        std=args.std,
        crop_pct=args.crop_pct,
    )
    dataset = create_dataset("", root=args.data_dir, split=split, transform=transform)
    images, labels = zip(*(dataset[index] for index in range(len(dataset))), strict=True)
    stacked = torch.stack(images).contiguous(memory_format=torch.channels_last)
    return stacked, torch.tensor(labels)


def shifted(batch: Tensor) -> Tensor:
    """Shift each image by up to ``SHIFT`` pixels; the margin repeats its edge."""
    side = batch.shape[-1]
    padded = nn.functional.pad(batch, [SHIFT] * 4, mode="replicate")
    moves = torch.randint(0, 2 * SHIFT + 1, (len(batch), 2)).tolist()
    cut = [
        image[:, y : y + side, x : x + side] for image, (y, x) in zip(padded, moves, strict=True)
    ]
    return torch.stack(cut).contiguous(memory_format=torch.channels_last)


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    data: tuple[Tensor, Tensor],
    batch_size: int,
) -> float:
    """Train one epoch in random order and return the mean loss."""
    images, labels = data
    model.train()
    total = 0.0
    for chosen in torch.split(torch.randperm(len(labels)), batch_size):
        loss = nn.functional.cross_entropy(model(shifted(images[chosen])), labels[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        total += loss.item() * len(chosen)
    return total / len(labels)


@torch.inference_mode()
def evaluate(model: nn.Module, data: tuple[Tensor, Tensor]) -> OrderedDict[str, float]:
    """Compute loss, top-1 and top-5 accuracy (percent), with timm's names."""
    images, labels = data
    model.eval()
    outputs = model(images)
    top1, top5 = accuracy(outputs, labels, topk=(1, 5))
    loss = nn.functional.cross_entropy(outputs, labels)
    return OrderedDict(loss=loss.item(), top1=top1.item(), top5=top5.item())


def train(given: argparse.Namespace) -> Path:
    """Train and return the run directory."""
    args = as_timm(given)
    # One thread: a tiny model is slower with more, and the weights would depend on their number.
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    print(f"Reading the images below {given.root} ...", flush=True)
    data, held_out = load_split(args, args.train_split), load_split(args, args.val_split)
    # Channels last is three times as fast on a CPU.
    model = create_model(args.model, num_classes=args.num_classes)
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=args.lr, weight_decay=args.weight_decay, foreach=False
    )
    steps = args.epochs * -(-len(data[1]) // args.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=steps + 1)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    directory = Path(args.output) / f"{stamp}-{args.model}-{args.img_size}"
    directory.mkdir(parents=True)
    (directory / "args.yaml").write_text(yaml.safe_dump(vars(args), default_flow_style=False))
    saver = CheckpointSaver(
        model,
        optimizer,
        args=args,
        checkpoint_dir=str(directory),
        recovery_dir=str(directory),
        max_history=args.checkpoint_hist,
    )
    print(f"Training {args.model} on {len(data[1]):,} images, {args.epochs} epochs ...", flush=True)
    for epoch in range(args.epochs):
        loss = train_epoch(model, optimizer, schedule, data, args.batch_size)
        found = evaluate(model, held_out)
        update_summary(
            epoch,
            OrderedDict(loss=loss),
            found,
            str(directory / "summary.csv"),
            lr=optimizer.param_groups[0]["lr"],
            write_header=epoch == 0,
        )
        saver.save_checkpoint(epoch, metric=found["top1"])
        print(
            f"  epoch {epoch}: loss {loss:.4f}, validation top-1 {found['top1']:.2f} %", flush=True
        )
    return directory


def main() -> None:
    """Train and print the run directory."""
    given = parse_arguments()
    began = time.monotonic()
    directory = train(given)
    print(f"Trained in {time.monotonic() - began:.0f} s; run directory: {directory}")


if __name__ == "__main__":
    main()
