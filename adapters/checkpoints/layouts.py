"""Layouts of training run directories: the files of ``best``, ``last`` and epoch N.

| layout | best | last | epoch N |
|---|---|---|---|
| timm | model_best.pth.tar | last.pth.tar | checkpoint-N.pth.tar |
| ultralytics | weights/best.pt | weights/last.pt | weights/epochN.pt |
| checkpoints | checkpoints/best.pth | checkpoints/last.pth | checkpoints/epoch_N.pth |

N is the checkpoint's own numbering: from 0 with timm and Ultralytics (whose results.csv counts
from 1, so that row N + 1 belongs to ``epochN.pt``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from snellen.adapters.checkpoints.training_log import read_epochs
from snellen.adapters.errors import InputError


@dataclass(frozen=True, slots=True)
class Layout:
    """File names of one framework, relative to the run directory; ``*`` is the epoch."""

    framework: str
    best: str
    last: str
    epoch: str


LAYOUTS: tuple[Layout, ...] = (
    Layout("timm", "model_best.pth.tar", "last.pth.tar", "checkpoint-*.pth.tar"),
    Layout("ultralytics", "weights/best.pt", "weights/last.pt", "weights/epoch*.pt"),
    Layout(
        "checkpoints", "checkpoints/best.pth", "checkpoints/last.pth", "checkpoints/epoch_*.pth"
    ),
)

CHECKPOINT_FOLDERS = ("checkpoints", "weights")
"""Folders of a run directory that may hold checkpoints, besides the directory itself."""


_MARKS = ("args.yaml", "config.json", "summary.csv", "results.csv", *CHECKPOINT_FOLDERS)


def names_run_directory(text: str) -> bool:
    """Return True for the path of a folder that may be a run directory.

    A word without a slash may also be the name of a job: beside a folder of that name it is a path
    only if the folder has the files of a run.
    """
    path = Path(text).expanduser()
    if not path.is_dir():
        return False
    looks_like_one = any((path / name).exists() for name in _MARKS) or any(path.glob("*.pth.tar"))
    return "/" in text or looks_like_one


@dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """One checkpoint of a run.

    Attributes:
        name: ``best``, ``last`` or the epoch number as text.
        epoch: the checkpoint's own numbering, None for best and last.
        path: absolute.
        metric: the run's primary metric at that epoch, if its csv file has it.
    """

    name: str
    epoch: int | None
    path: Path
    metric: float | None


def list_checkpoints(output_dir: str | Path) -> list[CheckpointEntry]:
    """List the checkpoints of a run: best, last, then epochs in rising order.

    If a directory has files of several layouts, those of the first layout are listed.
    """
    root = Path(output_dir).expanduser().resolve()
    for layout in LAYOUTS:
        entries = _entries(root, layout)
        if entries:
            return entries
    return []


def resolve_checkpoint(output_dir: str | Path, which: str, framework: str | None = None) -> Path:
    """Find the checkpoint ``best``, ``last`` or of an epoch in a run directory.

    Args:
        output_dir: the run directory.
        which: ``best``, ``last`` or an epoch number in the checkpoint's own numbering.
        framework: look only in this framework's layout (or ``checkpoints``).

    Returns:
        The absolute path of an existing file.

    Raises:
        InputError: CHECKPOINT_NOT_FOUND, listing the checkpoints that exist.
    """
    root = Path(output_dir).expanduser().resolve()
    known = [layout for layout in LAYOUTS if framework in (None, layout.framework)]
    # A framework without a layout of its own uses the plain one.
    entries = [entry for layout in known or LAYOUTS[-1:] for entry in _entries(root, layout)]
    wanted = str(int(which)) if which.isdecimal() else which
    for entry in entries:
        if entry.name == wanted:
            return entry.path
    existing = ", ".join(entry.name for entry in entries) or "none"
    raise InputError(
        "CHECKPOINT_NOT_FOUND",
        f"{str(root)!r} has no checkpoint {which!r}. Expected best, last or an epoch number; "
        f"existing: {existing}",
    )


def _entries(root: Path, layout: Layout) -> list[CheckpointEntry]:
    pattern = re.compile(re.escape(Path(layout.epoch).name).replace(r"\*", r"(\d+)"))
    folder = (root / layout.epoch).parent
    numbered: dict[int, Path] = {}
    if folder.is_dir():
        for path in folder.iterdir():
            found = pattern.fullmatch(path.name)
            if found and path.is_file():
                numbered[int(found.group(1))] = path
    named = [("best", root / layout.best), ("last", root / layout.last)]
    if not numbered and not any(path.is_file() for _, path in named):
        return []
    metrics = {row.epoch: row.primary_metric_value for row in read_epochs(root)}
    known = {epoch: value for epoch, value in metrics.items() if value is not None}
    best = max(known.values(), default=None)
    last = metrics[max(metrics)] if metrics else None
    entries = [
        CheckpointEntry(name, None, path, best if name == "best" else last)
        for name, path in named
        if path.is_file()
    ]
    entries += [CheckpointEntry(str(n), n, numbered[n], metrics.get(n)) for n in sorted(numbered)]
    return entries
