"""Conditions on images, such as ``brightness<0.3`` and ``meta_camera=front``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import nearest
from snellen.analysis.weak_slices.measures import (
    MEASURES,
    column_names,
    measured_numbers,
    read_columns,
    value_names,
)
from snellen.store.parquet.results import Results

Bools = npt.NDArray[np.bool_]
_FORM = re.compile(r"^\s*([A-Za-z_][\w.-]*?)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*$")
_ORDER: dict[str, Callable[[Any, float], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one value of an image.

    Attributes:
        name: a column of the result rows, or one of `MEASURES`.
        sign: ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        value: a number for the last four; else the value, or the name of a bin such as ``small``.
    """

    name: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition.

        Raises:
            ConfigError: CONDITION, the text is no condition.

        Example:
            >>> Condition.parse("brightness < 0.3")
            Condition(name='brightness', sign='<', value='0.3')
        """
        match = _FORM.match(text)
        if match is None:
            raise ConfigError(
                "CONDITION",
                f"{text!r} is no condition. Expected a column, a sign (=, !=, <, <=, >, >=) and a "
                "value. For example: --where 'brightness<0.3'",
            )
        found = cls(*match.groups())
        if found.sign in _ORDER and not _is_number(found.value):
            raise ConfigError(
                "CONDITION",
                f"{text!r} compares with {found.value!r}. Expected a number after {found.sign}. "
                f"For example: --where '{found.name}{found.sign}10'",
            )
        return found

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.name}{self.sign}{self.value}"

    def holds(self, table: pa.Table) -> Bools:
        """Return True for each row that meets the condition; one without a value does not.

        Args:
            table: with the columns that `read_columns` names.
        """
        if self.sign in _ORDER:
            with np.errstate(invalid="ignore"):
                found = _ORDER[self.sign](measured_numbers(table, self.name), float(self.value))
            return np.asarray(found, np.bool_)
        same = np.array([name == self.value for name in value_names(table, self.name)], np.bool_)
        return same if self.sign == "=" else ~same


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def images_where(results: Results, conditions: Sequence[Condition]) -> list[int]:
    """Return the ``image_index`` of the images that meet all conditions.

    Raises:
        ConfigError: CONDITION, a column that the results do not have.
    """
    known = results.lazy().collect_schema().names()
    for condition in conditions:
        missing = [name for name in read_columns(condition.name) if name not in known]
        if missing:
            names = [*MEASURES, *column_names(known)]
            raise ConfigError(
                "CONDITION",
                f"'{condition}': the results have no '{condition.name}'"
                f"{nearest(condition.name, names) or '.'} Expected one of {', '.join(names)}.",
            )
    columns = dict.fromkeys(name for one in conditions for name in read_columns(one.name))
    found: list[int] = []
    for table in results.iter_units(list(dict.fromkeys(("image_index", *columns)))):
        chosen = np.ones(len(table), np.bool_)
        for condition in conditions:
            chosen &= condition.holds(table)
        found += table["image_index"].to_numpy()[chosen].tolist()
    return found
