"""Classes named by id or by name."""

from __future__ import annotations

import pytest

from snellen.adapters.errors import ConfigError
from snellen.metrics.class_filter import choose_class

NAMES = ["cat", "crane", "a:b", "crane", "7"]


def choose(wanted: int | str, *, background: bool = False, names: list[str] = NAMES) -> int:
    return choose_class(wanted, names, where="--true", background=background)


def test_names_ids_and_the_background() -> None:
    assert [choose(w) for w in ("cat", "a:b", "7", "crane [3]", 3)] == [0, 2, 4, 3, 3]
    assert choose("background", background=True) == -1


def test_a_class_may_be_called_background() -> None:
    names = ["background", "cat"]
    assert choose("background", background=True, names=names) == 0
    assert choose("(background)", background=True, names=names) == -1


def test_an_unknown_class_is_rejected() -> None:
    for wanted, message in (
        ("cta", r"--true cta: the run has no such class; did you mean cat\? Expected one of cat, "),
        ("background", "no such class"),
        (5, "--true 5 is no class id. Expected 0 to 4"),
        (-1, "Expected 0 to 4"),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            choose(wanted)
        assert caught.value.code == "CLASS_UNKNOWN"
    with pytest.raises(ConfigError, match=r"2 classes .*'crane \[1\]', 'crane \[3\]'") as caught:
        choose("crane")
    assert caught.value.code == "CLASS_SHARED"
    with pytest.raises(ConfigError, match=r"and 988 more\.$"):
        choose("x", names=[str(number) for number in range(1000)])
