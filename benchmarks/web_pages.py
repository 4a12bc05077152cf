"""Measure the web pages in Chromium: a dropped image, a deep page, and tiles of large photographs.

``python -m benchmarks.web_pages`` starts the pages on a port of this machine, on data in a
temporary folder, and prints a table with the goals. A page is measured as people wait for it: from
the drop, or from the request, until the pictures are drawn. The service and the browser share the
processors, so the processor time of the service stands beside the time: on a machine with other
work, it is the one that can be compared. It needs Debian's Chromium.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page

import snellen
from benchmarks.image_pages import make_run
from examples.shapes.make_dataset import make
from snellen.serve.ui.run_page.filters import PAGE_TILES
from snellen.store.sql.database import Database
from tests.browser import started_chromium
from tests.serve.listening import listening
from tests.serve.local_service import FIXTURES, fixture_job

IMAGES = 1_000_000
DEEP = 8000
DROPS = 9
PHOTOGRAPH = (4000, 3000)
CONNECTIONS = 6
"""Connections that a browser opens to one server."""
_DRAWN = """() => new Promise((done) => {
  const shown = () => [...document.querySelectorAll('[data-dropped]')].some((e) => e.href.baseVal);
  const look = () => shown() ? requestAnimationFrame(() => done(performance.now())) :
    requestAnimationFrame(look); look(); })"""


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured time and its goal, in seconds.

    Attributes:
        cpu: processor time of the service and of this process; None where it was not measured.
    """

    name: str
    seconds: float
    goal: float
    cpu: float | None = None

    @property
    def line(self) -> str:
        """Return the row of the table."""
        cpu = "" if self.cpu is None else f", {self.cpu:.3f} s of processor time"
        state = "" if self.holds else "  MISSED"
        return f"{self.name:32} {self.seconds:7.3f} s (goal {self.goal:g} s{cpu}){state}"

    @property
    def holds(self) -> bool:
        """Return True if the goal is met."""
        return self.seconds <= self.goal


def drop(browser: Browser, folder: Path) -> Iterator[Measured]:
    """Drop images on the page of a single image; the model is loaded by the first one."""
    make(folder / "shapes", counts={"test": DROPS + 1})
    files = sorted((folder / "shapes" / "detect" / "images" / "test").iterdir())
    db = Database.open(f"sqlite:///{folder / 'single.db'}")
    fixture_job(db, "detect")
    with listening(db, folder / "single") as url:
        page = browser.new_page()
        page.goto(f"{url}/single", wait_until="networkidle")
        taken = [_dropped(page, file) for file in files]
        page.close()
    db.close()
    yield Measured("drop to drawn result, median", statistics.median(taken[1:]), 0.5)


def _dropped(page: Page, file: Path) -> float:
    page.evaluate("document.querySelectorAll('[data-dropped]').forEach((e) => e.remove())")
    page.evaluate(
        "document.querySelector('input[type=file]').addEventListener('change',"
        " () => { window.begun = performance.now(); }, { once: true, capture: true })"
    )
    page.locator("input[type=file]").set_input_files(file)
    drawn: float = page.evaluate(_DRAWN)
    begun: float = page.evaluate("window.begun")
    return (drawn - begun) / 1000


def deep_page(browser: Browser, folder: Path) -> Iterator[Measured]:
    """Open page 8,000 of the filtered and sorted images of a run of a million."""
    db, run = make_run(folder / "million", IMAGES)
    query = f"min_confidence=0.1&sort=-confidence&page={DEEP}"
    with listening(db, folder / "deep") as url:
        page = browser.new_page()
        page.route("**/thumbnail*", lambda route: route.abort())  # there are no such images
        page.goto(url, wait_until="networkidle")
        for name, address in (
            (f"page {DEEP:,} of {IMAGES:,} images", f"{url}/runs/{run.id}?{query}"),
            ("another page of them", f"{url}/runs/{run.id}?{query[:-1]}1"),
        ):
            begun, used = time.perf_counter(), time.process_time()
            page.goto(address, wait_until="domcontentloaded")
            taken, used = time.perf_counter() - begun, time.process_time() - used
            assert page.locator("#images a.tile").count() == PAGE_TILES
            yield Measured(name, taken, 1.0, used)
        page.close()
    db.close()


def tiles(folder: Path) -> Iterator[Measured]:
    """Ask for the thumbnails of 60 photographs of 12 megapixels, twice."""
    photographs = folder / "photographs" / "any"
    photographs.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(PAGE_TILES):
        coarse = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize(PHOTOGRAPH, Image.Resampling.BICUBIC)
        image.save(photographs / f"{number:02}.jpg", quality=90)
    url = f"sqlite:///{folder / 'tiles.db'}"
    job = snellen.predict(
        {
            "model": {"checkpoint": str(FIXTURES / "tiny-classify.pt")},
            "dataset": {"path": str(photographs.parent)},
            "run": {"engine": "inline"},
            "output": {"dir": str(folder / "out")},
            "database": url,
        }
    )
    db = Database.open(url)
    with listening(db, folder / "tiles") as address:
        path = f"{address}/inference/inference-jobs/{job.id}/images/%d/thumbnail?size=256"
        for name, goal in (("60 tiles of 12 megapixels", 2.0), ("the same again", 0.3)):
            begun, used = time.perf_counter(), time.process_time()
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                sizes = list(pool.map(lambda n: len(urlopen(path % n).read()), range(PAGE_TILES)))
            assert all(sizes)
            taken, used = time.perf_counter() - begun, time.process_time() - used
            yield Measured(name, taken, goal, used)
    db.close()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="snellen-web-") as name:
        yield Path(name)


def main() -> int:
    """Measure and print; return 1 if a goal is missed."""
    found: list[Measured] = []
    with _folder() as folder, started_chromium() as browser:
        (folder / "million").mkdir()
        for measured in (*drop(browser, folder), *deep_page(browser, folder), *tiles(folder)):
            found.append(measured)
            print(measured.line)
    return int(not all(measured.holds for measured in found))


if __name__ == "__main__":
    sys.exit(main())
