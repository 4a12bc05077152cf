"""timm's evaluation transform up to normalisation, as uint8, from plain JSON settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from snellen.adapters.errors import ConfigError, ErrorCode, ErrorStage, ImageError
from snellen.adapters.images.decode import MAX_PIXELS
from snellen.adapters.plugins import nearest
from snellen.adapters.types import DecodedImage, Preprocessed

OVERRIDES = ("img_size", "crop_pct", "crop_mode", "interpolation", "mean", "std")
CROP_MODES = ("center", "squash", "border")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
# Arguments of timm's trainer that its data config reads, besides the size and the channels.
_RUN_KEYS = OVERRIDES[1:]
_MAX_SIDE = 8192


def check_overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Validate the ``preprocess`` settings of a timm model.

    Args:
        overrides: ``img_size`` (pixels, or [height, width]), ``crop_pct`` (0 to 1],
            ``crop_mode``, ``interpolation``, ``mean`` and ``std`` (of pixels scaled to 0..1).

    Raises:
        ConfigError: PREPROCESS_INVALID naming the key.
    """
    checks: dict[str, tuple[Callable[[Any], bool], str]] = {
        "img_size": (lambda value: all(map(_is_side, _pair(value))), f"1 to {_MAX_SIDE} pixels"),
        "crop_pct": (lambda v: _is_number(v) and 0 < v <= 1, "a number above 0 and up to 1"),
        "crop_mode": (CROP_MODES.__contains__, f"one of {', '.join(CROP_MODES)}"),
        "interpolation": (INTERPOLATIONS.__contains__, f"one of {', '.join(INTERPOLATIONS)}"),
        "mean": (_are_numbers, "a list of numbers, one per channel"),
        "std": (lambda v: _are_numbers(v) and min(v) > 0, "a list of numbers above 0"),
    }
    for key, value in overrides.items():
        if key not in checks:
            raise ConfigError(
                "PREPROCESS_INVALID",
                f"preprocess.{key} is unknown to timm. Expected one of {', '.join(OVERRIDES)}"
                f"{nearest(key, OVERRIDES) or '.'}",
            )
        passes, expected = checks[key]
        if not passes(value):
            raise ConfigError(
                "PREPROCESS_INVALID", f"preprocess.{key} is {value!r}. Expected {expected}."
            )
    return dict(overrides)


@dataclass(frozen=True, slots=True)
class DataSources:
    """Sources of a model's data config.

    Attributes:
        overrides: the ``preprocess`` settings; they win.
        run_args: arguments of the training run.
        run_source: name of the run's arguments, for people ("args.yaml").
        described: the model's description is that of a ``config.json``, not timm's.
        size: height and width, where the run or the model states them.
        testing: prefer the size and the crop for tests, as ``validate.py`` does; timm's trainer
            does not. None: without a run.
    """

    overrides: Mapping[str, Any] = field(default_factory=dict)
    run_args: Mapping[str, Any] = field(default_factory=dict)
    run_source: str = "args.yaml"
    described: bool = False
    size: tuple[int, int] | None = None
    testing: bool | None = None


def resolve_config(model: Any, sources: DataSources, channels: int) -> dict[str, Any]:
    """Resolve a model's data config: settings over the run's arguments over its description.

    Args:
        model: anything with timm's ``pretrained_cfg``.
        sources: the settings and the run.
        channels: of the input.

    Returns:
        JSON-serialisable: input_size [C, H, W], interpolation, mean, std, crop_pct, crop_mode, and
        ``source``, for people ("timm test config; settings: crop_pct").

    Raises:
        ConfigError: PREPROCESS_INVALID.
    """
    from timm.data import resolve_data_config

    stated = {
        key: sources.run_args[key]
        for key in _RUN_KEYS
        if sources.run_args.get(key) not in (None, "", [])
    }
    args = {**stated, **{k: v for k, v in sources.overrides.items() if k != "img_size"}}
    size = sources.overrides.get("img_size") or sources.size
    if size is not None:
        args["input_size"] = (channels, *_pair(size))
    args["in_chans"] = channels
    testing = not sources.run_args if sources.testing is None else sources.testing
    try:
        config = resolve_data_config(args, model=model, use_test_size=testing)
        height, width = map(int, config["input_size"][-2:])
        resolved = {
            "interpolation": str(config["interpolation"]),
            "mean": _adapted(config["mean"], channels),
            "std": _adapted(config["std"], channels),
            "crop_pct": float(config["crop_pct"]),
            "crop_mode": str(config["crop_mode"]),
        }
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(
            "PREPROCESS_INVALID",
            f"timm cannot resolve the preprocessing from {args}: {error}; mean and std need one "
            f"number or one for each of {channels} channels",
        ) from error
    base = "timm test config" if testing and _has_test_values(model) else "timm config"
    if sources.described:
        check_overrides({"img_size": [height, width], **resolved})
        base = "config.json"
    if sources.size is not None and sources.run_args:
        stated["img_size"] = sources.size
    source = _source(base, stated, sources)
    return {"input_size": [channels, height, width], **resolved, "source": source}


def _has_test_values(model: Any) -> bool:
    config = model.pretrained_cfg
    return any(config.get(key) is not None for key in ("test_input_size", "test_crop_pct"))


def _source(base: str, stated: Mapping[str, Any], sources: DataSources) -> str:
    of_run = [key for key in OVERRIDES if key in stated and key not in sources.overrides]
    if of_run:
        base = f"{base}; {sources.run_source}: {', '.join(of_run)}"
    return sourced(base, sources.overrides)


def sourced(base: str, overrides: Mapping[str, Any]) -> str:
    """Return the source of a preprocessing, for people, with the settings that override it."""
    settings = [key for key in OVERRIDES if key in overrides]
    if len(settings) == len(OVERRIDES) or base == "settings":
        return "settings"
    return f"{base}; settings: {', '.join(settings)}" if settings else base


class TimmPreprocessor:
    """Preprocessor that resizes and crops as timm's evaluation does, without normalisation."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Build timm's transform from the result of ``resolve_config``."""
        from timm.data import create_transform

        self._channels, height, width = config["input_size"]
        self._size = (width, height)
        values = {key: config[key] for key in ("input_size", *OVERRIDES[1:])}
        self._transform = create_transform(**values, is_training=False, use_prefetcher=True)
        side = max(height, width) / config["crop_pct"]
        # The shorter side is resized to `side` and the longer one follows, before the crop.
        self._max_aspect = MAX_PIXELS / side**2 if config["crop_mode"] == "center" else None

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        """Return uint8 of shape (C, H, W), the transform's own pixels.

        Raises:
            ImageError: DIMENSION, an image so long and thin that resizing its shorter side would
                need more than 64 million pixels.
        """
        aspect = max(image.width, image.height) / min(image.width, image.height)
        if self._max_aspect is not None and aspect > self._max_aspect:
            raise _dimension(image, "resizing its shorter side would exceed the pixel limit")
        picture = Image.fromarray(image.pixels)
        if self._channels == 1:
            picture = picture.convert("L")
        try:
            tensor = self._transform(picture)
        except ValueError as error:
            raise _dimension(image, str(error)) from error
        return Preprocessed.of(tensor.contiguous().numpy(), image)

    def region(self, image: DecodedImage) -> tuple[float, float, float, float]:
        """Return the part of an image that the model sees: x1, y1, x2, y2, pixels of the image.

        The part reaches beyond the image where the transform pads it.
        """
        picture = Image.fromarray(image.pixels)
        resize, *_ = self._transform.transforms
        width, height = resize(picture).size
        left, top = (
            round((side - used) / 2) for side, used in zip((width, height), self._size, strict=True)
        )
        across, down = image.width / width, image.height / height
        right, bottom = left + self._size[0], top + self._size[1]
        return left * across, top * down, right * across, bottom * down


def _dimension(image: DecodedImage, why: str) -> ImageError:
    return ImageError(
        ErrorStage.PREPROCESS,
        ErrorCode.DIMENSION,
        f"{image.width} x {image.height} cannot be prepared for the model: {why}",
    )


def _adapted(values: Sequence[float], channels: int) -> list[float]:
    """Return a mean or deviation per channel, as timm's loader does."""
    numbers = [float(value) for value in values]
    if len(numbers) == channels:
        return numbers
    return [sum(numbers) / len(numbers)] * channels


def _pair(size: Any) -> tuple[Any, Any]:
    if isinstance(size, (list, tuple)):
        return (size[0], size[-1]) if 1 <= len(size) <= 2 else (None, None)
    return size, size


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_SIDE


def _are_numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(map(_is_number, value))
