"""The configuration of a test run; ``snellen schema`` prints its JSON Schema.

``auto`` is the default of every setting that follows from the machine or the checkpoint.
"""

from __future__ import annotations

from typing import ClassVar

from snellen.pipelines.config.base import EVALUATION, Preset
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.config.metrics import MetricsConfig
from snellen.pipelines.config.sections import CommonConfig


class EvaluateConfig(CommonConfig):
    """The configuration of a test run."""

    preset: ClassVar[Preset] = EVALUATION

    dataset: DatasetConfig
    metrics: MetricsConfig = MetricsConfig()
