"""Write scikit-learn's 1,797 handwritten digits as an image folder.

    python examples/digits/make_dataset.py --root demo-data/digits

writes ``<root>/{train,val,test}/<digit>/<NNNN>.png``: grey PNG files of 32 x 32 pixels, named by
their index in scikit-learn's dataset. A fifth of the digits is the test split and a fifth of the
rest the validation split (which selects the best epoch), stratified by class. The same seed gives
the same files.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

SPLITS = ("train", "val", "test")
SIDE = 32
SEED = 0
_WHITE = 16  # scikit-learn's pixels are 0 (paper) to 16 (ink)


def write_digits(root: Path, seed: int = SEED) -> dict[str, int]:
    """Write all digits; an older dataset in ``root`` is replaced.

    Args:
        root: folder of the splits.
        seed: random seed of the splits.

    Returns:
        The number of images per split.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    labels = digits.target
    rest, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=seed
    )
    train, val = train_test_split(rest, test_size=0.2, stratify=labels[rest], random_state=seed)
    for split, members in zip(SPLITS, (train, val, test), strict=True):
        shutil.rmtree(root / split, ignore_errors=True)
        for index in members:
            target = root / split / str(labels[index]) / f"{index:04d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            ink = (digits.images[index] * (255 / _WHITE)).round().astype(np.uint8)
            small = Image.fromarray(ink)
            small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(target)
    return dict(zip(SPLITS, map(len, (train, val, test)), strict=True))


def main() -> None:
    """Write the dataset."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("demo-data/digits"),
        help="folder to write into (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=SEED, help="random seed of the splits (default: %(default)s)"
    )
    arguments = parser.parse_args()
    print("Writing scikit-learn's handwritten digits as PNG files ...", flush=True)
    counts = write_digits(arguments.root, arguments.seed)
    listed = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    print(f"{sum(counts.values()):,} digits in {arguments.root}: {listed}")


if __name__ == "__main__":
    main()
