"""Loading of a located checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.runtime.inspect import inspect_model
from snellen.adapters.types import AdapterSpec, ModelInfo
from snellen.pipelines.config.base import Preset
from snellen.pipelines.models.locate import LocatedModel
from snellen.store.views import JobView

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A loaded checkpoint.

    Attributes:
        spec: the specification of the adapter for workers: absolute paths, no ``auto``.
        info: description of the checkpoint.
        reads_images: False for an adapter that does not read pixels.
        adapter: the loaded model, if this process runs it.
        job: the registered training job of the checkpoint, if any.
        dataset_names: class names are the dataset's (``model.class_names: dataset``).
    """

    spec: AdapterSpec
    info: ModelInfo
    reads_images: bool
    adapter: Adapter | None
    job: JobView | None
    dataset_names: bool

    @property
    def class_names(self) -> tuple[str, ...]:
        """K class names in output order; the numbers 0 to K - 1 for a checkpoint without names."""
        info = self.info
        return info.class_names or tuple(str(number) for number in range(info.num_classes))


def load_model(located: LocatedModel, device: str | None) -> ResolvedModel:
    """Load a located checkpoint.

    Args:
        located: from `locate_model`.
        device: ``cpu`` or ``cuda`` loads it in this process, to run it here; None inspects it
            in another process.

    Raises:
        ConfigError: a setting that the adapter rejects; TASK_MISMATCH.
        InputError: the checkpoint cannot be loaded.
    """
    spec, job, dataset_names = located.spec, located.job, located.dataset_names
    if device is None:
        found = inspect_model(spec)
        resolved = ResolvedModel(spec, found.info, found.reads_images, None, job, dataset_names)
    else:
        adapter = load_adapter_class(spec.adapter).from_spec(spec, device=device)
        resolved = ResolvedModel(
            spec, adapter.info, adapter.reads_images, adapter, job, dataset_names
        )
    task = resolved.info.task_type
    if located.task not in ("auto", task):
        raise ConfigError(
            "TASK_MISMATCH",
            f"task: {located.task} does not fit: the checkpoint is for {task}. Expected the same "
            "task, or auto.",
        )
    return resolved


def with_preset(adapter: Adapter, preset: Preset) -> Adapter:
    """Return a loaded detector with the settings of a kind of run that its specification leaves.

    A detector that was loaded for single images keeps predictions from 0.25 on, and average
    precision needs nearly all of them. Its settings are read when it is loaded: it is loaded again,
    unless its specification has them.
    """
    spec = adapter.spec
    wanted = replace(
        spec,
        min_confidence=(
            preset.min_confidence if spec.min_confidence is None else spec.min_confidence
        ),
        multi_label=preset.multi_label if spec.multi_label is None else spec.multi_label,
    )
    if wanted == spec:
        return adapter
    try:
        device = str(adapter.engine.device)
    except InputError:
        device = None  # an adapter that runs nothing on a device
    return type(adapter).from_spec(wanted, device=device)


def wrap_adapter(adapter: Adapter, job: JobView | None = None) -> ResolvedModel:
    """Return the model of an adapter that is loaded already, and its training job if known."""
    return ResolvedModel(adapter.spec, adapter.info, adapter.reads_images, adapter, job, False)
