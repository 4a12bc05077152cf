"""Grad-CAM over HTTP: the heat map is the adapter's, and lies where the model looks."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snellen.adapters.images.decode import decode_image
from snellen.adapters.timm.adapter import TimmAdapter
from snellen.adapters.types import AdapterSpec
from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.adapters.making import save_timm
from tests.serve.conftest import picture
from tests.serve.local_service import add_job, fixture_job, served

pytestmark = pytest.mark.anyio


def timm_job(db: Database, folder: Path) -> JobView:
    """Register a classifier of timm with random weights."""
    path = folder / "resnet.pth"
    save_timm(path)
    return add_job(
        db, "resnet", path, framework="timm", task_type="image_classification",
        model_name="test_resnet", num_classes=10, class_names=[f"class {n}" for n in range(10)],
    )  # fmt: skip


def opened(url: str) -> Image.Image:
    kind, data = url.split(",", 1)
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


async def test_the_heat_map_is_that_of_the_adapter(db: Database, tmp_path: Path) -> None:
    job, data = timm_job(db, tmp_path), picture()
    adapter = TimmAdapter.from_spec(AdapterSpec("timm", job.output_dir), device="cpu")
    image = decode_image(data, name="a.png", max_pixels=10**8, max_bytes=10**8)
    expected = adapter.explain(image)
    async with served(db, tmp_path, cache_bytes=10**7) as service:
        plain = (await service.single(data, job.id)).json()
        assert plain["explanation"] is None
        for _ in range(2):  # the second reply is that of the cache
            found = (await service.single(data, job.id, explain="gradcam")).json()
            assert found["top5_predictions"] == plain["top5_predictions"]
            explanation = found["explanation"]
            assert explanation["method"] == "gradcam"
            assert explanation["class_id"] == expected.class_id == plain["predicted_label_id"]
            assert explanation["region"] == pytest.approx(expected.region)
    heat = opened(explanation["heat"])
    assert heat.mode == "RGBA"
    opacity = np.asarray(heat.getchannel("A")) / 255
    rows, columns = expected.heat.shape
    scale = heat.width // columns
    assert opacity.shape == (rows * scale, columns * scale)
    middles = opacity[scale // 2 :: scale, scale // 2 :: scale]
    np.testing.assert_allclose(middles, expected.heat, atol=0.1)


async def test_models_without_explanations(db: Database, tmp_path: Path) -> None:
    job = fixture_job(db, "classify")
    async with served(db, tmp_path) as service:
        response = await service.single(picture(), job.id, explain="gradcam")
        assert (response.status_code, response.json()["code"]) == (422, "EXPLAIN_UNSUPPORTED")
        assert "timm classifier" in response.json()["detail"]
        odd = await service.single(picture(), job.id, explain="lime")
        assert (odd.status_code, odd.json()["code"]) == (422, "VALIDATION")


async def test_the_page_offers_it_for_classifiers_of_timm(db: Database, tmp_path: Path) -> None:
    jobs = {True: timm_job(db, tmp_path), False: fixture_job(db, "classify")}
    async with served(db, tmp_path) as service:
        for offered, job in jobs.items():
            response = await service.client.post(
                "/ui/single",
                files={"image": ("a.png", picture())},
                data={"training_job_id": str(job.id), "checkpoint": "best"},
            )
            assert response.status_code == 200
            assert ("data-cam" in response.text) is offered
            assert ('class="cam"' in response.text) is offered
