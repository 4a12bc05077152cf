"""Checkpoints that are small on disk and enormous in memory, or that hold no numbers: refused."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.adapters.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

# A checkpoint is stored, not compressed; more than this unpacked is a bomb.
_MAX_EXPANSION = 4


def invalid(path: Path, why: str) -> InputError:
    """The error of a file that can be read and is no checkpoint of ours."""
    return InputError("CHECKPOINT_INVALID", f"checkpoint {str(path)!r}: {why}")


def unreadable(path: Path, why: str) -> InputError:
    """The error of a file that is empty, truncated, or something else altogether."""
    return InputError(
        "CHECKPOINT_UNREADABLE",
        f"checkpoint {str(path)!r} cannot be read as torch.save or safetensors: {why}",
    )


def check_expansion(path: Path, size: int) -> None:
    """Refuse a zip archive that unpacks to far more than its ``size`` bytes.

    Raises:
        InputError: CHECKPOINT_INVALID; CHECKPOINT_UNREADABLE for a damaged archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise unreadable(path, str(error)) from error
    if unpacked > _MAX_EXPANSION * size + 2**20:
        raise invalid(path, f"{size} bytes would unpack to {unpacked}")


def check_tensors(path: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are larger than their storage, before anything touches the elements.

    Then those that are not finite.

    Raises:
        InputError: CHECKPOINT_INVALID, with the tensor's name.
    """
    import torch

    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise invalid(path, f"tensor {name!r} is not a plain dense tensor")
        stored = tensor.untyped_storage().nbytes()
        if tensor.numel() * tensor.element_size() > stored:
            raise invalid(
                path,
                f"tensor {name!r} claims {tensor.numel()} elements of shape "
                f"{tuple(tensor.shape)} but stores {stored} bytes",
            )
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
            raise invalid(path, f"tensor {name!r} holds NaN or infinite weights")
