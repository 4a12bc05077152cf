"""Write the real weights of EfficientNet-Lite0, from a package, as a timm run directory.

python -m benchmarks.lite0 FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import yaml

from examples.photographs.make_dataset import copy_weights
from snellen.adapters.timm.adapter import TimmAdapter
from snellen.adapters.types import AdapterSpec

ARGUMENTS = {
    "model": "tf_efficientnet_lite0",
    "num_classes": 1000,
    "crop_pct": 0.875,
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}


def write_run(folder: Path) -> None:
    """Create the folder with ``args.yaml`` and ``model_best.pth.tar``."""
    folder.mkdir(parents=True)
    spec = AdapterSpec(
        "timm",
        str(copy_weights(folder / "package")),
        architecture=str(ARGUMENTS["model"]),
        options={"match": "position"},
    )
    state = TimmAdapter.from_spec(spec, device="cpu").model.state_dict()
    (folder / "args.yaml").write_text(yaml.safe_dump(ARGUMENTS))
    content = {"arch": ARGUMENTS["model"], "state_dict": state, "args": ARGUMENTS}
    torch.save(content, folder / "model_best.pth.tar")


if __name__ == "__main__":
    write_run(Path(sys.argv[1]))
