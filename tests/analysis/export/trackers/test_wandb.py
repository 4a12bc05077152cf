"""Weights & Biases exports, offline: what is written for the next synchronisation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wandb.proto import wandb_internal_pb2

from snellen.analysis.export.run_export import ExportTarget, export_run
from snellen.store.views import RunView
from tests.analysis.detected import Detected
from tests.contracts.exporter_contract import Exportable, ExporterContract

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of runs that were not sent."""
    folder = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            patch.setenv(name, str(folder))
        for name in ("WANDB_PROJECT", "WANDB_ENTITY", "WANDB_API_KEY"):
            patch.delenv(name, raising=False)
        yield folder
    import wandb

    wandb.teardown()


class TestWandb(ExporterContract):
    exporter = pytest.fixture(lambda self: "wandb")
    exportable = pytest.fixture(lambda self, greys: greys)


def records(folder: Path, run_id: str) -> list[Any]:
    """The records of the newest stored run, as ``wandb sync`` reads them."""
    file = max(folder.rglob(f"run-{run_id}.wandb"), key=lambda path: path.stat().st_mtime_ns)
    record: Any = vars(wandb_internal_pb2)["Record"]
    return [record.FromString(data) for data in logged(file.read_bytes())]


def logged(data: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format, after a header of 7 bytes.

    Blocks have 32 KiB; a part of a record has a checksum, its length, and its kind: the whole (1),
    the first (2), a middle (3) or the last (4) part.
    """
    block, at, parts = 32_768, 7, b""
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            yield parts
            parts = b""


def test_metrics_configuration_and_report_are_stored(
    greys: Exportable, offline: Path, tmp_path: Path
) -> None:
    report = tmp_path / "my report.html"
    report.write_text("<p>report</p>")
    target = ExportTarget("wandb", tmp_path / "out.json", attachments=(report,))
    run = greys.run
    assert isinstance(run, RunView)
    export_run(greys.db, run, target, {})
    receipt = json.loads((tmp_path / "out.json").read_text())
    assert (receipt["project"], receipt["mode"], receipt["url"]) == ("snellen", "offline", None)
    assert receipt["run_id"] in receipt["upload"]
    summary: dict[str, Any] = {}
    config: dict[str, Any] = {}
    artifacts = []
    for record in records(offline, receipt["run_id"]):
        kind = record.WhichOneof("record_type")
        if kind == "summary":
            for item in record.summary.update:
                summary[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        elif kind == "run":
            config |= {i.key: json.loads(i.value_json) for i in record.run.config.update}
        elif kind == "artifact":
            artifacts.append(record.artifact.name)
    expected = {k: v for k, v in (run.metrics or {}).items() if v is not None}
    assert {k: v for k, v in summary.items() if k in expected} == expected
    assert summary["accuracy_low"] == (run.intervals or {})["accuracy"][0]
    assert config["origin"]["dataset"] == run.dataset_path
    assert config["config"]["name"] == "greys"
    assert artifacts == [f"{receipt['run_id']}-my-report.html"]


def test_the_same_run_has_the_same_entry(detected: Detected, tmp_path: Path) -> None:
    ids = []
    for run in (detected.run, detected.run, detected.at(0.5)):
        Exportable(detected.db, run).export("wandb", tmp_path / "out.json", overwrite=True)
        ids.append(json.loads((tmp_path / "out.json").read_text())["run_id"])
    assert ids[0] == ids[1] != ids[2]
