"""Checks against damaged and hostile checkpoints: decompression bombs, NaN weights."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.adapters.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

# Checkpoints are stored uncompressed; a larger expansion is a decompression bomb.
_MAX_EXPANSION = 4


def invalid(path: Path, why: str) -> InputError:
    """Return the error of a file that can be read but is not a usable checkpoint."""
    return InputError("CHECKPOINT_INVALID", f"checkpoint {str(path)!r}: {why}")


def unreadable(path: Path, why: str) -> InputError:
    """Return the error of a file that is empty, truncated or in another format."""
    return InputError(
        "CHECKPOINT_UNREADABLE",
        f"checkpoint {str(path)!r} cannot be read as torch.save or safetensors: {why}",
    )


def check_expansion(path: Path, size: int) -> None:
    """Reject a zip archive that unpacks to far more than its ``size`` bytes.

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
    """Reject tensors that are larger than their storage, then those that are not finite.

    Expanded tensors are found before anything reads their elements.

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
