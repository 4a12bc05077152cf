"""Static files: addresses with their hash, vendored files as their packages have them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from snellen.serve.ui import assets
from snellen.store.sql.database import Database
from tests.serve.local_service import served

pytestmark = pytest.mark.anyio


async def test_files_have_lasting_addresses(db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        for name, media_type in (("snellen.css", "text/css"), ("ui.js", "text/javascript")):
            found = await service.client.get(assets.address(name))
            assert found.status_code == 200
            assert found.content == (assets.FOLDER / name).read_bytes()
            assert found.headers["content-type"].startswith(media_type)
            assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
        for name in ("none.css", "../pages.py", "vendor/README.md", "%2e%2e/pages.py"):
            path = f"{assets.PREFIX}/{assets.version()}/{name}"
            assert (await service.client.get(path)).status_code == 404, name
        old = assets.address("ui.js").replace(assets.version(), "0" * 12)
        assert (await service.client.get(old)).status_code == 404


def test_vendored_files_are_unchanged() -> None:
    folder = assets.FOLDER / "vendor"
    listed = re.findall(
        r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (folder / "README.md").read_text(), re.M
    )
    assert {name for name, _ in listed} == {path.name for path in folder.glob("*.js")}
    for name, digest in listed:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in [*assets.files().values(), *(assets.FOLDER.parent / "templates").glob("*.html")]:
        text = path.read_text()
        if "vendor" not in path.parts:
            addresses = set(re.findall(r"https?://[^\s\"'<>)]+", text))
            assert addresses <= {"http://www.w3.org/2000/svg"}, path
        assert " style=" not in text.replace("[style=", ""), path
        assert (
            not re.search(r"\bon(click|load|error|change|submit)=", text) or "vendor" in path.parts
        )
