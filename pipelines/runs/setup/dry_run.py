"""Plan a run without starting it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from snellen.adapters.runtime.temporary_folder import temporary_folder
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME
from snellen.pipelines.runs.kinds import RunContext
from snellen.pipelines.runs.setup.prepare import plan_run
from snellen.pipelines.runs.setup.run_parts import choose, resolve_dataset, resolve_model


def dry_run(context: RunContext) -> dict[str, Any]:
    """Inspect the checkpoint, list the images into a temporary manifest, and plan.

    Nothing is stored, not even the training job that the checkpoint belongs to.

    Returns:
        JSON-serialisable: ``plan``, ``model``, ``dataset``, ``dataset_report``, ``class_map``
        (null without labels).

    Raises:
        ConfigError, InputError: whatever would stop the run before it starts.
    """
    with ExitStack() as stack:
        loaded = resolve_model(context, stack, inspect_only=True)
        model = loaded.model
        resolved = loaded.on(resolve_dataset(context, model))
        dataset = resolved.dataset
        context.reporter.status(f"Listing images of {context.config.dataset.path}")
        folder = stack.enter_context(temporary_folder("plan"))
        summary = write_manifest(
            dataset.source, dataset.info, folder / MANIFEST_NAME, exclude=dataset.excluded
        )
        resolved = choose(context, resolved, summary.rows, None)
        plan = plan_run(context, resolved, summary.rows, None)
    info = model.info
    return {
        "plan": plan.to_json(),
        "model": {
            "adapter": info.framework,
            "architecture": info.architecture,
            "checkpoint": info.checkpoint_path,
            "sha256": info.checkpoint_sha256,
            "weights": info.weights,
            "epoch": info.epoch,
            "classes": info.num_classes,
            "class_names_source": info.class_names_source,
            "parameters": info.parameters,
            "input_shape": list(info.input_shape),
            "preprocess": info.preprocess,
        },
        "dataset": {
            "images": summary.rows,
            "left_out": summary.excluded,
            "root": str(dataset.info.root),
            "split": dataset.info.split,
            "classes": len(dataset.info.classes or ()),
        },
        "dataset_report": summary.report,
        "class_map": dataset.class_map.to_json() if dataset.class_map is not None else None,
    }
