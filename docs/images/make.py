"""Take the pictures of the web pages for the README and the documentation, light and dark.

``python -m docs.images.make`` needs the runs of ``make demo`` and Debian's Chromium. It draws
coloured shapes, evaluates two tiny detectors on them in a temporary folder, starts the pages on a
port of this machine, and writes one WebP per picture and theme beside this file.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

import snellen
from examples.shapes.make_dataset import make
from snellen.serve.api.app import create_app
from snellen.serve.api.backend import Unavailable
from snellen.serve.api.state import make_state
from snellen.serve.config import ServeConfig
from snellen.serve.inference.messages import InferenceReply, InferenceRequest, ModelRef
from snellen.serve.ui.routes import add_pages
from snellen.store.sql.database import Database

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
THEMES = ("light", "dark")
MAX_BYTES = 150_000
_DETECTORS = {"shapes-yolov8": "tiny-detect-8", "shapes-yolo11": "tiny-detect"}
_SIZE = (1280, 800)


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture of a page.

    Attributes:
        name: of the file, before the theme.
        data: ``shapes`` or ``demo``: the runs that the page shows.
        path: of the page.
        part: selector of the part that the picture begins with; empty for the whole page.
    """

    name: str
    data: str
    path: str
    part: str = ""


SHOTS = (
    Shot("run", "shapes", "/runs/shapes-yolo11"),
    Shot("mistakes", "shapes", "/runs/shapes-yolo11?show=errors&sort=-fn", "#images"),
    Shot("compare", "demo", "/compare?a=digits-epoch-3&b=digits&change=fixed"),
)


class NoModels:
    """Backend of pages that predict nothing."""

    async def infer(self, request: InferenceRequest) -> InferenceReply:
        """Raise Unavailable."""
        raise Unavailable

    async def preload(self, model: ModelRef) -> InferenceReply:
        """Raise Unavailable."""
        raise Unavailable

    async def ping(self) -> None:
        """Raise Unavailable."""
        raise Unavailable


def files() -> list[str]:
    """Return the names of the pictures."""
    return sorted(f"{shot.name}-{theme}.webp" for shot in SHOTS for theme in THEMES)


def evaluate_shapes(folder: Path) -> Database:
    """Evaluate the detectors on drawn shapes."""
    make(folder / "shapes", counts={"test": 120, "val": 1})
    url = f"sqlite:///{folder / 'runs.db'}"
    for name, checkpoint in _DETECTORS.items():
        snellen.evaluate(
            {
                "name": name,
                "model": {"checkpoint": str(ROOT / "tests" / "fixtures" / f"{checkpoint}.pt")},
                "dataset": {"path": str(folder / "shapes" / "detect" / "data.yaml")},
                "metrics": {"slices": ["object_count", "object_size"]},
                "run": {"engine": "inline"},
                "output": {"dir": str(folder / "out")},
                "database": url,
            }
        )
    return Database.open(url)


@contextmanager
def served(db: Database, folder: Path) -> Iterator[str]:
    """Serve the pages of run tables; yield the address."""
    app = create_app(make_state(ServeConfig(), db, NoModels(), folder), keys=(), loopback=True)
    add_pages(app)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def take(browser: Browser, url: str, shot: Shot, theme: str) -> bytes:
    """Return the picture of a page as WebP."""
    width, height = _SIZE
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
    page.goto(url + shot.path, wait_until="networkidle")
    page.wait_for_selector(".htmx-request, .skel", state="detached")
    if shot.part:
        page.locator(shot.part).evaluate("(part) => part.scrollIntoView()")
    page.wait_for_load_state("networkidle")
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    page.close()
    for options in ({"lossless": True}, {"quality": 90}, {"quality": 75}):
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", method=6, **options)
        if buffer.tell() < MAX_BYTES:
            break
    return buffer.getvalue()


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, default=ROOT / "runs" / "snellen.db")
    demo = parser.parse_args().demo
    if not demo.is_file():
        print(f"{demo} does not exist. Expected the runs of the demo. Run: make demo")
        return 2
    with tempfile.TemporaryDirectory(prefix="snellen-pictures-") as name, sync_playwright() as play:
        folder = Path(name)
        tables = {"shapes": evaluate_shapes(folder), "demo": Database.open(f"sqlite:///{demo}")}
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for data, db in tables.items():
            with served(db, folder / data) as url:
                for shot in (one for one in SHOTS if one.data == data):
                    for theme in THEMES:
                        path = FOLDER / f"{shot.name}-{theme}.webp"
                        path.write_bytes(take(browser, url, shot, theme))
                        print(f"{path.name}: {path.stat().st_size:,} bytes")
            db.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
