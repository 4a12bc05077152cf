"""The configuration of an inference job from what a person gives: a file, images, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.loader import apply_overrides, build_as, read_yaml
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.runs.predict import Images, path_of


def predict_config_of(
    config: str | Path | Mapping[str, Any] | None,
    images: Images | None = None,
    *,
    settings: Mapping[str, Any],
    overrides: Sequence[str] = (),
) -> PredictConfig:
    """Put a configuration together; what comes later wins: file, settings, overrides.

    Args:
        config: a YAML file, a mapping of the same keys, or None.
        images: take the place of ``dataset.path``.
        settings: dotted key -> value; None leaves the key alone.
        overrides: ``key.sub=value`` words.

    Raises:
        ConfigError: MODEL_MISSING, nothing says which model; or what is wrong with a key.
    """
    where = str(config) if isinstance(config, str | Path) else "configuration"
    data: Any = read_yaml(config) if isinstance(config, str | Path) else dict(config or {})
    if data is not None and not isinstance(data, dict):
        return build_as(PredictConfig, data, where=where)  # which says what was expected
    data = apply_overrides(data or {}, ())
    named: dict[str, Any] = {
        **settings,
        "dataset.path": path_of(images) if images is not None else None,
    }
    for key, value in named.items():
        if value is not None:
            _put(data, key, value, where)
    data = apply_overrides(data, overrides)
    if not data.get("model"):
        raise ConfigError(
            "MODEL_MISSING",
            "a model was expected: a configuration file, a training job (--job NAME, with "
            "--checkpoint best, last or an epoch), or a file (--checkpoint FILE --adapter timm or "
            "ultralytics).",
        )
    return build_as(PredictConfig, data, where=where)


def _put(data: dict[str, Any], key: str, value: Any, where: str) -> None:
    section, _, leaf = key.rpartition(".")
    below = data.setdefault(section, {}) if section else data
    if below is None:  # a section with nothing in it, in YAML
        below = data[section] = {}
    if not isinstance(below, dict):
        raise ConfigError("CONFIG_INVALID", f"{where}: {section}: a section was expected.")
    below[leaf] = value
