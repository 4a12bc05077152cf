"""Prefixes of the names in a state dict: the module of a trainer around the model, for example."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from snellen.adapters.checkpoints.state_dict import LoadedCheckpoint
from snellen.adapters.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]
"""Name -> shape of a model's tensors."""
COUNTER = "num_batches_tracked"
"""Last part of the name of a counter of batch normalisation, which inference does not read."""
_NAMED = 5
_AVERAGED = re.compile(r"(^|[._])(ema|swa|avg|average|averaged)([._]|$)")


@dataclass(frozen=True, slots=True)
class PrefixChoice:
    """Settings that choose one of several models in a state dict.

    Attributes:
        prefix: the prefix to take; None takes the only one that fits.
        use_ema: of an averaged model and another one, take the averaged.
        free: module names whose shapes may differ: the last layer, whose size is not known yet.
    """

    prefix: str | None = None
    use_ema: bool = True
    free: Sequence[str] = ()


def strip_prefix(
    loaded: LoadedCheckpoint, wanted: Shapes, choice: PrefixChoice
) -> LoadedCheckpoint:
    """Return the checkpoint with the names of a model.

    A prefix is any number of module names (``model.``, ``module._orig_mod.model.``). It is removed
    if what is left has every tensor of the model in its shape. Then other tensors outside of it,
    such as the weights of a loss, are ignored, and the checkpoint's ``weights`` name them. Names
    that fit no model stay as they are, but for the prefix that most of them share.

    Args:
        loaded: the checkpoint.
        wanted: names and shapes of the model.
        choice: which model to take where the state dict holds several.

    Raises:
        InputError: CHECKPOINT_MISMATCH, several models fit, or the chosen prefix does not.
    """
    state = loaded.state_dict
    votes = _votes(state, wanted)
    complete = [p for p, count in votes.items() if _covers(state, p, wanted, choice.free)]
    if choice.prefix is not None:
        prefix = _given(choice.prefix, list(votes), loaded)
    elif complete:
        prefix = _one_of(_distinct(state, complete, wanted), choice, loaded)
    else:
        prefix = max(votes, key=lambda p: (votes[p], -len(p)), default="")
    others = [p for p in complete if p != prefix]
    return _stripped(loaded, prefix, others, fits=prefix in complete)


def _votes(state: Mapping[str, Tensor], wanted: Shapes) -> Counter[str]:
    """Count for each prefix the names that it is followed by a name of the model in."""
    votes: Counter[str] = Counter()
    for name in state:
        starts = [0, *(at + 1 for at, letter in enumerate(name) if letter == ".")]
        votes.update(name[:at] for at in starts if name[at:] in wanted)
    return votes


def _covers(state: Mapping[str, Tensor], prefix: str, wanted: Shapes, free: Sequence[str]) -> bool:
    for name, shape in wanted.items():
        tensor = state.get(prefix + name)
        if tensor is None:
            if not name.endswith(COUNTER):
                return False
        elif tuple(tensor.shape) != shape and name.rpartition(".")[0] not in free:
            return False
    return True


def _distinct(state: Mapping[str, Tensor], prefixes: list[str], wanted: Shapes) -> list[str]:
    """Return the prefixes without those whose tensors equal another's: one module, two names."""
    import torch

    kept: list[str] = []
    for prefix in sorted(prefixes, key=len):
        names = [name for name in wanted if prefix + name in state]
        if not any(
            all(
                other + n in state and torch.equal(state[prefix + n], state[other + n])
                for n in names
            )
            for other in kept
        ):
            kept.append(prefix)
    return kept


def _given(prefix: str, found: list[str], loaded: LoadedCheckpoint) -> str:
    wanted = prefix if not prefix or prefix.endswith(".") else f"{prefix}."
    if wanted in found:
        return wanted
    listed = ", ".join(map(repr, found[:_NAMED])) or "none"
    raise InputError(
        "CHECKPOINT_MISMATCH",
        f"checkpoint {str(loaded.path)!r} has no tensors of the model under the prefix {wanted!r} "
        f"(model.options.prefix). Expected one of its prefixes: {listed}.",
    )


def _one_of(prefixes: list[str], choice: PrefixChoice, loaded: LoadedCheckpoint) -> str:
    averaged = [prefix for prefix in prefixes if _AVERAGED.search(prefix)]
    plain = [prefix for prefix in prefixes if prefix not in averaged]
    wanted = (averaged if choice.use_ema else plain) or prefixes
    if len(averaged) > 1 or len(plain) > 1:
        listed = ", ".join(map(repr, prefixes[:_NAMED]))
        raise InputError(
            "CHECKPOINT_MISMATCH",
            f"checkpoint {str(loaded.path)!r} holds {len(prefixes)} models of this architecture, "
            f"with the prefixes {listed}. Expected one. Set model.options.prefix={prefixes[0]!r} "
            "or another.",
        )
    if not choice.use_ema and not plain and not loaded.averaged:
        raise InputError(
            "CHECKPOINT_MISMATCH",
            f"checkpoint {str(loaded.path)!r} holds only averaged weights ({averaged[0]!r}), and "
            "model.use_ema is false. Expected weights that are not averaged, too. Set "
            "model.use_ema=true.",
        )
    return wanted[0]


def _stripped(
    loaded: LoadedCheckpoint, prefix: str, others: list[str], *, fits: bool
) -> LoadedCheckpoint:
    inside = {
        name.removeprefix(prefix): tensor
        for name, tensor in loaded.state_dict.items()
        if name.startswith(prefix)
    }
    outside = [name for name in loaded.state_dict if not name.startswith(prefix)]
    weights = f"{loaded.weights} without the prefix {prefix!r}" if prefix else loaded.weights
    if others:
        weights += f"; not used: prefix {', '.join(map(repr, others))}"
    unnamed = [name for name in outside if not any(name.startswith(p) for p in others if p)]
    if fits and unnamed:
        more = f" and {len(unnamed) - _NAMED} more" if len(unnamed) > _NAMED else ""
        weights += f"; ignored {len(unnamed)} other tensors: {', '.join(unnamed[:_NAMED])}{more}"
    return replace(loaded, state_dict=inside, weights=weights, outside=tuple(outside))
