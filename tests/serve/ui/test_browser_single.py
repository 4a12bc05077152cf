"""One image in Chromium: dropped, drawn at the right place, filtered without a request."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from examples.shapes.make_dataset import make
from snellen.adapters.images.decode import decode_image
from snellen.adapters.timm.adapter import TimmAdapter
from snellen.adapters.types import AdapterSpec
from snellen.adapters.ultralytics.adapter import UltralyticsAdapter
from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.browser import Watched
from tests.serve.api.test_explanations import timm_job
from tests.serve.listening import listening
from tests.serve.local_service import FIXTURES, TASKS, fixture_job

pytestmark = pytest.mark.browser
ON_SCREEN = """(wanted) => [...document.querySelectorAll('.ob rect.pr')].map((rect) => {
  const r = rect.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; })"""


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path_factory.mktemp('db') / 'runs.db'}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def jobs(db: Database) -> dict[str, JobView]:
    return {task: fixture_job(db, task) for task in TASKS}


@pytest.fixture(scope="module")
def url(
    db: Database, jobs: dict[str, JobView], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    root = tmp_path_factory.mktemp("root")
    with listening(db, root, model={"min_confidence": 0.1}) as address:
        yield address


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shapes")
    make(root, counts={"test": 1})
    return next((root / "detect" / "images" / "test").iterdir())


def drop(page: Page, file: Path, job: JobView) -> None:
    page.get_by_label("Training job").select_option(str(job.id))
    page.locator("input[type=file]").set_input_files(file)
    expect(page.locator("[data-dropped]")).to_have_count(1, timeout=60_000)
    page.wait_for_function("document.querySelector('[data-dropped]').href.baseVal !== ''")


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "classify"])
def test_a_dropped_image_is_drawn_at_the_right_place(
    chromium: Browser, url: str, jobs: dict[str, JobView], picture: Path, task: str
) -> None:
    watched = Watched(chromium, url, color_scheme="dark" if task == "pose" else "light")
    page = watched.open("/single")
    drop(page, picture, jobs[task])
    with Image.open(picture) as image:
        width, height = image.size
    stage = page.locator("svg.ov").bounding_box()
    assert stage is not None
    scale = min(stage["width"] / width, stage["height"] / height)
    left = stage["x"] + (stage["width"] - width * scale) / 2
    top = stage["y"] + (stage["height"] - height * scale) / 2
    spec = AdapterSpec(
        adapter="ultralytics", checkpoint=str(FIXTURES / f"tiny-{task}.pt"), min_confidence=0.1
    )
    result = UltralyticsAdapter.from_spec(spec, device="cpu").infer_single(picture)
    boxes = sorted(
        (result.predicted_boxes or []),
        key=lambda box: -(box["x2"] - box["x1"]) * (box["y2"] - box["y1"]),
    )
    expected = [
        (left + box["x1"] * scale, top + box["y1"] * scale,
         left + box["x2"] * scale, top + box["y2"] * scale)
        for box in boxes
    ]  # fmt: skip
    found: list[Any] = page.evaluate(ON_SCREEN, None)
    assert len(found) == len(expected)
    for shown, wanted in zip(found, expected, strict=True):
        assert shown == pytest.approx(wanted, abs=1.5)
    if task == "classify":
        expect(page.locator(".top5 li").first).to_contain_text(str(result.predicted_label))
    watched.check()
    page.close()


def test_the_slider_hides_objects_without_a_request(
    chromium: Browser, url: str, jobs: dict[str, JobView], picture: Path
) -> None:
    watched = Watched(chromium, url)
    page = watched.open("/single")
    drop(page, picture, jobs["detect"])
    confidences = [
        float(object.get_attribute("data-c") or 0) for object in page.locator(".ob").all()
    ]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    middle = sorted(confidences)[len(confidences) // 2]
    page.locator("[data-min]").fill(f"{middle:.2f}")
    limit = float(page.locator("[data-min]").input_value())
    expect(page.locator(".ob:not([hidden])")).to_have_count(
        sum(value >= limit for value in confidences)
    )
    assert asked == []
    with page.expect_download() as download:
        page.locator("[data-picture]").click()
    with Image.open(picture) as image, Image.open(download.value.path()) as saved:
        assert saved.size == image.size
        assert saved.convert("RGB").tobytes() != image.convert("RGB").tobytes()
    watched.check()
    page.close()


def test_images_that_are_stored_sideways_lie_under_their_boxes(
    chromium: Browser, url: str, jobs: dict[str, JobView], picture: Path, tmp_path: Path
) -> None:
    with Image.open(picture) as image:
        upright = image.convert("RGB").resize((300, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    file = tmp_path / "sideways.jpg"
    upright.transpose(Image.Transpose.ROTATE_90).save(file, exif=exif, quality=95)
    watched = Watched(chromium, url)
    page = watched.open("/single")
    drop(page, file, jobs["detect"])
    for hidden in page.locator(".ob").all():
        hidden.evaluate("(object) => object.setAttribute('hidden', '')")
    stage = page.locator("svg.ov").screenshot()
    with Image.open(io.BytesIO(stage)) as shot:
        scale = min(shot.width / 300, shot.height / 200)
        left, top = (shot.width - 300 * scale) / 2, (shot.height - 200 * scale) / 2
        inside = (left, top, left + 300 * scale, top + 200 * scale)
        shown = shot.convert("L").resize((30, 20), box=inside)
    wanted = upright.convert("L").resize((30, 20))
    differences = [abs(a - b) for a, b in zip(shown.tobytes(), wanted.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 8
    page.close()


def test_a_file_that_is_no_image_is_said_in_words(
    chromium: Browser, url: str, jobs: dict[str, JobView], tmp_path: Path
) -> None:
    file = tmp_path / "broken.png"
    file.write_bytes(b"no image")
    watched = Watched(chromium, url)
    page = watched.open("/single")
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_role("alert")).to_be_visible()
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    page.locator("input[type=file]").set_input_files(text)
    expect(page.locator("[data-note]")).to_contain_text("not supported")
    page.close()


def test_grad_cam_lies_over_what_the_model_sees(
    chromium: Browser, url: str, db: Database, picture: Path, tmp_path: Path
) -> None:
    job = timm_job(db, tmp_path)
    spec = AdapterSpec("timm", job.output_dir)
    region = (
        TimmAdapter.from_spec(spec, device="cpu")
        .explain(decode_image(picture.read_bytes(), name="a", max_pixels=10**8, max_bytes=10**8))
        .region
    )
    watched = Watched(chromium, url)
    page = watched.open("/single")
    drop(page, picture, job)
    with page.expect_download() as download:
        page.keyboard.press("s")
    plain = download.value.path().read_bytes()
    page.keyboard.press("g")
    cam = page.locator("image.cam")
    expect(cam).to_have_attribute("href", re.compile("^blob:"))
    found = [float(cam.get_attribute(side) or "nan") for side in ("x", "y", "width", "height")]
    left, top, right, bottom = region
    assert found == pytest.approx([left, top, right - left, bottom - top])
    expect(page.locator("rect.crop")).to_be_visible()
    watched.check()
    with page.expect_download() as download:
        page.locator("[data-picture]").click()  # g s would be a key of its own
    assert download.value.path().read_bytes() != plain
    page.keyboard.press("g")
    expect(page.locator("rect.crop")).to_be_hidden()
    watched.check()
    page.close()
