"""Settings that define a metric: runs that differ in them measure different things."""

from __future__ import annotations

import json

from snellen.adapters.errors import InputError
from snellen.pipelines.config.loader import build_config
from snellen.store.views import RunView

_DEFINING = ("max_dets", "kpt_sigmas")
"""Keys of ``metrics`` on which AP depends, besides the classes."""


def check_same_definitions(a: RunView, b: RunView) -> None:
    """Check that the metrics of two runs are defined alike.

    Raises:
        InputError: COMPARE_METRICS, naming each setting, and the command that computes the metrics
            of one run as those of the other.
    """
    first, second = (build_config(run.config).metrics for run in (a, b))
    different = [key for key in _DEFINING if getattr(first, key) != getattr(second, key)]
    if not different:
        return
    listed = "; ".join(
        f"metrics.{key} {_shown(getattr(first, key))} and {_shown(getattr(second, key))}"
        for key in different
    )
    words = " ".join(f"'metrics.{key}={_shown(getattr(first, key))}'" for key in different)
    raise InputError(
        "COMPARE_METRICS",
        f"runs {a.id} and {b.id} define their metrics differently: {listed}. Expected the same "
        f"settings. Compute one of them again: snellen rescore {b.id} {words}",
    )


def _shown(value: object) -> str:
    return json.dumps(value)
