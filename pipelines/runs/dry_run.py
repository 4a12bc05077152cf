"""What a run or an inference job would do: resolve everything that it resolves, start nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.execution.ray.session import RaySession
from snellen.pipelines.models.load import load_model, locate_model
from snellen.pipelines.planning.plan import make_plan
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.kinds import Config, RunKind, View
from snellen.pipelines.runs.setup import inline_available
from snellen.store.sql.database import Database


def preview(kind: RunKind[Config, View], config: Config, reporter: Reporter) -> dict[str, Any]:
    """Load the checkpoint, list the images into a temporary manifest, and plan.

    No row is made for it; a training job that the checkpoint belongs to may be registered.

    Args:
        kind: of a run, or of an inference job.
        config: with ``run.engine`` decided.
        reporter: told what is done.

    Returns:
        JSON-serialisable: ``plan``, ``model``, ``dataset``, ``class_map`` (null without labels).

    Raises:
        ConfigError, InputError: whatever would stop it before it starts.
    """
    db = Database.open(config.database)
    try:
        with RaySession(config.ray) as session:
            ray = config.run.engine == "ray"
            located = locate_model(config, db)
            kind.check_input(config)
            reporter.status(f"{'starting Ray and ' if ray else ''}loading the checkpoint")
            if ray:
                session.start()
            model = load_model(located, config, None)
            dataset = kind.resolve(config, model)
            kind.check(config, model, dataset)
            reporter.status(f"listing the images of {config.dataset.path}")
            with tempfile.TemporaryDirectory(prefix="snellen-plan-") as folder:
                summary = write_manifest(
                    dataset.source,
                    dataset.info,
                    Path(folder) / "manifest.parquet",
                    leave_out=dataset.left_out,
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
        "class_map": dataset.class_map.to_json() if dataset.class_map is not None else None,
    }
