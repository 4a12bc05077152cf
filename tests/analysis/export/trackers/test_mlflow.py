"""MLflow exports, read back with MLflow's client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.analysis.export.run_export import ExportTarget, export_run
from snellen.store.views import RunView
from tests.analysis.detected import Detected
from tests.contracts.exporter_contract import Exportable, ExporterContract

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking store, which the environment names."""
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        patch.chdir(folder)
        yield uri


@pytest.mark.usefixtures("store")
class TestMlflow(ExporterContract):
    exporter = pytest.fixture(lambda self: "mlflow")
    exportable = pytest.fixture(lambda self, greys: greys)


def test_metrics_intervals_and_origin_are_logged(
    greys: Exportable, store: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    report.write_text("<p>report</p>")
    made = greys
    target = ExportTarget("mlflow", tmp_path / "out.json", attachments=(report,))
    export_run(made.db, made.run, target, {})
    receipt = json.loads((tmp_path / "out.json").read_text())
    from mlflow.tracking import MlflowClient  # takes seconds to import

    client = MlflowClient(tracking_uri=store)
    run = client.get_run(receipt["run_id"])
    assert isinstance(made.run, RunView)
    expected = {k: v for k, v in (made.run.metrics or {}).items() if v is not None}
    assert {k: v for k, v in run.data.metrics.items() if k in expected} == expected
    low, high = (made.run.intervals or {})["accuracy"]
    assert (run.data.metrics["accuracy_low"], run.data.metrics["accuracy_high"]) == (low, high)
    assert receipt["metrics"] == len(run.data.metrics)
    assert run.data.params["dataset"] == made.run.dataset_path
    assert run.data.params["manifest_hash"] == (made.run.fingerprint or {})["manifest_hash"]
    assert run.info.status == "FINISHED"
    files = {file.path for file in client.list_artifacts(receipt["run_id"])}
    assert files == {"config.json", "fingerprint.json", "report.html"}


def test_the_same_run_updates_its_entry(detected: Detected, store: str, tmp_path: Path) -> None:
    ids = []
    for run in (detected.run, detected.run, detected.at(0.5)):
        Exportable(detected.db, run).export("mlflow", tmp_path / "out.json", overwrite=True)
        ids.append(json.loads((tmp_path / "out.json").read_text())["run_id"])
    assert ids[0] == ids[1] != ids[2]


def test_a_store_that_cannot_be_used_is_named(
    greys: Exportable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(InputError, match="Set MLFLOW_TRACKING_URI") as caught:
        greys.export("mlflow", tmp_path / "out.json")
    assert caught.value.code == "TRACKER_FAILED"
    assert "secret" not in caught.value.message
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_library_says_what_installs_it(
    name: str, greys: Exportable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        "snellen.analysis.export.trackers.run_facts.find_spec",
        lambda module: None if module == name else find(module),
    )
    with pytest.raises(ConfigError, match=rf"pip install 'snellen\[{name}\]'") as caught:
        greys.export(name, tmp_path / "out.json")
    assert caught.value.code == "EXPORTER_MISSING_LIBRARY"
