"""The operating point: counts at every threshold equal a rescored run's, and the curves."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from snellen.analysis.reader import open_results
from snellen.analysis.rescore import rescore_run
from snellen.pipelines.progress import Reporter
from snellen.serve.ui.run_page.computed import Counts
from snellen.serve.ui.run_page.operating import make_slider
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.serve.local_service import Service
from tests.serve.ui.run_page.reading import read, section

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def counts(part: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json">(.*?)</script>', part)
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    return document


@pytest.mark.parametrize("threshold", [0.01, 0.1, 0.25, 0.5, 0.73])
async def test_counts_equal_those_of_a_rescored_run(
    service: Service, db: Database, detected: RunView, threshold: float
) -> None:
    shown = counts(await read(service, "/ui/runs/1/operating"))
    words = [f"metrics.operating_confidence={threshold}", "metrics.bootstrap=0"]
    rescored = rescore_run(db, detected, [*words, "metrics.slices=[]"], Reporter())
    rows = (rescored.per_class_metrics or {}).values()
    tp, fp, fn = (sum(row[key] for row in rows) for key in ("tp", "fp", "fn"))
    place = round(threshold / shown["step"])
    assert (shown["tp"][place], shown["fp"][place]) == (tp, fp)
    assert shown["n"] - shown["tp"][place] == fn
    part = section(await read(service, f"/runs/{rescored.id}"), "operating")
    metrics = rescored.metrics or {}
    for key in ("precision", "recall", "f1"):
        assert f'data-out="{key}">{metrics[key]:.3f}</dd>' in part
    assert f'data-out="value">{threshold:.2f}</dd>' in part
    assert f'data-to="{threshold:.2f}">Run setting' in part
    assert f'data-out="tp">{tp}</dd>' in part


async def test_the_best_threshold(service: Service) -> None:
    part = await read(service, "/ui/runs/1/operating")
    shown = counts(part)
    scores = [
        2 * tp / (tp + fp + shown["n"])
        for tp, fp in zip(shown["tp"][:100], shown["fp"][:100], strict=True)
    ]
    best = max(range(1, 100), key=lambda place: scores[place])
    assert f'data-to="{best / 100:.2f}">Best F1 {best / 100:.2f}' in part


async def test_points_lie_at_the_threshold(service: Service) -> None:
    part = await read(service, "/ui/runs/1/operating")
    shown = counts(part)
    tp, fp = shown["tp"][25], shown["fp"][25]
    precision, recall = tp / (tp + fp), tp / shown["n"]
    f1 = 2 * precision * recall / (precision + recall)
    for name, x, y in (("pr", recall, precision), ("f1", 0.25, f1)):
        mark = re.search(rf'data-mark="{name}".*?translate\(([\d.]+) ([\d.]+)\)', part)
        assert mark is not None
        place = (float(mark[1]), float(mark[2]))
        assert place == pytest.approx((300 * x, 178 * (1 - y)), abs=0.06)
    assert "Precision–recall" in part
    assert part.count("<figure>") == 2
    assert "style=" not in part


async def test_curves_of_a_classifier(service: Service, db: Database, classified: RunView) -> None:
    part = await read(service, "/ui/runs/2/operating")
    assert "<sn-threshold>" not in part
    assert re.findall(r'<h3 id="(.*?)">', part) == ["reliability", "pr", "f1"]
    bins = [one for one in (classified.details or {})["reliability"] if one["count"]]
    bars = re.findall(r'<rect class="bin" x="(.*?)" y=".*?" width=".*?" height="(.*?)"', part)
    assert [(float(x) / 300, float(h) / 178) for x, h in bars] == [
        pytest.approx((one["low"], one["accuracy"]), abs=1e-3) for one in bins
    ]
    # One line of the chart beside scikit-learn's: all classes, each against the others.
    rows = open_results(db, classified).lazy().collect().to_dicts()
    scores = [
        (one["confidence"], one["label_id"] == row["true_label_id"])
        for row in rows
        for one in row["top5_predictions"]
    ]
    precision, recall, _ = precision_recall_curve([r for _, r in scores], [s for s, _ in scores])
    line = re.findall(r'<path class="main" d="M(.*?)"', part)[0]
    points = [tuple(map(float, point.split())) for point in line.split("L")]
    reference = set(zip((300 * recall).round(0), (178 * (1 - precision)).round(0), strict=True))
    near = [any(abs(x - a) <= 1 and abs(y - b) <= 1 for a, b in reference) for x, y in points]
    assert all(near)


async def test_a_threshold_between_two_steps(detected: RunView) -> None:
    tp = np.linspace(100, 0, 101).astype(np.int64)
    found = Counts(tp, tp // 2, support=120, least=0.001)
    config = dict(detected.config or {})
    config["metrics"] = {**config.get("metrics", {}), "operating_confidence": 0.256}
    slider = make_slider(replace(detected, config=config), found)
    assert (slider.value, slider.setting) == (0.26, "")
    assert slider.least == 0.01
    above = make_slider(replace(detected, config=config), replace(found, least=0.3))
    assert (above.least, above.value) == (0.3, 0.3)
    assert slider.overlap == 0.5
    moved = make_slider(detected, found, 0.4)
    assert (moved.value, moved.setting) == (0.4, "0.25")
