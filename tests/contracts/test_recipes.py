"""The recipes of CONTRIBUTING.md work as they are written there."""

from __future__ import annotations

import doctest
import importlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from sklearn.metrics import cohen_kappa_score

import snellen
import snellen.adapters.plugins
from snellen.adapters.errors import ConfigError
from snellen.adapters.registry import adapter_for_file, load_adapter_class
from snellen.adapters.types import AdapterSpec
from snellen.metrics.extra import EXTRA_METRICS, ExtraMetric
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.registry import load_source_class
from snellen.store.sql.database import Database
from tests.contracts.adapter_contract import AdapterContract
from tests.contracts.exporter_contract import Exportable, ExporterContract
from tests.contracts.metric_contract import MetricContract
from tests.contracts.source_contract import SourceContract
from tests.structure.test_sizes import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (30, 60, 190)}
PLUGINS = ("colour_plugin", "jsonl_plugin", "kappa_plugin", "list_plugin")


def recipe(title: str) -> str:
    """The section of a recipe."""
    _, found, rest = PAGE.partition(f"### {title}\n")
    assert found, title
    return re.split(r"\n##", rest)[0]


def recipe_files(title: str) -> dict[str, str]:
    """File name -> content of the code blocks whose first line is a file name."""
    blocks = re.findall(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```$", recipe(title), re.M | re.S)
    assert 1 <= len(blocks) <= 2, title
    return dict(blocks)


def install(folder: Path, title: str) -> list[EntryPoint]:
    """Write the files of a recipe; return the entry points that its pyproject.toml declares."""
    for name, text in recipe_files(title).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return [
        EntryPoint(name, target, group)
        for group, points in project["entry-points"].items()
        for name, target in points.items()
    ]


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugins, as if their packages were installed."""
    points = [
        point
        for title in ("Add an adapter", "Add a source", "Add a metric", "Add an exporter")
        for point in install(tmp_path / "plugins", title)
    ]
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    monkeypatch.setattr(
        snellen.adapters.plugins,
        "entry_points",
        lambda group: [point for point in points if point.group == group],
    )
    snellen.adapters.plugins._installed.cache_clear()
    yield
    snellen.adapters.plugins._installed.cache_clear()
    for name in [name for name in sys.modules if name.startswith(PLUGINS)]:
        del sys.modules[name]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "paint.colours.json"
    path.write_text(json.dumps(COLOURS))
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A .jsonl dataset: two images per class, all of them of the right colour but the last."""
    rows = []
    for name, colour in COLOURS.items():
        for number in range(2):
            file = tmp_path / "images" / f"{name}-{number}.png"
            file.parent.mkdir(exist_ok=True)
            wrong = (name, number) == ("blue", 1)
            pixels = np.full((8, 9, 3), COLOURS["red"] if wrong else colour, np.uint8)
            Image.fromarray(pixels).save(file)
            rows.append({"image": f"images/{file.name}", "label": name})
    path = tmp_path / "images.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def evaluate(
    checkpoint: Path,
    images: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    extra: Sequence[str] = (),
) -> snellen.TestRun:
    monkeypatch.chdir(folder)
    return snellen.evaluate(
        {
            "model": {"checkpoint": str(checkpoint)},
            "dataset": {"path": str(images)},
            "run": {"engine": "inline", "unit_rows": 4},
            "metrics": {"extra": list(extra)},
            "database": f"sqlite:///{folder / 'runs.db'}",
        }
    )


@pytest.mark.usefixtures("plugins")
class TestAdapterRecipe(AdapterContract):
    @pytest.fixture
    def spec(self, checkpoint: Path) -> AdapterSpec:
        assert load_adapter_class("colour").framework == "colour"
        assert adapter_for_file(checkpoint) == "colour"
        return AdapterSpec("colour", str(checkpoint))


@pytest.mark.usefixtures("plugins")
class TestSourceRecipe(SourceContract):
    records_stat = False

    @pytest.fixture
    def dataset(self, images: Path) -> DatasetConfig:
        assert load_source_class("jsonl").labelled
        return DatasetConfig(path=str(images))


@pytest.mark.usefixtures("plugins")
def test_both_plugins_evaluate_a_dataset(
    checkpoint: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = evaluate(checkpoint, images, tmp_path, monkeypatch)
    assert run.metrics["accuracy"] == pytest.approx(5 / 6)
    rows = run.results(["image_id", "true_label", "predicted_label"])
    assert rows.row(5) == ("images/blue-1.png", "blue", "red")


@pytest.mark.usefixtures("plugins")
class TestMetricRecipe(MetricContract):
    @pytest.fixture
    def metric(self) -> ExtraMetric:
        return EXTRA_METRICS.load("cohen_kappa")

    @pytest.fixture
    def table(self) -> pa.Table:
        rng = np.random.default_rng(0)
        true, predicted = (rng.integers(0, 3, 60).tolist() for _ in range(2))
        predicted[5] = None  # a failed image
        columns = {"true_label_id": true, "predicted_label_id": predicted}
        return pa.table(columns | {"confidence": [0.5] * 60})

    def test_it_equals_scikit_learn(self, metric: ExtraMetric, table: pa.Table) -> None:
        scored = table.drop_null()
        true, predicted = (scored[name].to_pylist() for name in metric.columns)
        found = metric.compute(metric.state(table, ["a", "b", "c"]))
        assert found == {"cohen_kappa": pytest.approx(cohen_kappa_score(true, predicted))}

    def test_its_example_runs(self) -> None:
        found = doctest.testmod(importlib.import_module("kappa_plugin.metric"))
        assert (found.attempted > 0, found.failed) == (True, 0)


@pytest.mark.usefixtures("plugins")
def test_a_metric_of_a_plugin_is_part_of_a_run(
    checkpoint: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = evaluate(checkpoint, images, tmp_path, monkeypatch)
    run = evaluate(checkpoint, images, tmp_path, monkeypatch, extra=["cohen_kappa"])
    assert run.metrics["cohen_kappa"] == pytest.approx(0.75)
    assert {k: v for k, v in run.metrics.items() if k != "cohen_kappa"} == plain.metrics
    with pytest.raises(ConfigError, match="did you mean cohen_kappa") as caught:
        evaluate(checkpoint, images, tmp_path, monkeypatch, extra=["cohen_kapa"])
    assert caught.value.code == "METRIC_UNKNOWN"


@pytest.mark.usefixtures("plugins")
class TestExporterRecipe(ExporterContract):
    exporter = pytest.fixture(lambda self: "list")

    @pytest.fixture
    def exportable(
        self, checkpoint: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Exportable:
        run = evaluate(checkpoint, images, tmp_path, monkeypatch)
        return Exportable(Database.open(f"sqlite:///{tmp_path / 'runs.db'}"), run.row)

    def rows(self, path: Path) -> list[str]:
        return [f"images/{Path(line).name}" for line in path.read_text().splitlines()]
