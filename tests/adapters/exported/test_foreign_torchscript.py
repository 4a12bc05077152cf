"""TorchScript classifiers of other exporters: what their outputs are."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from snellen.adapters.errors import InputError
from tests.adapters.exported.linear_classifier import CLASSES, SIDE, check, loaded, weights


class Linear(torch.nn.Module):
    """The same classifier in torch, and a function behind it."""

    def __init__(self, last: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        matrix, bias = weights()
        self.head = torch.nn.Linear(3, CLASSES)
        self.head.load_state_dict(
            {"weight": torch.from_numpy(matrix.T.copy()), "bias": torch.from_numpy(bias)}
        )
        self.last = last

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.head(images.mean((2, 3))))


def traced(path: Path, last: Callable[[torch.Tensor], torch.Tensor]) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        module = torch.jit.trace(  # type: ignore[no-untyped-call]
            Linear(last).eval(), torch.rand(2, 3, SIDE, SIDE)
        )
        module.save(str(path))
    return path


@pytest.mark.parametrize(
    ("last", "options"),
    [
        pytest.param(lambda x: x, {}, id="K-logits"),
        pytest.param(lambda x: x.softmax(1), {}, id="K-softmax"),
        pytest.param(lambda x: x.log_softmax(1).contiguous(), {}, id="K-log-softmax"),
        pytest.param(lambda x: x.softmax(1)[:, None, None, :], {"output": "probabilities"},
                     id="K-stated"),
    ],
)  # fmt: skip
def test_torchscript_results_are_those_of_numpy(
    last: Callable[[torch.Tensor], torch.Tensor], options: dict[str, Any], tmp_path: Path
) -> None:
    check(loaded(traced(tmp_path / "theirs.torchscript", last), **options))


@pytest.mark.parametrize(
    ("last", "message"),
    [
        pytest.param(lambda x: x.softmax(1) * 1.0, "sum to 1", id="K-hidden-softmax"),
        pytest.param(lambda x: x.sigmoid(), "ends in a sigmoid", id="K-sigmoid"),
        pytest.param(lambda x: x.sigmoid() * 1.0, "lie in 0 to 1", id="K-hidden-sigmoid"),
        pytest.param(lambda x: (x, x), "2 outputs", id="K-two-outputs"),
    ],
)
def test_torchscript_outputs_that_are_no_scores_are_rejected(
    last: Callable[[torch.Tensor], Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        loaded(traced(tmp_path / "theirs.torchscript", last))
    assert caught.value.code == "CHECKPOINT_INVALID"
