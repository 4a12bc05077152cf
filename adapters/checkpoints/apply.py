"""Strict loading of a checkpoint's tensors into a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from snellen.adapters.checkpoints.state_dict import LoadedCheckpoint
from snellen.adapters.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

_NAMED = 10


def apply_state(
    model: nn.Module,
    loaded: LoadedCheckpoint,
    *,
    by_position: bool = False,
    classifiers: Sequence[str] = (),
) -> None:
    """Load a checkpoint's weights into a model, strictly.

    Args:
        model: on the CPU; changed in place.
        loaded: the checkpoint.
        by_position: pair the tensors by their order instead of their names; the lists of shapes
            must be equal. It is never the default: two layers of one shape in another order would
            be swapped without an error.
        classifiers: module names of the last layer, so that the error names a wrong number of
            classes as such.

    Raises:
        InputError: CHECKPOINT_MISMATCH, with the first ten keys.
    """
    wanted = model.state_dict()
    state = _paired(wanted, loaded) if by_position else loaded.state_dict
    _check(wanted, state, loaded, classifiers, by_position)
    model.load_state_dict(state, strict=True)


def _paired(wanted: dict[str, Tensor], loaded: LoadedCheckpoint) -> dict[str, Tensor]:
    if len(wanted) != len(loaded.state_dict):
        raise InputError(
            "CHECKPOINT_MISMATCH",
            f"checkpoint {str(loaded.path)!r} has {len(loaded.state_dict)} tensors, the model "
            f"{len(wanted)}: they cannot be matched by position",
        )
    return dict(zip(wanted, loaded.state_dict.values(), strict=True))


def _check(
    wanted: dict[str, Tensor],
    state: dict[str, Tensor],
    loaded: LoadedCheckpoint,
    classifiers: Sequence[str],
    by_position: bool,
) -> None:
    missing = [name for name in wanted if name not in state]
    unexpected = [name for name in state if name not in wanted]
    shapes = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    if not (missing or unexpected or shapes):
        return
    parts = []
    for name in shapes:
        if name.rpartition(".")[0] in classifiers:
            parts.append(
                f"wrong class count: the checkpoint has {state[name].shape[0]} outputs, "
                f"the model {wanted[name].shape[0]}"
            )
            break
    parts += _listing("missing", missing)
    parts += _listing("unexpected", unexpected)
    parts += _listing(
        "with a different shape",
        [f"{n} {tuple(state[n].shape)} for {tuple(wanted[n].shape)}" for n in shapes],
    )
    how = " by position" if by_position else ""
    raise InputError(
        "CHECKPOINT_MISMATCH",
        f"checkpoint {str(loaded.path)!r} does not fit the model{how}: {'; '.join(parts)}. "
        "Expected the tensors of the model: set the architecture and options of the training.",
    )


def _listing(what: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    if not names:
        return []
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{len(names)} {what}: {', '.join(names[:_NAMED])}{more}"]
