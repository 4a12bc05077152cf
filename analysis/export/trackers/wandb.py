"""Weights & Biases: one run with the metrics of a test run in its summary."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.analysis.export.columnar import ALL_TASKS
from snellen.analysis.export.exporter import Exported, ExportRequest
from snellen.analysis.export.trackers.run_facts import RunFacts, counted, library, run_facts

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
PROJECT = "snellen"
"""Project without WANDB_PROJECT."""


class WandbExporter:
    """A JSON file that names the W&B run. The same test run updates the same W&B run.

    Project, entity and mode are those of WANDB_PROJECT, WANDB_ENTITY and WANDB_MODE.
    """

    name = "wandb"
    suffix = ".json"
    tasks = ALL_TASKS
    takes_attachments = True

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Log the run, then write the file.

        Raises:
            ConfigError: EXPORTER_MISSING_LIBRARY.
            InputError: EXPORT_UNLABELLED, an inference job; TRACKER_FAILED, W&B rejects it.
        """
        library(self.name)
        from wandb.errors import Error as WandbError

        facts, exported = run_facts(request, self.name), counted(request)
        try:
            receipt = _log(facts, request)
        except WandbError as error:
            raise InputError(
                "TRACKER_FAILED",
                f"Weights & Biases: {str(error)[:300]}. Expected a login, or no network: set "
                "WANDB_API_KEY or WANDB_MODE=offline.",
            ) from error
        target.write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")
        return exported


def _log(facts: RunFacts, request: ExportRequest) -> dict[str, object]:
    import wandb

    settings = wandb.Settings(
        console="off", disable_git=True, disable_code=True, x_disable_stats=True, silent=True
    )
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
        id=facts.key,
        name=facts.run.name or f"run {facts.run.id}",
        job_type="evaluation",
        config={"origin": facts.origins(), "config": facts.config},
        resume="allow",
        settings=settings,
    )
    try:
        run.summary.update({**facts.numbers(), "fingerprint": facts.fingerprint})
        for path in request.attachments:
            artifact = wandb.Artifact(_UNSAFE.sub("-", f"{facts.key}-{path.name}"), type="report")
            artifact.add_file(str(path))
            run.log_artifact(artifact)
        receipt: dict[str, object] = {
            "tracker": "wandb",
            "project": run.project,
            "entity": run.entity or None,
            "run_id": run.id,
            "url": run.url,
            "mode": run.settings.mode,
            "metrics": len(facts.numbers()),
        }
        if run.settings.mode == "offline":
            folder = Path(run.settings.wandb_dir)
            receipt["upload"] = f"wandb sync {folder}/offline-run-*-{run.id}"
        return receipt
    finally:
        run.finish()
