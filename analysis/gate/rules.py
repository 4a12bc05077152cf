"""The rules of a gate, read from a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, FiniteFloat, StrictBool, model_validator

from snellen.pipelines.config.base import Section
from snellen.pipelines.config.loader import load_as

Drop = Annotated[FiniteFloat, Field(ge=0.0)]


class RuleSlice(Section):
    """The images that a rule is about."""

    by: str = Field(description="image_size, object_size, object_count or a column (meta_camera).")
    value: str = Field(description="Name of the slice, such as small.")


class Rule(Section):
    """One condition on a metric."""

    model_config = ConfigDict(populate_by_name=True)

    metric: str = Field(description="Key of a metric, such as mAP50-95.")
    class_name: str | None = Field(
        None, alias="class", description="Name of a class; '*' for every class."
    )
    slice: RuleSlice | None = Field(None, description="Only the images of a slice.")
    min: FiniteFloat | None = Field(None, description="Smallest accepted value.")
    max: FiniteFloat | None = Field(None, description="Largest accepted value.")
    max_drop: Drop | None = Field(None, description="Accepted loss against the baseline.")
    relative: StrictBool = Field(
        False, description="max_drop is a fraction of the baseline's value."
    )
    confident: StrictBool = Field(
        False, description="The whole interval has to meet min or max, not the value alone."
    )
    tier: Literal["required", "advisory"] = Field(
        "required", description="advisory: reported, but the gate does not depend on it."
    )

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        given = [name for name in ("min", "max", "max_drop") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected one of min, max and max_drop, got {' and '.join(given) or 'none'}"
            )
        if self.max_drop is None and self.relative:
            raise ValueError("relative belongs to max_drop")
        if self.max_drop is not None and self.confident:
            raise ValueError("confident belongs to min and max; max_drop has its interval anyway")
        if self.class_name is not None and self.slice is not None:
            raise ValueError("expected a class or a slice, got both")
        return self

    @property
    def condition(self) -> str:
        """The condition in words: ``min 0.5, confident``."""
        (name,) = [name for name in ("min", "max", "max_drop") if getattr(self, name) is not None]
        more = [word for word in ("relative", "confident") if getattr(self, word)]
        return ", ".join([f"{name} {getattr(self, name):g}", *more])

    @property
    def is_paired(self) -> bool:
        """True if the rule compares with the baseline."""
        return self.max_drop is not None


class GateRules(Section):
    """The file of rules."""

    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]


def read_rules(path: str | Path) -> tuple[Rule, ...]:
    """Read a file of rules.

    Raises:
        ConfigError: the file does not exist, or a rule is invalid, with its key.
    """
    return load_as(GateRules, path).rules
