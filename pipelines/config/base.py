"""Building blocks of every configuration: the section class, value types, presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt

Auto = Literal["auto"]
PositiveInt = Annotated[StrictInt, Field(gt=0)]
AutoInt = Auto | PositiveInt
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
MaxFailed = Annotated[StrictInt, Field(ge=0)] | Annotated[StrictFloat, Field(ge=0.0, lt=1.0)]


class Section(BaseModel):
    """A section of a configuration: immutable, unknown keys are rejected."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, protected_namespaces=()
    )


@dataclass(frozen=True, slots=True)
class Preset:
    """Detector settings that apply where a configuration says ``auto``.

    Attributes:
        min_confidence: value of ``model.min_confidence: auto``.
        multi_label: a box may count for several classes, as average precision expects, or for
            its best class only.
    """

    min_confidence: float
    multi_label: bool


EVALUATION = Preset(min_confidence=0.001, multi_label=True)
PREDICTION = Preset(min_confidence=0.25, multi_label=False)
