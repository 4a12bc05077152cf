"""The page of a run: its numbers are those of the row, its links lead to what they count."""

from __future__ import annotations

import re
from typing import Any

import pytest

from snellen.analysis.error_analysis import ErrorAnalysis
from snellen.analysis.reader import open_results, unit_files
from snellen.serve.ui.rendering import POLICY
from snellen.store.jobs import replace_validation_results
from snellen.store.kinds import TEST_RUN
from snellen.store.runs import create_test_run, get_test_run
from snellen.store.sql.database import Database
from snellen.store.tags import set_tag
from snellen.store.views import RunView
from tests.serve.local_service import Service
from tests.serve.ui.run_page.conftest import AWKWARD
from tests.serve.ui.run_page.reading import links, read, section, tiles, total

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def shown(value: float) -> str:
    return f"{value:.3f}"


async def test_figures_are_those_of_the_row(service: Service, detected: RunView) -> None:
    response = await service.client.get("/runs/1")
    assert response.headers["content-security-policy"] == POLICY
    page = response.text
    metrics, intervals = detected.metrics or {}, detected.intervals or {}
    for key in ("mAP50-95", "mAP50", "precision"):
        low, high = intervals[key]
        expected = f"{shown(metrics[key])} <small>{shown(low)}–{shown(high)}</small>"
        assert expected in section(page, "overview")
    assert f"Coverage {100 * metrics['coverage']:.1f} %" in page
    assert "1 failed" in page
    assert "detect/data.yaml test" in page
    assert str(detected.fingerprint["config_hash"])[:12] in page  # type: ignore[index]
    assert "style=" not in page


async def test_validation_values_have_equal_keys(
    service: Service, db: Database, detected: RunView
) -> None:
    job = detected.training_job_id
    assert "No validation values" in await read(service, "/runs/1")
    value = (detected.metrics or {})["mAP50"] + 0.1
    rows = [{"epoch": 1, "metrics": {"mAP50": value, "metrics/mAP50-95(B)": 0.9}}]
    replace_validation_results(db, job, rows)
    number = create_test_run(
        db, **{
            "name": "with epoch", "training_job_id": job, "status": "completed",
            "checkpoint_path": detected.checkpoint_path, "task_type": detected.task_type,
            "dataset_path": detected.dataset_path, "metrics": detected.metrics,
            "primary_metric_name": "mAP50-95", "resolved": {"epoch": 1}, "total_images": 14,
        },
    )  # fmt: skip
    page = await read(service, f"/runs/{number}")
    assert f'validation {shown(value)} <span class="faint">(\N{MINUS SIGN}0.100)' in page
    assert page.count("validation 0.") == 1
    replace_validation_results(db, job, [])


@pytest.mark.parametrize("ref", ["1", "detect", "baseline"])
async def test_a_run_has_an_id_a_name_and_a_tag(service: Service, db: Database, ref: str) -> None:
    set_tag(db, TEST_RUN, 1, "baseline")
    page = await read(service, f"/runs/{ref}")
    assert "<h1" in page
    assert "<bdi>detect</bdi>" in page


@pytest.mark.parametrize("ref", ["99", "nobody", "9" * 30, "-1"])
async def test_unknown_runs(service: Service, ref: str) -> None:
    for path in (f"/runs/{ref}", f"/ui/runs/{ref}/errors", f"/ui/runs/{ref}/live"):
        assert (await service.client.get(path)).status_code == 404


async def test_every_image_is_in_the_grid(service: Service, detected: RunView) -> None:
    page = await read(service, "/runs/1")
    assert tiles(page) == list(range(14))
    assert total(page) == 14
    assert "<b>TRUNCATED</b>" in page
    assert page.count("/thumbnail?size=256&amp;revision=0") == 13
    assert re.search(r"All <small>14</small>.*Failed <small>1</small>", page, re.DOTALL)


async def test_overlays_are_the_matches(service: Service, db: Database, detected: RunView) -> None:
    rows = open_results(db, detected).lazy().collect().to_dicts()
    page = await read(service, "/runs/1")
    for row in rows[1:]:
        tile = re.search(rf'href="/runs/1/images/{row["image_index"]}".*?</a>', page, re.DOTALL)
        assert tile is not None
        for kind, path in (("TP", "tp"), ("FP", "fp"), ("FN", "fn")):
            drawn = re.search(rf'<path class="{path}" d="([^"]*)"', tile[0])
            expected = sum(one["kind"] == kind for one in row["matches"])
            assert (drawn[1].count("M") if drawn else 0) == expected == row[path]
        assert f'viewBox="0 0 {row["width"]} {row["height"]}"' in tile[0] or not row["matches"]


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ("status=failed", lambda row: row["status"] == "failed"),
        ("show=failed", lambda row: row["status"] == "failed"),
        ("match=FP", lambda row: (row["fp"] or 0) > 0),
        ("correct=false", lambda row: row["is_correct"] is False),
        ("show=errors", lambda row: row["is_correct"] is False),
        ("text=IMAGES/TEST/0003", lambda row: "0003" in row["image_id"]),
        ("error_code=TRUNCATED", lambda row: row["error_code"] == "TRUNCATED"),
    ],
)
async def test_filters_select_rows(
    service: Service, db: Database, detected: RunView, query: str, condition: Any
) -> None:
    rows = open_results(db, detected).lazy().collect().to_dicts()
    expected = [row["image_index"] for row in rows if condition(row)]
    assert expected
    assert tiles(await read(service, f"/runs/1?{query}")) == expected


async def test_the_order_and_the_command(service: Service) -> None:
    page = await read(service, "/runs/1?sort=-fn&class=circle&match=FN&min_confidence=0.1")
    counts = [int(n) for n in re.findall(r"(\d+) false negative", page)]
    assert counts == sorted(counts, reverse=True)
    command = "snellen images 1 --class circle --min-confidence 0.1 --where &#39;fn&gt;0&#39;"
    assert f"{command} --sort fn --desc --limit 60" in page
    page = await read(service, "/runs/1?min_confidence=0.9999999")
    assert "snellen images 1 --min-confidence 0.9999999 " in page
    assert '<option value="0.9999999" selected>' in page


@pytest.mark.parametrize(
    "query",
    [
        "class=dragon", "match=x", "correct=perhaps", "min_confidence=nan", "max_confidence=7",
        "status=x", "slice_by=meta_x&slice=1", "slice_by=image_size", "sort=evil", "page=-3",
        "page=99999999999", "page=x", "view=x", "bucket=x", "true=x&predicted=y", "error_code=",
        "text=%00", "min_confidence=",
    ],
)  # fmt: skip
async def test_bad_values_are_ignored(service: Service, query: str) -> None:
    page = await read(service, f"/runs/1?{query}")
    assert tiles(page) == (list(range(14)) if "text" not in query else [])


async def test_class_links_count_their_objects(service: Service, detected: RunView) -> None:
    page = section(await read(service, "/runs/1"), "classes")
    rows = detected.per_class_metrics or {}
    for name, row in rows.items():
        assert f"<bdi>{name}</bdi>" in page
        assert f"<b>{shown(row['AP'])}</b>" in page
    counted = [(href, text) for href, text in links(page) if "match=" in href]
    assert len(counted) == sum(bool(row[key]) for row in rows.values() for key in ("fp", "fn"))


async def test_slices_lead_to_their_images(service: Service) -> None:
    found = links(section(await read(service, "/runs/1"), "slices"))
    slices = (get_test_run(service.state.db, 1).details or {})["slices"]
    parts = [part for one in slices for part in one["slices"].values()]
    assert len(found) == len(parts)
    for (href, _), part in zip(found, parts, strict=True):
        assert total(await read(service, href)) == part["total_images"]


async def test_pairs_of_a_classifier_lead_to_their_images(
    service: Service, db: Database, classified: RunView
) -> None:
    page = await read(service, "/runs/2")
    summary: Any = ErrorAnalysis(db, classified).summary(top=20)
    expected = [(pair.true_id, pair.predicted_id, pair.count) for pair in summary.most_confused]
    found = [(h, t) for h, t in links(section(page, "errors")) if "predicted_class" in h]
    assert [int(text) for _, text in found] == [count for *_, count in expected]
    for href, text in found:
        listed = await read(service, href)
        assert total(listed) == int(text) == len(tiles(listed))


async def test_cells_of_a_classifier_lead_to_their_images(
    service: Service, classified: RunView
) -> None:
    page = section(await read(service, "/runs/2"), "confusion")
    matrix = classified.confusion_matrix
    names = classified.class_names or []
    for href, _ in links(page):
        query = dict(part.split("=") for part in href.split("?")[1].split("#")[0].split("&"))
        true, predicted = names.index(query["class"]), names.index(query["predicted_class"])
        assert total(await read(service, href)) == matrix[true][predicted]


async def test_of_many_classes_the_most_confused_are_shown(
    service: Service, db: Database, detected: RunView
) -> None:
    names = [f"class {number}" for number in range(40)]
    matrix = [[100 * (t == p) + (t == p + 1 and t > 8) for p in range(40)] for t in range(40)]
    number = create_test_run(
        db, name="many", training_job_id=detected.training_job_id, status="completed",
        checkpoint_path="/w/best.pt", task_type="image_classification", dataset_path="/data/many",
        class_names=names, confusion_matrix=matrix, total_images=4031, metrics={"accuracy": 0.99},
        primary_metric_name="accuracy",
        per_class_metrics={name: {"f1": 0.9, "support": 100} for name in names},
    )  # fmt: skip
    page = section(await read(service, f"/runs/{number}"), "confusion")
    assert "the 30 most confused, 10 classes not shown" in page
    assert page.count('<th scope="row"') == 30
    assert '"class 0 \N{RIGHTWARDS ARROW} class 0: 100"' not in page
    cell = f"/runs/{number}?class=class+20&amp;predicted_class=class+19&amp;status=ok#images"
    assert f'href="{cell}" data-q="1" title="class 20 \N{RIGHTWARDS ARROW} class 19: 1"' in page


async def test_missing_result_files_are_said(service: Service, db: Database) -> None:
    path = unit_files(db, get_test_run(db, 2))[0]
    hidden = path.with_suffix(".hidden")
    path.rename(hidden)
    try:
        page = await read(service, "/runs/2")
    finally:
        hidden.rename(path)
    assert "cannot be read: RESULTS_MISSING" in page
    assert 'id="overview"' in page
    assert 'id="images"' not in page
    assert 'href="#images"' not in page


async def test_buckets(service: Service, db: Database, detected: RunView) -> None:
    page = section(await read(service, "/runs/1"), "errors")
    summary: Any = ErrorAnalysis(db, detected).summary()
    for bucket in summary.buckets:
        assert f'<th scope="row">{bucket.bucket}</th>' in page
    assert section(await read(service, "/ui/runs/1/errors"), "errors") == page


async def test_awkward_names_of_images_are_text(service: Service) -> None:
    page = await read(service, "/runs/2")
    escaped = AWKWARD.replace("<", "&lt;").replace(">", "&gt;")
    assert escaped in page
    assert "<b onclick" not in page
    (number,) = tiles(await read(service, "/runs/2?text=onclick"))
    detail = await read(service, f"/runs/2/images/{number}?text=onclick")
    assert f'<h1 class="wrap-any"><bdi>circle/{escaped}.png</bdi></h1>' in detail
    assert "<b onclick" not in detail
    quoted = await read(service, "/runs/2?text=%3C%22%27%3E")
    assert 'value="&lt;&#34;&#39;&gt;"' in quoted
