"""The recipes of CONTRIBUTING.md work as they are written there."""

from __future__ import annotations

import doctest
import importlib.util
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import snellen
import snellen.adapters.plugins
import snellen.metrics.classification.metrics as classification
from snellen.adapters.registry import adapter_for_file, load_adapter_class
from snellen.adapters.types import AdapterSpec
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.registry import load_source_class
from tests.contracts.adapter_contract import AdapterContract
from tests.contracts.source_contract import SourceContract
from tests.structure.test_sizes import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (30, 60, 190)}
PLUGINS = ("colour_plugin", "jsonl_plugin")


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
    """Both plugins, as if their packages were installed."""
    points = [
        point
        for title in ("Add an adapter", "Add a source")
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
    checkpoint: Path, images: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> snellen.TestRun:
    monkeypatch.chdir(folder)
    return snellen.evaluate(
        {
            "model": {"checkpoint": str(checkpoint)},
            "dataset": {"path": str(images)},
            "run": {"engine": "inline", "unit_rows": 4},
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


@pytest.fixture
def metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of the metric recipe, by their names in the repository."""
    modules = {}
    for file, text in recipe_files("Add a metric").items():
        name = file.removesuffix(".py").replace("/", ".")
        name = name if name.startswith("tests.") else f"snellen.{name}"
        assert not (ROOT / file).exists(), "the recipe adds a new file"
        path = tmp_path / Path(file).name
        path.write_text(text)
        found = importlib.util.spec_from_file_location(name, path)
        assert found is not None
        assert found.loader is not None
        module = importlib.util.module_from_spec(found)
        monkeypatch.setitem(sys.modules, name, module)
        found.loader.exec_module(module)
        modules[name] = module
    return modules


def with_the_line(source: str) -> str:
    """The module of the classification metrics with the added line of the recipe."""
    (diff,) = re.findall(r"^```diff\n(.*?)^```$", recipe("Add a metric"), re.M | re.S)
    (context, added) = diff.splitlines()
    assert (context[0], added[0]) == (" ", "+")
    assert source.count(f"{context[1:]}\n") == 1, "the recipe names a line of the module"
    changed = source.replace(f"{context[1:]}\n", f"{context[1:]}\n{added[1:]}\n")
    future = "from __future__ import annotations\n"
    line = "from snellen.metrics.classification.agreement import cohen_kappa\n"
    return changed.replace(future, future + line, 1)


@pytest.mark.usefixtures("plugins")
def test_a_metric_has_an_example_a_test_and_a_place_in_the_run(
    metric: dict[str, ModuleType],
    checkpoint: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agreement = metric["snellen.metrics.classification.agreement"]
    tests = metric["tests.metrics.classification.test_agreement"]
    found = doctest.testmod(agreement)
    assert (found.attempted > 0, found.failed) == (True, 0)
    for seed in range(5):
        tests.test_it_equals_scikit_learn_also_merged(seed)

    changed = ModuleType("changed_metrics")
    sys.modules[changed.__name__] = changed
    file = Path(str(classification.__file__))
    exec(compile(with_the_line(file.read_text()), str(file), "exec"), changed.__dict__)
    del sys.modules[changed.__name__]
    monkeypatch.setattr(classification, "compute", changed.compute)
    run = evaluate(checkpoint, images, tmp_path, monkeypatch)
    assert run.metrics["cohen_kappa"] == pytest.approx(0.75)
    assert "cohen_kappa" in (run.row.metrics or {})


def test_the_place_of_exporters_is_named() -> None:
    assert "`analysis/exporters/`" in recipe("Add an exporter")
