"""Draw a small dataset of coloured shapes with boxes, outlines and keypoints.

It is written as YOLO folders (boxes, polygons, keypoints), as COCO JSON, and as class folders of
single shapes. Images have several sizes, most of them not square. Some images are crowded, some
shapes are small, faint, similar or overlapping, so that a small model makes every kind of error.
The same seed gives the same files.

    python examples/shapes/make_dataset.py --root demo-data/shapes
"""

from __future__ import annotations

import argparse
import json
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

CLASSES = ("circle", "square", "triangle")
SIZES = ((160, 160), (160, 120), (120, 160), (200, 120), (144, 160), (340, 260))
COLOURS = ((220, 60, 50), (50, 120, 220), (60, 170, 80), (200, 160, 40))
COUNTS = {"train": 400, "val": 60, "test": 120}
_STEPS = 24


@dataclass(frozen=True)
class Shape:
    """A drawn shape; ``outline`` and ``points`` are in pixels, clipped to the image."""

    class_id: int
    outline: list[tuple[float, float]]
    points: list[tuple[float, float, int]]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 of the outline."""
        xs, ys = [p[0] for p in self.outline], [p[1] for p in self.outline]
        return min(xs), min(ys), max(xs), max(ys)


def outline_of(
    class_id: int, centre: tuple[float, float], radius: float, turn: float
) -> list[tuple[float, float]]:
    """Return the corners of a shape."""
    count = (_STEPS, 4, 3)[class_id]
    first = turn + (math.pi / 4 if class_id == 1 else -math.pi / 2)
    return [
        (
            centre[0] + radius * math.cos(first + 2 * math.pi * k / count),
            centre[1] + radius * math.sin(first + 2 * math.pi * k / count),
        )
        for k in range(count)
    ]


def make_shape(rng: random.Random, size: tuple[int, int], hard: bool) -> Shape:
    """Return a shape of random class, position and size inside the image."""
    width, height = size
    small, large = (5, 12) if hard and rng.random() < 0.5 else (14, 34)
    # Larger images have larger shapes, so that every area range of COCO occurs.
    radius = rng.uniform(small, large) * max(1.0, min(size) / 130)
    class_id = rng.randrange(len(CLASSES))
    centre = (rng.uniform(radius, width - radius), rng.uniform(radius, height - radius))
    turn = rng.uniform(-0.3, 0.3)
    outline = [
        (min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0))
        for x, y in outline_of(class_id, centre, radius, turn)
    ]
    top = min(outline, key=lambda p: p[1])
    left = min(outline, key=lambda p: p[0])
    right = max(outline, key=lambda p: p[0])
    seen = [(x, y, 2) for x, y in (top, left, right)]
    # The centre is never visible, and sometimes not labelled.
    centre_seen = 1 if rng.random() < 0.8 else 0
    middle = (centre[0], centre[1], 1) if centre_seen else (0.0, 0.0, 0)
    return Shape(class_id, outline, [*seen, middle])


def make_scene(rng: random.Random, hard: bool) -> tuple[Image.Image, list[Shape]]:
    """Draw an image and return it with its shapes."""
    size = rng.choice(SIZES)
    level = rng.randrange(200, 246)
    image = Image.new("RGB", size, (level, level, level))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        shade = max(0, level - rng.randrange(10, 60))
        draw.rectangle([x, y, x + 2, y + 2], fill=(shade, shade, shade))
    count = rng.randrange(5, 9) if hard else rng.randrange(1, 4)
    if hard and rng.random() < 0.1:
        count = 0
    shapes = [make_shape(rng, size, hard) for _ in range(count)]
    for shape in shapes:
        colour = rng.choice(COLOURS)
        if hard and rng.random() < 0.25:
            colour = tuple(int(level - (level - c) * 0.2) for c in colour)  # type: ignore[assignment]
        draw.polygon(shape.outline, fill=colour)
    return image, shapes


def yolo_line(shape: Shape, size: tuple[int, int], kind: str) -> str:
    """Return one line of a label file of the kind detect, segment or pose."""
    width, height = size
    if kind == "segment":
        flat = [v for x, y in shape.outline for v in (x / width, y / height)]
        return " ".join([str(shape.class_id), *(f"{value!r}" for value in flat)])
    x1, y1, x2, y2 = shape.box
    values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
    words = [str(shape.class_id), *(f"{value!r}" for value in values)]
    if kind == "pose":
        for x, y, seen in shape.points:
            words += [f"{x / width!r}", f"{y / height!r}", str(seen)]
    return " ".join(words)


def coco_annotation(shape: Shape, number: int, image_id: int) -> dict[str, Any]:
    """Return one annotation; the category ids have gaps."""
    x1, y1, x2, y2 = shape.box
    area = abs(
        sum(
            a[0] * b[1] - b[0] * a[1]
            for a, b in zip(shape.outline, [*shape.outline[1:], shape.outline[0]], strict=True)
        )
    )
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 10 + 5 * shape.class_id,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": area / 2,
        "iscrowd": 0,
        "segmentation": [[value for point in shape.outline for value in point]],
        "keypoints": [value for point in shape.points for value in point],
        "num_keypoints": sum(point[2] > 0 for point in shape.points),
    }


def write_split(root: Path, split: str, count: int, seed: int) -> None:
    """Write one split in every format."""
    rng = random.Random(f"{seed}-{split}")
    document: dict[str, Any] = {"images": [], "annotations": []}
    document["categories"] = [{"id": 10 + 5 * k, "name": name} for k, name in enumerate(CLASSES)]
    for index in range(count):
        hard = index % 3 == 0
        image, shapes = make_scene(rng, hard)
        name = f"{index:04d}.png"
        for kind in ("detect", "segment", "pose"):
            folder = root / kind / "images" / split
            labels = root / kind / "labels" / split
            folder.mkdir(parents=True, exist_ok=True)
            labels.mkdir(parents=True, exist_ok=True)
            image.save(folder / name)
            lines = [yolo_line(shape, image.size, kind) for shape in shapes]
            (labels / name).with_suffix(".txt").write_text("".join(f"{x}\n" for x in lines))
        document["images"].append(
            {"id": 1000 + index, "file_name": name, "width": image.width, "height": image.height}
        )
        for shape in shapes:
            number = len(document["annotations"]) + 1
            document["annotations"].append(coco_annotation(shape, number, 1000 + index))
    (root / f"{split}.json").write_text(json.dumps(document))


def write_classes(root: Path, split: str, count: int, seed: int) -> None:
    """Write class folders of images with a single shape."""
    rng = random.Random(f"{seed}-classify-{split}")
    for index in range(count):
        size = rng.choice(SIZES)
        level = rng.randrange(180, 246)
        image = Image.new("RGB", size, (level, level, level))
        shape = make_shape(rng, size, hard=index % 3 == 0)
        ImageDraw.Draw(image).polygon(shape.outline, fill=rng.choice(COLOURS))
        folder = root / "classify" / split / CLASSES[shape.class_id]
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{index:04d}.png")


def write_yaml(root: Path) -> None:
    """Write data.yaml of the three YOLO datasets."""
    names = "\n".join(f"  {k}: {name}" for k, name in enumerate(CLASSES))
    for kind in ("detect", "segment", "pose"):
        text = f"path: {(root / kind).absolute()}\n"
        text += "".join(f"{split}: images/{split}\n" for split in COUNTS)
        if kind == "pose":
            text += "kpt_shape: [4, 3]\nflip_idx: [0, 2, 1, 3]\n"
        (root / kind / "data.yaml").write_text(f"{text}names:\n{names}\n")


def make(root: Path, *, counts: dict[str, int] | None = None, seed: int = 0) -> None:
    """Write the whole dataset below ``root``."""
    for split, count in (counts or COUNTS).items():
        write_split(root, split, count, seed)
        write_classes(root, split, count, seed)
    write_yaml(root)


def main() -> None:
    """Write the dataset that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("demo-data/shapes"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--splits", nargs="+", choices=list(COUNTS), default=list(COUNTS))
    arguments = parser.parse_args()
    counts = {split: COUNTS[split] for split in arguments.splits}
    print(f"Drawing {sum(counts.values())} scenes in {arguments.root} ...")
    make(arguments.root, counts=counts, seed=arguments.seed)
    print("Done")


if __name__ == "__main__":
    main()
