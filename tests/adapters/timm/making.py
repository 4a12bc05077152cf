"""Load timm checkpoints for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from snellen.adapters.timm.adapter import TimmAdapter
from snellen.adapters.types import AdapterSpec


def adapter_of(path: Path | str, **fields: Any) -> TimmAdapter:
    return TimmAdapter.from_spec(AdapterSpec("timm", checkpoint=str(path), **fields), device="cpu")


def head_of(model: nn.Module) -> nn.Linear:
    """Return the last layer of a ``test_resnet``."""
    head = model.fc
    assert isinstance(head, nn.Linear)
    return head
