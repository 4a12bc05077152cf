"""The page of one image: choices of models, what is drawn, and problems in words."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snellen.pipelines.visualization.masks import decode_mask
from snellen.serve.ui.shapes import mask_path, skeleton
from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.local_service import Service, served

pytestmark = pytest.mark.anyio


def picture() -> bytes:
    pixels = np.full((120, 160, 3), 90, dtype=np.uint8)
    pixels[30:90, 40:110] = (200, 40, 40)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
async def service(db: Database, tmp_path: Path) -> AsyncIterator[Service]:
    async with served(db, tmp_path, model={"min_confidence": 0.05}) as running:
        yield running


async def test_jobs_and_checkpoints_are_offered(service: Service, jobs: dict[str, JobView]) -> None:
    html = (await service.client.get(f"/single?job={jobs['pose'].id}")).text
    assert f'<option value="{jobs["pose"].id}" selected>tiny-pose (pose estimation)' in html
    assert '<option value="best">' in html
    part = await service.client.get(f"/ui/checkpoints?training_job_id={jobs['detect'].id}")
    assert part.text.strip().startswith("<option")
    assert (await service.client.get("/ui/checkpoints?training_job_id=999")).status_code == 404


async def test_without_jobs_the_page_says_how_to_register(service: Service) -> None:
    assert "snellen register" in (await service.client.get("/single")).text


@pytest.mark.parametrize("task", ["classify", "detect", "segment", "pose"])
async def test_the_drawing_is_the_response_of_the_api(
    service: Service, jobs: dict[str, JobView], task: str
) -> None:
    files = {"image": ("shapes <b>.png", picture(), "image/png")}
    data = {"training_job_id": str(jobs[task].id), "checkpoint": "best"}
    page = await service.client.post("/ui/single", files=files, data=data)
    assert page.status_code == 200, page.text
    api = (await service.client.post("/inference/single", files=files, data=data)).json()
    shown = json.loads(re.findall(r"data-result-json>(.*?)</script>", page.text)[0])
    same = ("predicted_boxes", "predicted_masks", "predicted_keypoints", "top5_predictions")
    assert {key: shown[key] for key in same} == {key: api[key] for key in same}
    assert f'viewBox="0 0 {api["width"]} {api["height"]}"' in page.text
    assert "shapes &lt;b&gt;.png" in page.text
    boxes = api["predicted_boxes"] or []
    assert page.text.count('class="ob pr-ob"') == len(boxes)
    for box in boxes:
        left, top, right, _ = box["xyxy"]
        place = f'x="{round(left, 1)}" y="{round(top, 1)}" width="{round(right - left, 1)}"'
        assert place in page.text
    assert page.text.count("mask strips") == (len(boxes) if task == "segment" else 0)
    if task == "classify":
        assert f"{api['confidence']:.3f}" in page.text


async def test_problems_are_said_in_words(service: Service, jobs: dict[str, JobView]) -> None:
    data = {"training_job_id": str(jobs["detect"].id), "checkpoint": "best"}
    for content, status in ((b"", 400), (b"no image", 415)):
        files = {"image": ("a.png", content, "image/png")}
        found = await service.client.post("/ui/single", files=files, data=data)
        assert found.status_code == status
        assert 'role="alert"' in found.text
    files = {"image": ("a.png", picture(), "image/png")}
    unknown = await service.client.post(
        "/ui/single", files=files, data={**data, "checkpoint": "777"}
    )
    assert unknown.status_code == 404
    assert "CHECKPOINT_NOT_FOUND" in unknown.text


def test_a_mask_is_drawn_pixel_by_pixel() -> None:
    from hotcoco import mask as coco

    rng = np.random.default_rng(0)
    mask = np.asfortranarray(rng.random((20, 30)) < 0.4, dtype=np.uint8)
    counts = coco.encode(mask)["counts"]
    drawn = np.zeros_like(mask)
    for x, y, w, h in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+z", mask_path(counts, 20, 30)):
        drawn[int(y) : int(y) + int(h), int(x) : int(x) + int(w)] += 1
    assert np.array_equal(drawn, decode_mask(counts, 20, 30))
    wide = np.asfortranarray(np.ones((5, 2500)), dtype=np.uint8)
    path = mask_path(coco.encode(wide)["counts"], 5, 2500)
    strips = [int(w) for w in re.findall(r"h(\d+)v5", path)]
    assert sum(strips) == 2500
    assert len(strips) <= 1000


def test_a_skeleton_has_limbs_between_visible_points() -> None:
    points = [{"x": float(n), "y": 2.0 * n, "v": 0.9} for n in range(17)]
    points[0]["v"] = 0.1  # the nose, which two limbs start at
    drawn = skeleton(points, 2.0)
    assert (drawn.visible, drawn.points) == (16, 17)
    assert drawn.limbs.count("M") == 18 - 2
    assert drawn.joints.count("M") == 16
    assert skeleton(points[:5], 2.0).limbs == ""
