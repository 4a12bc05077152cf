"""The configuration of predictions: as strict as that of evaluations, with other defaults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.dataset import ImagesConfig
from snellen.pipelines.config.loader import build_as, build_config, load_as, with_absolute_paths
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.config.sections import ModelConfig
from snellen.pipelines.models.locate import ModelRequest, locate_model
from snellen.store.sql.database import Database

FIXTURES = Path(__file__).parents[2] / "fixtures"
MINIMAL = "model: {checkpoint: best.pt}\n"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'runs.db'}")
    yield database
    database.close()


def loaded(text: str, tmp_path: Path, *overrides: str) -> PredictConfig:
    file = tmp_path / "predict.yaml"
    file.write_text(text)
    return load_as(PredictConfig, file, overrides)


def test_a_minimal_file_and_its_defaults(tmp_path: Path) -> None:
    config = loaded(MINIMAL, tmp_path)
    assert (config.dataset.path, config.dataset.format) == ((), "auto")
    assert (config.run.engine, config.run.batch_size) == ("auto", "auto")
    assert (config.output.visualize, config.output.masks) == ("none", "none")
    assert config.output.sql_rows_limit == 50_000


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a.jpg", "a.jpg"),
        ("[a.jpg, b.png]", ("a.jpg", "b.png")),
        ("s3://bucket/folder", "s3://bucket/folder"),
    ],
)
def test_a_path_or_a_list_of_paths(written: str, expected: Any, tmp_path: Path) -> None:
    assert loaded(MINIMAL, tmp_path, f"dataset.path={written}").dataset.path == expected


@pytest.mark.parametrize("value", ["none", "failed", "all", 12])
def test_what_can_be_visualized(value: Any) -> None:
    config = build_as(PredictConfig, {"model": {}, "output": {"visualize": value}})
    assert config.output.visualize == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "dataset: {fromat: images}\n",
            "dataset.fromat: unknown key. Did you mean 'dataset.format'?",
        ),
        ("output: {visualise: all}\n", "Did you mean 'output.visualize'?"),
        ("output: {visualize: some}\n", "output.visualize: input should be 'none', 'failed' or"),
        ("output: {visualize: 0}\n", "input should be greater than 0, not 0"),
        ("output: {masks: jpg}\n", "output.masks: input should be 'none' or 'png', not 'jpg'"),
        ("dataset: {path: [1]}\n", "dataset.path: input should be a valid string"),
        ("run: {engine: ry}\n", "run.engine: input should be 'auto', 'ray' or 'inline', not 'ry'"),
        ("run: {}\nrun: {}\n", "line 3: duplicate key 'run', first in line 2."),
        ("metrics: {ece_bins: 3}\n", "metrics: unknown key."),
    ],
)
def test_what_is_wrong_is_named(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(MINIMAL + text, tmp_path)
    assert expected in caught.value.message
    assert caught.value.message.startswith(str(tmp_path / "predict.yaml"))


def test_a_list_may_not_hold_credentials(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.path") as caught:
        loaded(MINIMAL, tmp_path, "dataset.path=[a.jpg, 's3://me:secret@bucket/a.jpg']")
    assert "secret@" not in caught.value.message


def test_every_path_of_a_list_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = PredictConfig(
        model=ModelConfig(checkpoint="best.pt"),
        dataset=ImagesConfig(path=("a.jpg", "s3://bucket/b.jpg", "/c.jpg")),
    )
    found = with_absolute_paths(config)
    assert found.dataset.path == (str(tmp_path / "a.jpg"), "s3://bucket/b.jpg", "/c.jpg")


@pytest.mark.parametrize(
    "model",
    [
        {"adapter": "ultralytics", "checkpoint": str(FIXTURES / "tiny-detect.pt")},
        {"adapter": "tests.pipelines.box_adapter:BoxAdapter"},
    ],
    ids=["built-in", "plugin"],
)
def test_each_kind_has_its_preset(db: Database, model: dict[str, str]) -> None:
    evaluated = locate_model(
        ModelRequest.of(build_config({"model": model, "dataset": {"path": "x"}})), db
    ).spec
    assert evaluated.min_confidence == 0.001
    assert evaluated.multi_label is True
    predicting = PredictConfig(model=ModelConfig.model_validate(model))
    predicted = locate_model(ModelRequest.of(predicting), db).spec
    assert predicted.min_confidence == 0.25
    assert predicted.multi_label is False
    assert evaluated.options == predicted.options == {}


def test_a_confidence_that_is_set_wins_over_the_preset(db: Database) -> None:
    model = ModelConfig(
        adapter="ultralytics", checkpoint=str(FIXTURES / "tiny-detect.pt"), min_confidence=0.6
    )
    assert locate_model(ModelRequest.of(PredictConfig(model=model)), db).spec.min_confidence == 0.6
