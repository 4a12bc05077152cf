"""Sets of weights in a checkpoint: those of the training, and averaged ones (EMA)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.adapters.checkpoints.integrity import invalid

if TYPE_CHECKING:
    from torch import Tensor

AVERAGED_KEYS = (
    "state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict", "ema_model", "ema",
    "params_ema", "averaged_model",
)  # fmt: skip
PLAIN_KEYS = (
    "state_dict", "model_state_dict", "model", "model_state", "net", "network", "params", "weights",
    "module",
)  # fmt: skip
# Lightning's callback WeightAveraging stores the averaged weights as `state_dict`.
_LIGHTNING_PLAIN, _LIGHTNING_AVERAGING = "current_model_state", "averaging_state"
_INNER_KEYS = ("state_dict", "model_state_dict", "module", "model", "shadow", "params")
_MAX_DEPTH = 2
_EXPECTED = "state_dict, model_state_dict, model, state_dict_ema or model_ema"


@dataclass(frozen=True, slots=True)
class WeightSet:
    """One set of weights of a file.

    Attributes:
        key: where it is (``state_dict_ema``, ``ema.module``); ``file`` if the file is itself a
            state dict.
        state: name -> tensor, as stored.
        averaged: an average over the steps of the training.
        unused: keys of the other sets.
    """

    key: str
    state: dict[str, Tensor]
    averaged: bool = False
    unused: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The key of this set and of the others, for people."""
        return f"{self.key} (not used: {', '.join(self.unused)})" if self.unused else self.key


def choose_weights(path: Path, content: Mapping[str, Any], *, use_ema: bool) -> WeightSet:
    """Return the set of weights of a file that is to be loaded.

    Args:
        path: of the file, for messages.
        content: of the file.
        use_ema: take averaged weights if the file has them.

    Raises:
        InputError: CHECKPOINT_INVALID, the file has no weights, only averaged ones that are not
            wanted, or several sets without a known key.
    """
    found = _known(content) or _unknown(path, content)
    if not found:
        keys = ", ".join(map(str, list(content)[:10]))
        raise invalid(
            path, f"it has the keys {keys}. Expected a state dict, or one under {_EXPECTED}."
        )
    wanted = [one for one in found if one.averaged == use_ema]
    if not wanted and not use_ema:
        raise invalid(
            path,
            f"it holds only averaged weights ({found[0].key}), and model.use_ema is false. "
            "Expected weights that are not averaged, too. Set model.use_ema=true.",
        )
    chosen = (wanted or found)[0]
    unused = tuple(one.key for one in found if one is not chosen)
    return WeightSet(chosen.key, chosen.state, chosen.averaged, unused)


def _known(content: Mapping[str, Any]) -> list[WeightSet]:
    averaged: tuple[str, ...] = AVERAGED_KEYS
    plain: tuple[str, ...] = PLAIN_KEYS
    if _LIGHTNING_AVERAGING in content and _state_of(content.get(_LIGHTNING_PLAIN)) is not None:
        averaged, plain = ("state_dict", *averaged), (_LIGHTNING_PLAIN, *plain[1:])
    found = []
    for keys, is_averaged in ((averaged, True), (plain, False)):
        for key in keys:
            state = _state_of(content.get(key))
            if state is not None:
                inner, tensors = state
                found.append(WeightSet(".".join((key, *inner)), tensors, is_averaged))
    return found


def _unknown(path: Path, content: Mapping[str, Any]) -> list[WeightSet]:
    """Return the file itself if it is a state dict, or the only state dict that it holds."""
    own = tensors_of(content)
    nested = [
        WeightSet(str(key), state)
        for key, value in content.items()
        if isinstance(value, Mapping) and len(state := tensors_of(value)) > len(own)
    ]
    if own and not nested:
        return [WeightSet("file", own)]
    if len(nested) > 1:
        keys = ", ".join(one.key for one in nested)
        raise invalid(
            path,
            f"it holds several sets of weights ({keys}). Expected one, under {_EXPECTED}. Save the "
            "one to evaluate: torch.save(checkpoint[KEY], path).",
        )
    return nested


def _state_of(value: Any, depth: int = 0) -> tuple[tuple[str, ...], dict[str, Tensor]] | None:
    """Find a state dict in a value, or in a wrapper around it; return the keys and the tensors."""
    if not isinstance(value, Mapping):
        return None
    if depth < _MAX_DEPTH:
        for key in _INNER_KEYS:
            found = _state_of(value.get(key), depth + 1)
            if found is not None:
                return (key, *found[0]), found[1]
    tensors = tensors_of(value)
    return ((), tensors) if tensors else None


def tensors_of(value: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the tensors of a mapping with names for keys; empty for any other mapping."""
    return dict(_named_tensors(value)) if all(isinstance(key, str) for key in value) else {}


def _named_tensors(value: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    import torch

    for name, tensor in value.items():
        if isinstance(tensor, torch.Tensor):
            yield name, tensor
