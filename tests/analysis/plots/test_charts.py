"""Charts: specifications, files, and what a run of each task has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from snellen.adapters.errors import InputError
from snellen.analysis.plots import specs
from snellen.analysis.plots.charts import Chart, curve_charts, run_charts
from snellen.analysis.plots.colours import COLOURS, THEMES, colour, coloured
from snellen.analysis.plots.curves import CLASSES_DRAWN, Curve, RunCurves
from snellen.analysis.plots.matrix_spec import confusion_matrix
from snellen.analysis.plots.matrix_view import matrix_view
from snellen.analysis.plots.render import PlotTarget, svg, write_charts
from snellen.store.views import RunView
from tests.analysis.detected import Detected
from tests.contracts.exporter_contract import Exportable

AWKWARD = ["<script>alert(1)</script>", "a'b\\n\"", "🎉 emoji", "שלום", "x" * 300, "datum.value"]
TITLES = {
    "precision-recall": "Precision–recall",
    "by-confidence": "F1 by confidence",
    "reliability": "Reliability",
    "classes": "AP50-95 by class",
    "confusion-matrix": "Confusion matrix",
}


@pytest.fixture(scope="module")
def charts(detected: Detected) -> list[Chart]:
    return run_charts(detected.db, detected.run)


def curves(classes: int) -> RunCurves:
    x = np.linspace(0, 1, 11)
    lines = [
        Curve(None, x, 1 - x),
        *(Curve(f"c{n}", x, 1 - x * (n + 1) / classes) for n in range(classes)),
    ]
    return RunCurves(
        lines, "IoU 0.5", [Curve("F1", x, x), Curve("Recall", x, 1 - x)], "F1 by confidence", 0.3,
        [], "Precision", "AP", "AP50-95",
    )  # fmt: skip


def test_a_detector_has_every_chart(charts: list[Chart]) -> None:
    assert {chart.name: chart.title for chart in charts} == TITLES


def test_a_classifier_has_every_chart(greys: Exportable) -> None:
    assert isinstance(greys.run, RunView)
    found = run_charts(greys.db, greys.run)
    assert {chart.name: chart.title for chart in found} == TITLES | {
        "by-confidence": "Accuracy by confidence",
        "classes": "F1 by class",
    }


def test_a_run_that_is_not_completed_has_no_charts(detected: Detected) -> None:
    with pytest.raises(InputError, match="snellen resume"):
        run_charts(detected.db, replace(detected.run, status="interrupted"))


def test_the_operating_point_lies_on_the_main_line() -> None:
    layer = specs.by_confidence(curves(2))["layer"][-1]
    assert layer["mark"]["type"] == "point"
    assert layer["data"]["values"] == [{"x": 0.3, "y": 1.0}]


def test_of_many_classes_the_lowest_are_drawn() -> None:
    found = curves(CLASSES_DRAWN + 40)
    chart = curve_charts(found)[0]
    assert chart.note == f"IoU 0.5 · all classes, and the {CLASSES_DRAWN} lowest of 100"
    drawn = {point["name"] for point in chart.spec["data"]["values"]}
    assert drawn == {"", *(f"c{n}" for n in range(40, 100))}


def test_bars_are_in_the_order_of_their_values() -> None:
    per_class = {f"c{n}": {"f1": n / 100, "support": 1} for n in range(50)} | {
        "absent": {"f1": None, "support": 0}
    }
    spec = specs.class_bars(per_class, "f1", "F1")
    shown = spec["encoding"]["y"]["sort"]
    assert shown == [f"c{n}" for n in range(specs.CLASSES_IN_BARS - 1, -1, -1)]
    assert {row["name"] for row in spec["data"]["values"]} == set(shown)


@pytest.mark.parametrize("theme", THEMES)
def test_a_theme_replaces_every_colour_and_no_data(theme: Any) -> None:
    spec = {"mark": {"fill": colour("ink")}, "data": {"values": [{"name": colour("ink")}]}}
    assert coloured(spec, theme) == {
        "mark": {"fill": COLOURS["ink"][THEMES.index(theme)]},
        "data": {"values": [{"name": "var(--ink)"}]},
    }
    with pytest.raises(KeyError, match="Expected one of"):
        colour("inc")


def test_names_of_any_kind_are_text() -> None:
    view = matrix_view(np.eye(len(AWKWARD), dtype=int).tolist(), AWKWARD)
    assert view is not None
    per_class = {name: {"f1": 0.5, "support": 1} for name in AWKWARD}
    for spec in (confusion_matrix(view), specs.class_bars(per_class, "f1", "F1")):
        root = ElementTree.fromstring(svg(spec))
        texts = {"".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")}
        assert AWKWARD[0] in texts
        assert {AWKWARD[1], AWKWARD[2], AWKWARD[3], AWKWARD[5]} <= texts
        assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
        assert max(map(len, texts)) < 60  # a long name is shortened


def test_a_chart_in_a_page_has_css_variables(charts: list[Chart]) -> None:
    for chart in charts:
        text = svg(chart.spec)
        assert "var(--" in text
        assert "style=" not in text  # the content security policy of a page forbids them
        assert "<style" not in text


@pytest.mark.parametrize("theme", THEMES)
def test_files(charts: list[Chart], theme: Any, tmp_path: Path) -> None:
    paths = write_charts(charts, PlotTarget(tmp_path / "new" / "svg", "svg", theme))
    assert [path.name for path in paths] == [f"{name}.svg" for name in TITLES]
    for path, chart in zip(paths, charts, strict=True):
        text = path.read_text()
        assert "var(--" not in text
        assert COLOURS["canvas"][THEMES.index(theme)] in text
        assert chart.title in text


def test_pictures_and_specifications(charts: list[Chart], tmp_path: Path) -> None:
    (path,) = write_charts(charts[:1], PlotTarget(tmp_path, "png"))
    with Image.open(path) as picture:
        assert min(picture.size) > 400
        assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 10
    (path,) = write_charts(charts[:1], PlotTarget(tmp_path, "json"))
    assert json.loads(path.read_text())["$schema"] == specs.SCHEMA


def test_existing_files_are_kept(charts: list[Chart], tmp_path: Path) -> None:
    (tmp_path / "reliability.svg").write_text("mine")
    with pytest.raises(InputError, match=r"reliability\.svg' exists. Expected a new file"):
        write_charts(charts, PlotTarget(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["reliability.svg"]
    write_charts(charts, PlotTarget(tmp_path, overwrite=True))
    assert (tmp_path / "reliability.svg").read_text() != "mine"
