"""Strict loading of a checkpoint's tensors into a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snellen.adapters.checkpoints.prefix import COUNTER
from snellen.adapters.checkpoints.state_dict import LoadedCheckpoint
from snellen.adapters.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

_NAMED = 10
_POSITIONS = ("pos_embed", "position_embedding", "relative_position", "rel_pos")


def apply_state(
    model: nn.Module,
    loaded: LoadedCheckpoint,
    *,
    by_position: bool = False,
    classifiers: Sequence[str] = (),
) -> None:
    """Load a checkpoint's weights into a model, strictly.

    Counters of batch normalisation (``num_batches_tracked``) may lack: inference does not read
    them, and files of old versions do not have them.

    Args:
        model: on the CPU; changed in place.
        loaded: the checkpoint.
        by_position: pair the tensors by their order instead of their names; the lists of shapes
            must be equal. It is never the default: two layers of one shape in another order would
            be swapped without an error.
        classifiers: module names of the last layer, so that the error names it.

    Raises:
        InputError: CHECKPOINT_MISMATCH, with the first ten names of each kind.
    """
    wanted = model.state_dict()
    state = _paired(wanted, loaded) if by_position else dict(loaded.state_dict)
    for name, tensor in wanted.items():
        if name.endswith(COUNTER) and name.replace(COUNTER, "running_mean") in state:
            state.setdefault(name, tensor)
    differences = _Differences.of(wanted, state)
    if differences.any:
        how = " by position" if by_position else ""
        raise InputError(
            "CHECKPOINT_MISMATCH",
            f"checkpoint {str(loaded.path)!r} does not fit the model{how}: "
            f"{differences.text(loaded, classifiers)}",
        )
    model.load_state_dict(state, strict=True)


def _paired(wanted: dict[str, Tensor], loaded: LoadedCheckpoint) -> dict[str, Tensor]:
    if len(wanted) != len(loaded.state_dict):
        raise InputError(
            "CHECKPOINT_MISMATCH",
            f"checkpoint {str(loaded.path)!r} has {len(loaded.state_dict)} tensors, the model "
            f"{len(wanted)}: they cannot be matched by position. Expected the same number. Set "
            "model.architecture to the one of the training.",
        )
    return dict(zip(wanted, loaded.state_dict.values(), strict=True))


@dataclass(frozen=True, slots=True)
class _Differences:
    """Differences between the tensors of a model and those of a checkpoint, as names.

    Attributes:
        wanted, state: the tensors of the model and of the checkpoint.
        missing: only in the model.
        unexpected: only in the file.
        shapes: in both, with different shapes.
    """

    wanted: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    missing: list[str]
    unexpected: list[str]
    shapes: list[str]

    @classmethod
    def of(cls, wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> _Differences:
        """Compare two state dicts."""
        return cls(
            wanted,
            state,
            [name for name in wanted if name not in state],
            [name for name in state if name not in wanted],
            [n for n in wanted if n in state and state[n].shape != wanted[n].shape],
        )

    @property
    def any(self) -> bool:
        """True if the checkpoint cannot be loaded."""
        return bool(self.missing or self.unexpected or self.shapes)

    def text(self, loaded: LoadedCheckpoint, classifiers: Sequence[str]) -> str:
        """Describe the differences of both sides, and what to do about them."""
        cause, fix = self._cause(classifiers)
        shapes = [
            f"{name} {tuple(self.state[name].shape)} in the file, "
            f"{tuple(self.wanted[name].shape)} in the model"
            for name in self.shapes
        ]
        parts = [
            *([cause] if cause else []),
            *_listing("only in the file", [*self.unexpected, *loaded.outside]),
            *_listing("only in the model", self.missing),
            *_listing("with a different shape", shapes),
        ]
        return f"{'; '.join(parts)}. {fix}"

    def _cause(self, classifiers: Sequence[str]) -> tuple[str, str]:
        """Return what is wrong, as far as it can be told, and the expectation with its fix."""
        differing = [*self.missing, *self.unexpected, *self.shapes]
        head = [name for name in differing if name.rpartition(".")[0] in classifiers]
        if self.shapes and set(head) & set(self.shapes):
            name = next(name for name in self.shapes if name in head)
            counts = self.state[name].shape[0], self.wanted[name].shape[0]
            cause = f"wrong class count: the checkpoint has {counts[0]} outputs, the model "
            if len(head) == len(differing):
                fix = f"Set model.options.num_classes={counts[0]}, or remove that option."
                return f"{cause}{counts[1]}; the other tensors fit", f"Expected {counts[0]}. {fix}"
            return f"{cause}{counts[1]}", self._expected()
        if head and len(head) == len(self.missing) == len(differing):
            return (
                f"it has no last layer ({', '.join(classifiers)}); the other tensors fit",
                "Expected a classifier. Save the model together with its last layer.",
            )
        if self.shapes and all(any(p in name for p in _POSITIONS) for name in differing):
            return (
                "its positions are for another input size; the other tensors fit",
                "Expected the input size of the training. Set preprocess.img_size to it, or "
                "model.options.model_kwargs={dynamic_img_size: true} if the model has that.",
            )
        return "", self._expected()

    def _expected(self) -> str:
        shapes = [[t.shape for t in tensors.values()] for tensors in (self.state, self.wanted)]
        if self.missing and shapes[0] == shapes[1]:
            return (
                "Only the names differ: the shapes are the same in the same order. Expected the "
                "names of the model. If another implementation of it was saved, set "
                "model.match=position."
            )
        fitting = len(self.wanted) - len(self.missing) - len(self.shapes)
        found = f"{fitting} of the model's {len(self.wanted)} tensors fit."
        if 2 * fitting > len(self.wanted):
            return (
                f"{found} Expected all of them. Set model.architecture and "
                "model.options.model_kwargs to those of the training."
            )
        return f"{found} Expected all of them. Set model.architecture to the one of the training."


def _listing(what: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    if not names:
        return []
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{len(names)} {what}: {', '.join(names[:_NAMED])}{more}"]
