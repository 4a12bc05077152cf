"""The password of the database is neither stored nor printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import URL

import snellen
from snellen.adapters.errors import ConfigError, RunInterrupted
from snellen.adapters.passwords import hide_passwords, without_password
from snellen.analysis.rescore import rescore_run
from snellen.cli.main import run as command
from snellen.pipelines.config.loader import apply_overrides, build_config
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import InferenceRunner, TestRunner
from snellen.store.runs import get_test_run
from snellen.store.sql import database
from snellen.store.sql.urls import resolve_url
from tests.pipelines.place import Place, Stopping
from tests.pipelines.predicting import Jobs

SECRET = "se/c@r:et"
ADDRESS = f"postgresql://user:{SECRET}@host/db"
SHOWN = "postgresql://user@host/db"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place whose SQLite file every URL leads to, so that the Postgres server is not needed."""
    here = Place(tmp_path)

    def sqlite(url: str | None) -> URL:
        return resolve_url(here.url)

    monkeypatch.setattr(database, "resolve_url", sqlite)
    monkeypatch.chdir(tmp_path)
    return here


def stored(place: Place) -> bytes:
    """Return the bytes of the database and of every file of its runs."""
    files = [Path(place.url.removeprefix("sqlite:///")), *place.output.rglob("*")]
    return b"".join(file.read_bytes() for file in files if file.is_file())


def test_rows_keep_the_address_alone(place: Place) -> None:
    with pytest.raises(RunInterrupted):
        TestRunner(place.config(database=ADDRESS), reporter=Stopping(1)).run_test()
    run = TestRunner(database=ADDRESS).resume("latest")
    submitted = TestRunner(place.config(database=ADDRESS)).submit()
    rescored = rescore_run(place.db, run, ["metrics.ece_bins=5"], Reporter())
    overridden = TestRunner(place.config(), database=ADDRESS).run_test()
    resumed = TestRunner().resume(overridden.id, [f"database={ADDRESS}"])
    for row in (run, get_test_run(place.db, submitted), rescored, overridden, resumed):
        assert (row.config or {})["database"] == SHOWN
    assert SECRET.encode() not in stored(place)


def test_jobs_keep_the_address_alone(place: Place) -> None:
    config = Jobs(place.output.parent).config(database=ADDRESS)
    job = InferenceRunner(config).run_inference()
    assert (job.config or {})["database"] == SHOWN
    assert SECRET.encode() not in stored(place)


def test_commands_do_not_print_it(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    adapter = "tests.pipelines.pixel_adapter:PixelAdapter"
    words = [f"model.adapter={adapter}", "dataset.path=data", "run.engine=inline"]
    words += ["output.dir=out", f"database={ADDRESS}"]
    asked = [
        ["eval", *words, "--save-config", "saved.yaml"],
        ["eval", *words],
        ["plan", *words, "--json"],
        ["show", "1", "--database", ADDRESS],
        ["show", "1", "--json", "--database", ADDRESS],
        ["runs", "--json", "--database", ADDRESS],
        ["resume", "1", "--json", "--database", ADDRESS],
        ["rescore", "1", "--json", "--database", ADDRESS],
        ["schema"],
    ]
    for one in asked:
        assert command(one) == 0, one
    printed = "".join(capfd.readouterr())
    assert "database: postgresql://user@host/db" in printed
    assert SECRET not in printed
    assert SHOWN in Path("saved.yaml").read_text()
    assert SECRET not in Path("saved.yaml").read_text()
    assert SECRET.encode() not in stored(place)
    opened = snellen.open_run(1, database=ADDRESS)
    assert SECRET not in repr(opened) + repr(opened.row) + opened._repr_html_()


@pytest.mark.parametrize(
    "words",
    [
        ["eval", f"database:{ADDRESS}"],
        ["eval", "model.checkpoint=x.pt", "dataset.path=data", f"database.url={ADDRESS}"],
        ["eval", "model.checkpoint=x.pt", "dataset.path=data", f"database=[{ADDRESS}]"],
        ["eval", "model.checkpoint=x.pt", "dataset.path=data", f"data.base={ADDRESS}"],
        ["runs", "--database", f"mysql://user:{SECRET}@host/db"],
        ["runs", "--status", ADDRESS],
    ],
)
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_errors_do_not_print_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    as_json: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command([*words, *as_json]) == 2
    printed = "".join(capfd.readouterr())
    assert printed
    assert SECRET not in printed


def test_an_error_hides_it_wherever_it_goes(place: Place) -> None:
    with pytest.raises(ConfigError) as caught:
        build_config({**json.loads(place.config().model_dump_json()), "database": {"url": ADDRESS}})
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.message}"
    with pytest.raises(ConfigError) as caught:
        apply_overrides({}, [ADDRESS])
    assert SECRET not in str(caught.value)

    class Broken(Reporter):
        def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
            raise LookupError(ADDRESS)

    with pytest.raises(LookupError):
        place.run(Broken())
    run = get_test_run(place.db, 1)
    assert run.error_message == "LookupError: postgresql://user:***@host/db"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("runs/mine.db", "runs/mine.db"),
        ("sqlite:////tmp/a@b/mine.db", "sqlite:////tmp/a@b/mine.db"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql://user@host:5432/db?sslmode=require", None),
        ("postgresql://user:a@b:c@host/db", "postgresql://user@host/db"),
        ("postgresql://:only@host/db", "postgresql://@host/db"),
        ("postgresql://host/db?user=u&password=p&sslpassword=q", "postgresql://host/db?user=u"),
        ("postgresql://host/db?PASSWORD=p", "postgresql://host/db"),
    ],
)
def test_urls_keep_everything_else(url: str, kept: str | None) -> None:
    assert without_password(url) == (url if kept is None else kept)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to postgresql://u:p@h/d, and 'mysql://u:p@h'", "to postgresql://u:***@h/d, and "
         "'mysql://u:***@h'"),
        ("images at http://localhost:8000/x, by a@b.org", None),
        ("'s3://bucket/key' has no user@", None),
    ],
)  # fmt: skip
def test_only_passwords_are_hidden(text: str, shown: str | None) -> None:
    assert hide_passwords(text) == (text if shown is None else shown)
