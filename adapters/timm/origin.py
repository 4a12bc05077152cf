"""Description of a checkpoint's model by its files: the checkpoint, its run, its config.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snellen.adapters.checkpoints.hub_folder import HubConfig, read_hub_config, weights_of
from snellen.adapters.checkpoints.local_path import check_local_path, check_not_remote
from snellen.adapters.checkpoints.prefix import PrefixChoice, Shapes, strip_prefix
from snellen.adapters.checkpoints.run_directory import RunDirectory, read_run_directory
from snellen.adapters.checkpoints.state_dict import LoadedCheckpoint, load_state
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.timm.model import Size, check_architecture, run_size
from snellen.adapters.types import AdapterSpec


@dataclass(frozen=True, slots=True)
class Origin:
    """Files that a model comes from; all None for random weights.

    Attributes:
        loaded: the checkpoint.
        run: the training run directory around it.
        hub: the ``config.json`` beside it.
    """

    loaded: LoadedCheckpoint | None = None
    run: RunDirectory | None = None
    hub: HubConfig | None = None

    @property
    def run_args(self) -> Mapping[str, Any]:
        """Arguments of the training run; empty for weights without a run."""
        if self.loaded is not None and self.loaded.args:
            return self.loaded.args
        return self.run.config if self.run is not None else {}

    @property
    def run_source(self) -> str:
        """Name of the arguments, for people."""
        return "args.yaml" if self.run is not None else "the checkpoint's args"

    @property
    def size(self) -> Size | None:
        """Height and width that the training run states."""
        return run_size(self.run_args)

    def architecture(self, spec: AdapterSpec) -> tuple[str, dict[str, Any] | None]:
        """Return the model name of timm, and the ``pretrained_cfg`` of a ``config.json``.

        Raises:
            ConfigError: ARCHITECTURE_CONFLICT, the settings name another model than
                ``config.json``.
            InputError: ARCHITECTURE_MISSING, or as `check_architecture`.
        """
        described = self.hub.architecture if self.hub is not None else None
        named = spec.architecture or described or (self.loaded.arch if self.loaded else None)
        named = named or self.run_args.get("model")
        if not isinstance(named, str):
            raise InputError(
                "ARCHITECTURE_MISSING",
                f"checkpoint {spec.checkpoint!r} does not say which model it belongs to. "
                "Expected a model name of timm. Set model.architecture to one of "
                "timm.list_models().",
            )
        named = check_architecture(named)
        if described is None or self.hub is None:
            return named, None
        if named.split(".")[0] != described.split(".")[0]:
            raise ConfigError(
                "ARCHITECTURE_CONFLICT",
                f"model.architecture is {named}, and {self.hub.path} describes {described}. "
                "Expected one model. Remove model.architecture, or move the weights out of the "
                "folder.",
            )
        return named, self.hub.pretrained_cfg

    def named_as(self, shapes: Callable[[], Shapes], choice: PrefixChoice) -> Origin:
        """Return the origin with the prefix of another trainer removed from its checkpoint.

        Args:
            shapes: called for the names and shapes of the model.
            choice: which model to take where the checkpoint holds several.

        Raises:
            InputError: CHECKPOINT_MISMATCH.
        """
        if self.loaded is None:
            return self
        return replace(self, loaded=strip_prefix(self.loaded, shapes(), choice))

    def check_class_count(self, count: int | None) -> None:
        """Check the number of classes of a ``config.json`` against the checkpoint's last layer.

        Raises:
            InputError: CHECKPOINT_MISMATCH.
        """
        stated = self.hub.num_classes if self.hub is not None else None
        if self.hub is not None and count is not None and stated not in (None, count):
            raise InputError(
                "CHECKPOINT_MISMATCH",
                f"{self.hub.path} states num_classes {stated}, and the last layer of the weights "
                f"has {count} outputs. Expected the same number. Correct num_classes, or set "
                f"model.options.num_classes={count}.",
            )

    def class_names(
        self, spec: AdapterSpec, count: int
    ) -> tuple[tuple[str, ...] | None, str | None]:
        """Return the class names and their source; None where no file has fitting names.

        Args:
            spec: settings, whose names win.
            count: number of outputs.

        Raises:
            InputError: CLASS_COUNT, the settings or the checkpoint have another number of names.
        """
        for names, source in (
            (spec.class_names, "settings"),
            (self.loaded.class_names if self.loaded else None, "checkpoint"),
        ):
            if names is not None and len(names) != count:
                raise InputError(
                    "CLASS_COUNT",
                    f"wrong class count: {len(names)} class names in the {source} for a model "
                    f"with {count} outputs ({Path(spec.checkpoint or '').name}). Expected one "
                    "name per output, in order.",
                )
            if names is not None:
                return tuple(names), source
        ignored = None
        # The files may be older than the last layer, or the training folder may have changed.
        for found in (self.hub, self.run):
            if found is None:
                continue
            if found.class_names is not None and len(found.class_names) == count:
                return found.class_names, found.class_names_source
            if found.class_names is not None:
                numbers = f"{len(found.class_names)} names for {count} outputs"
                ignored = f"ignored {found.class_names_source}: {numbers}"
            else:
                ignored = ignored or found.class_names_source
        return None, ignored


def read_origin(spec: AdapterSpec, use_ema: bool) -> Origin:
    """Read a checkpoint, and its run directory or ``config.json``.

    Args:
        spec: with the path of the checkpoint, or of a folder with a ``config.json``.
        use_ema: take averaged weights where the checkpoint has them.

    Raises:
        InputError: CHECKPOINT_MISSING, or an error of reading the files.
    """
    if spec.checkpoint is None:
        raise InputError(
            "CHECKPOINT_MISSING",
            "the adapter timm has no checkpoint. Expected the path of a file. Set "
            "model.checkpoint.",
        )
    check_not_remote(spec.checkpoint, "checkpoint")
    folder = Path(spec.checkpoint).expanduser()
    file = weights_of(folder) if folder.is_dir() else None
    loaded = load_state(file or check_local_path(spec.checkpoint), use_ema=use_ema)
    beside = loaded.path.parent
    if (beside / "args.yaml").is_file():
        return Origin(loaded, run=read_run_directory(beside))
    return Origin(loaded, hub=read_hub_config(beside))
