"""Model index exports, read by huggingface_hub."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import EvalResult

from snellen.adapters.errors import InputError
from snellen.pipelines.config.predict import predict_config_of
from snellen.pipelines.runs.runner import InferenceRunner
from snellen.store.views import RunView
from tests.contracts.exporter_contract import Exportable, ExporterContract
from tests.pipelines.box_adapter import NAME
from tests.pipelines.making import write_image


class TestModelIndex(ExporterContract):
    exporter = pytest.fixture(lambda self: "model-index")
    exportable = pytest.fixture(lambda self, greys: greys)


def read(path: Path) -> list[EvalResult]:
    """The results that the Hub reads from a card with this metadata."""
    card = ModelCard(f"---\n{path.read_text(encoding='utf-8')}---\n\n# Model\n")
    results: list[EvalResult] = vars(card.data)["eval_results"]
    return results


@pytest.mark.parametrize(
    ("fixture", "task"), [("greys", "image-classification"), ("boxes", "object-detection")]
)
def test_the_hub_reads_the_metrics_of_the_run(
    fixture: str, task: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made: Exportable = request.getfixturevalue(fixture)
    assert isinstance(made.run, RunView)
    made.export("model-index", tmp_path / "out.yaml")
    results = read(tmp_path / "out.yaml")
    expected = {key: value for key, value in (made.run.metrics or {}).items() if value is not None}
    assert {result.metric_type: result.metric_value for result in results} == expected
    assert len(expected) > 8
    assert {result.task_type for result in results} == {task}
    assert {result.dataset_split for result in results} == {made.run.dataset_split}
    intervals = {result.metric_type: result.metric_args for result in results}
    for key, bounds in (made.run.intervals or {}).items():
        if bounds and key in expected:
            assert intervals[key] == {"interval": bounds}


def test_conditions_do_not_apply_to_metrics(greys: Exportable, tmp_path: Path) -> None:
    document = greys.export("model-index", tmp_path / "out.yaml", correct=True)
    assert document["images"] < 20
    assert document["notes"] == [
        "The metrics are those of all images of the run: the conditions do not apply to them."
    ]
    greys.export("model-index", tmp_path / "all.yaml")
    parts = [yaml.safe_load((tmp_path / name).read_text()) for name in ("out.yaml", "all.yaml")]
    assert parts[0] == parts[1]


@pytest.mark.parametrize("format_name", ["model-index", "mlflow", "wandb"])
def test_an_inference_job_has_no_metrics(
    format_name: str, boxes: Exportable, tmp_path: Path
) -> None:
    image = write_image(tmp_path / "a.png")
    words = ("run.engine=inline", f"output.dir={tmp_path / 'out'}")
    config = predict_config_of(
        None, [str(image)], settings={"model.adapter": NAME}, overrides=words
    )
    job = InferenceRunner(config, database=str(boxes.db.url)).run_inference()
    target = tmp_path / ("out.yaml" if format_name == "model-index" else "out.json")
    with pytest.raises(InputError, match=r"has no metrics\. Expected a test run") as caught:
        Exportable(boxes.db, job).export(format_name, target)
    assert caught.value.code == "EXPORT_UNLABELLED"
    assert not target.exists()
