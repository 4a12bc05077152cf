"""Masks of a large image are exact and made in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DETECTIONS, WIDTH, HEIGHT = 60, 4000, 3000
MAX_MB = 600
"""All masks at once would be 2,880 MB as float32; 300 of them grow by 190 MB as well."""

CODE = f"""
import json, resource
from snellen.adapters.ultralytics.boxes import masks_of
from snellen.adapters.ultralytics.environment import import_ultralytics
import torch
import_ultralytics()
from ultralytics.utils import ops
torch.manual_seed(0)
corner = torch.rand({DETECTIONS}, 2) * torch.tensor([{WIDTH} * .9, {HEIGHT} * .9])
side = torch.tensor([{WIDTH} * .1, {HEIGHT} * .1])
boxes = torch.cat([corner, corner + side], 1)
found = torch.cat([boxes, torch.rand({DETECTIONS}, 2), torch.randn({DETECTIONS}, 32)], 1)
protos = torch.randn(32, 160, 160)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
ops.process_mask_native(protos, found[:1, 6:], found[:1, :4], (64, 64))
before = peak()
masks, kept = masks_of(found, protos, ({WIDTH}, {HEIGHT}))
grown = peak() - before
from pycocotools import mask as rle
for place in (0, len(kept) - 1):
    part = found[kept[place]][None]
    whole = ops.process_mask_native(protos, part[:, 6:], part[:, :4], ({HEIGHT}, {WIDTH}))[0]
    size = [{HEIGHT}, {WIDTH}]
    mine = rle.decode(dict(size=size, counts=masks[place]))
    assert (mine.astype(bool) == whole.numpy().astype(bool)).all()
print(json.dumps(dict(masks=len(masks), grown=grown)))
"""


@pytest.mark.slow
def test_many_masks_of_12_megapixels_do_not_need_gigabytes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["masks"] > DETECTIONS * 0.9
    assert found["grown"] < MAX_MB
