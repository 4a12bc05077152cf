"""The configuration that the arguments of ``eval`` and ``plan`` amount to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from snellen.adapters.errors import InputError
from snellen.cli.run.words import Named, sort_words
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_as, merged
from snellen.pipelines.config.stored import shown_config
from snellen.pipelines.progress import Reporter
from snellen.store.atomic_file import write_atomically


@dataclass(frozen=True, slots=True)
class Written:
    """A configuration as it was written: only the keys that were given.

    Attributes:
        data: these keys, nested.
        parsed: the whole configuration.
        from_file: it is a file, with or without overrides.
    """

    data: Mapping[str, Any]
    parsed: EvaluateConfig
    from_file: bool

    def shown(self, reporter: Reporter, save_as: str | None) -> EvaluateConfig:
        """Show the YAML that arguments amount to, write it to a file, and return the whole.

        Neither has the password of the database.

        Raises:
            InputError: OUTPUT_TAKEN, the file exists.
            RunError: it cannot be written.
        """
        text = yaml.safe_dump(shown_config(self.data), sort_keys=False, allow_unicode=True)
        if save_as is not None:
            _save(text, Path(save_as))
            reporter.note(f"Configuration written to {save_as}")
        elif not self.from_file:
            lines = indent(text.rstrip(), "    ")
            reporter.note(f"Configuration (--save-config FILE writes it to a file):\n{lines}")
        return self.parsed


def read_evaluation(words: Sequence[str], named: Named, settings: Mapping[str, Any]) -> Written:
    """Read the configuration that arguments and options amount to.

    Args:
        words: the arguments.
        named: model and dataset of the options.
        settings: further keys of the options: dotted key -> value; None is ignored.

    Raises:
        ConfigError: wrong arguments, or an invalid configuration.
    """
    found = sort_words(words, named)
    data, where = merged(found.config, {**found.settings, **settings}, found.overrides)
    return Written(data, build_as(EvaluateConfig, data, where=where), found.config is not None)


def frozen_setting(file: str | None) -> dict[str, Any]:
    """Return the setting that a file of chosen thresholds holds: dotted key -> value.

    Raises:
        ConfigError: the file holds no thresholds of a detector.
    """
    if file is None:
        return {}
    from snellen.analysis.operating_points.frozen import KEY, read_frozen

    return {KEY: read_frozen(file).applied()}


def _save(text: str, file: Path) -> None:
    if file.exists():
        raise InputError(
            "OUTPUT_TAKEN",
            f"--save-config: '{file}' exists. Expected a new file. Remove it or name another one.",
        )
    write_atomically(file, text.encode())
