"""MLflow: one run with the metrics of a test run, in the tracking store of the environment."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.adapters.errors import InputError
from snellen.adapters.passwords import hide_passwords
from snellen.analysis.export.columnar import ALL_TASKS
from snellen.analysis.export.exporter import Exported, ExportRequest
from snellen.analysis.export.trackers.run_facts import RunFacts, counted, library, run_facts

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "snellen"
"""Experiment without MLFLOW_EXPERIMENT_NAME."""
_KEY = "snellen.key"
_LONGEST = 500


class MlflowExporter:
    """A JSON file that names the MLflow run. The same test run updates the same MLflow run.

    The store and the experiment are those of MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME.
    """

    name = "mlflow"
    suffix = ".json"
    tasks = ALL_TASKS
    takes_attachments = True

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Log the run, then write the file.

        Raises:
            ConfigError: EXPORTER_MISSING_LIBRARY.
            InputError: EXPORT_UNLABELLED, an inference job; TRACKER_FAILED, the store rejects it.
        """
        library(self.name)
        from mlflow import get_tracking_uri
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        facts, exported = run_facts(request, self.name), counted(request)
        uri = get_tracking_uri()
        try:
            experiment, run_id = _log(MlflowClient(tracking_uri=uri), facts, request)
        except MlflowException as error:
            raise InputError(
                "TRACKER_FAILED",
                f"MLflow at {hide_passwords(uri)}: {error.message.partition(chr(10))[0][:300]}. "
                "Expected a tracking store that can be written. Set MLFLOW_TRACKING_URI.",
            ) from error
        receipt = {
            "tracker": self.name,
            "tracking_uri": hide_passwords(uri),
            "experiment": experiment,
            "run_id": run_id,
            "metrics": len(facts.numbers()),
        }
        target.write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")
        return exported


def _log(client: MlflowClient, facts: RunFacts, request: ExportRequest) -> tuple[str, str]:
    """Log a run; return the name of the experiment and the id of the run."""
    from mlflow.entities import Metric, Param, RunTag

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    experiment = client.get_experiment_by_name(name)
    number = client.create_experiment(name) if experiment is None else experiment.experiment_id
    known = client.search_runs([number], f"tags.`{_KEY}` = '{facts.key}'", max_results=1)
    title = facts.run.name or f"run {facts.run.id}"
    if known:
        run_id = known[0].info.run_id
    else:
        run_id = client.create_run(number, run_name=title, tags={_KEY: facts.key}).info.run_id
    now = int(time.time() * 1000)
    metrics = [Metric(_metric_name(k), v, now, 0) for k, v in facts.numbers().items()]
    params = [Param(key, value[:_LONGEST]) for key, value in facts.origins().items()]
    tags = [RunTag("mlflow.source.name", "snellen")]
    client.log_batch(run_id, metrics=metrics, params=params, tags=tags)
    for file, document in (("config.json", facts.config), ("fingerprint.json", facts.fingerprint)):
        client.log_dict(run_id, _plain(document), file)
    for path in request.attachments:
        client.log_artifact(run_id, str(path))
    client.set_terminated(run_id)
    return name, run_id


def _metric_name(key: str) -> str:
    """Replace ``@``, which MLflow does not allow in a name."""
    return key.replace("@", "_at_")


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(document, default=str))
    return plain
