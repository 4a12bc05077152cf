"""Jobs in Chromium: images are dropped, predicted and exported; a training job is registered."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, expect

from examples.shapes.make_dataset import make
from snellen.serve.jobs.runner import JobRunner, RunnerSettings
from snellen.store.runs import list_inference_jobs
from snellen.store.sql.database import Database
from tests.browser import Watched
from tests.serve.listening import listening
from tests.serve.local_service import fixture_job
from tests.serve.ui.test_training import AWKWARD, logged

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LONG = "<script>alert(1)<" + "\N{HEBREW LETTER ALEF}\N{GRINNING FACE}" + "x" * 200
WAIT_MS = 90_000
LIMITS = {"max_batch_images": 6}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path_factory.mktemp('db') / 'runs.db'}")
    fixture_job(database, "detect")
    yield database
    database.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def url(db: Database, root: Path) -> Iterator[str]:
    logged(root / "models")
    with listening(db, root, limits=LIMITS, roots=[str(root / "models")]) as address:
        yield address


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shapes")
    make(folder, counts={"test": 4, "val": 1})
    found = sorted((folder / "detect" / "images" / "test").iterdir())
    awkward = found[0].with_name(f"{LONG}.png")
    found[0].rename(awkward)
    broken = found[1].with_name("broken.png")
    broken.write_bytes(b"no image")
    return [awkward, broken, *found[1:]]


def test_dropped_images_become_a_finished_job(
    chromium: Browser, url: str, root: Path, db: Database, pictures: list[Path]
) -> None:
    watched = Watched(chromium, url)
    page = watched.open("/single")
    page.locator("input[type=file]").set_input_files(pictures)
    page.wait_for_url("**/inference-jobs/*")
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    JobRunner(db, RunnerSettings(1, 0, root)).run(until_empty=True)
    expect(page.locator(".st.completed")).to_be_visible(timeout=WAIT_MS)  # without a reload
    expect(page.locator(".tile")).to_have_count(5)
    expect(page.locator(".tile .none")).to_contain_text("UNSUPPORTED")
    page.get_by_label("Failed").check()
    expect(page.locator(".tile")).to_have_count(1)
    assert "status=failed" in page.url
    watched.check()
    page.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_the_page_of_a_job_is_sound(
    chromium: Browser, url: str, db: Database, scheme: str, width: int
) -> None:
    number = list_inference_jobs(db)[0].id
    watched = Watched(chromium, url, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = watched.open(f"/inference-jobs/{number}")
    shown = page.evaluate("[...document.querySelectorAll('.tile img')].map((i) => i.naturalWidth)")
    assert len(shown) == 4
    assert all(shown)
    watched.check()
    page.locator(".tile", has=page.locator("img")).first.click()
    expect(page.locator("svg.ov").first).to_be_visible()
    expect(page.locator("h1")).to_contain_text("alert(1)")
    watched.check()
    page.close()


def test_a_job_is_exported_and_deleted(
    chromium: Browser, url: str, root: Path, db: Database
) -> None:
    number = list_inference_jobs(db)[0].id
    watched = Watched(chromium, url)
    page = watched.open(f"/inference-jobs/{number}")
    page.locator("summary", has_text="Export").click()
    page.get_by_role("button", name="Export").click()
    expect(page.locator("#exports .st.pending")).to_be_visible()
    JobRunner(db, RunnerSettings(1, 0, root)).run(until_empty=True)
    link = page.locator("#exports a")
    expect(link).to_be_visible(timeout=WAIT_MS)
    with page.expect_download() as download:
        link.click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert sum(name.endswith(".jpg") for name in archive.namelist()) == 4
    watched.check()
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.on("dialog", answer)
    page.get_by_label("More actions").click()
    page.get_by_role("button", name="Delete this job").click()
    page.wait_for_url(f"{url}/")
    assert str(number) in asked[0]
    assert list_inference_jobs(db) == []
    page.close()


def test_faults_of_a_batch_are_said_in_words(
    chromium: Browser, url: str, db: Database, pictures: list[Path], tmp_path: Path
) -> None:
    watched = Watched(chromium, url)
    page = watched.open("/single")
    field, note = page.locator("input[type=file]"), page.locator("[data-note]")
    before = len(list_inference_jobs(db))
    field.set_input_files([*pictures, *pictures[:2]])
    expect(note).to_have_text(
        "7 files; a batch has at most 6 images. Use snellen predict for more."
    )
    watched.check()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.png", b"x")
    locked = bytearray(content.getvalue())
    locked[6] |= 1  # general purpose flag: encrypted
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    file = tmp_path / "locked.zip"
    file.write_bytes(bytes(locked))
    field.set_input_files(file)
    expect(page.get_by_role("alert")).to_contain_text("The ZIP archive is encrypted.")
    expect(page.get_by_role("alert")).to_contain_text("ARCHIVE_ENCRYPTED")
    assert len(list_inference_jobs(db)) == before
    page.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_a_training_job_is_registered(chromium: Browser, url: str, scheme: str, width: int) -> None:
    watched = Watched(chromium, url, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = watched.open("/")
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_url(f"{url}/training-jobs")
    page.keyboard.press("n")
    page.get_by_label("Run directory").fill("gone")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no such directory.")
    watched.messages.clear()  # of the response 404
    watched.check()
    page.get_by_label("Run directory").fill("run")
    page.get_by_label("Name", exact=True).fill(AWKWARD)
    page.get_by_role("button", name="Register").click()
    expect(page.locator("h1")).to_have_text(AWKWARD)
    expect(page.locator("svg.epochs")).to_have_count(2)
    watched.check()
    page.get_by_role("link", name="Test the checkpoint last").click()
    expect(page.get_by_label("Training job")).to_have_value(page.url.split("=")[1].split("&")[0])
    expect(page.get_by_label("Checkpoint")).to_have_value("last")
    watched.open("/training-jobs")
    watched.check()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_problem_is_a_page(chromium: Browser, url: str, scheme: str) -> None:
    watched = Watched(chromium, url, color_scheme=scheme, viewport={"width": 390, "height": 900})
    page = watched.open(f"/inference-jobs/{'x' * 300}")
    expect(page.locator("h1")).to_have_text("Not found")
    watched.messages.clear()  # of the response 404
    watched.check()
    page.keyboard.press("Escape")
    page.wait_for_url(f"{url}/")
    page.close()
