"""What a run would do: resolve everything that `eval` resolves, and start nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from pipelines.config import RunConfig
from pipelines.dataset import resolve_dataset
from pipelines.engines.ray_session import RaySession
from pipelines.manifest import write_manifest
from pipelines.model import load_model, locate_model
from pipelines.plan import make_plan
from pipelines.preparation import inline_available
from pipelines.reporter import Reporter
from pipelines.slicing import check_slices
from pipelines.sources.registry import open_source
from store.database import Database
from store.schema import result_schema


def preview(config: RunConfig, database: str | None, reporter: Reporter) -> dict[str, Any]:
    """Load the checkpoint, list the data set into a temporary manifest, and plan.

    No run row is made; a training job that the checkpoint belongs to may be registered.

    Returns:
        JSON-serialisable: ``plan``, ``model``, ``dataset``, ``class_map``.

    Raises:
        ConfigError, InputError: whatever would stop the run before it starts.
    """
    db = Database.open(database or config.database)
    try:
        with RaySession(config.ray) as session:
            ray = config.run.engine == "ray"
            located = locate_model(config, db)
            open_source(config.dataset)
            reporter.status("starting Ray and loading the checkpoint" if ray else "loading")
            if ray:
                session.start()
            model = load_model(located, config, None)
            dataset = resolve_dataset(config, model.info, dataset_names=model.dataset_names)
            schema = result_schema(dataset.info.meta_fields)
            check_slices(config.metrics, model.info.task_type, schema)
            reporter.status(f"listing the images of {config.dataset.path}")
            with tempfile.TemporaryDirectory(prefix="snellen-plan-") as folder:
                summary = write_manifest(
                    dataset.source,
                    dataset.info,
                    Path(folder) / "manifest.parquet",
                    leave_out=dataset.aligned.left_out(),
                    limit=config.dataset.limit,
                )
            plan = make_plan(
                config.run,
                model.info,
                summary.rows,
                session.ready() if ray else inline_available(),
                reads_images=model.reads_images,
            )
    finally:
        db.close()
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
            "parameters": info.parameters,
            "preprocess": info.preprocess,
        },
        "dataset": {
            "images": summary.rows,
            "left_out": summary.left_out,
            "root": str(dataset.info.root),
            "split": dataset.info.split,
            "classes": len(dataset.info.classes or ()),
        },
        "class_map": dataset.aligned.to_json(),
    }
