"""What every part of a configuration is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt

Auto = Literal["auto"]
PositiveInt = Annotated[StrictInt, Field(gt=0)]
AutoInt = Auto | PositiveInt
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
MaxFailed = Annotated[StrictInt, Field(ge=0)] | Annotated[StrictFloat, Field(ge=0.0, lt=1.0)]


class Section(BaseModel):
    """A part of the configuration: immutable, unknown keys refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, protected_namespaces=()
    )
