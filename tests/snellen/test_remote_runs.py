"""Runs of a service through the clients and through `snellen --server`, on a real socket."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import snellen
from snellen.adapters.errors import RunCancelled, RunError
from snellen.cli.main import run as command
from snellen.serve.jobs.runner import JobRunner, RunnerSettings
from snellen.store.sql.database import Database
from tests.serve.listening import listening
from tests.serve.site import Site

pytestmark = pytest.mark.slow
RUN = {"engine": "inline", "unit_rows": 4, "batch_size": 3}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, importable: None) -> Iterator[tuple[Site, str]]:
    """A service without Ray, with a worker beside it."""
    folder = tmp_path_factory.mktemp("remote")
    db = Database.open(f"sqlite:///{folder / 'runs.db'}")
    site = Site(folder, db)
    worker = JobRunner(db, RunnerSettings(2, 0, site.output))
    with listening(db, site.output, **site.settings) as url, worker:
        yield site, url
    db.close()


def test_a_run_is_submitted_followed_read_and_compared(place: tuple[Site, str]) -> None:
    site, url = place
    here = site.run_here()
    seen: list[int] = []
    with snellen.Client(url) as client:
        looked = client.inspect_dataset("data", job="pixel")
        assert (looked.images, looked.classes) == (12, ["0", "1", "2"])
        run = client.evaluate("data", job="pixel", name="remote", run=RUN)
        assert (run.status, run.row.queued) == ("pending", True)
        run.wait(lambda progress: seen.append(progress.done_images), timeout_s=60)
        assert (run.status, run.metrics) == ("completed", here.metrics)
        assert seen[-1] == 12
        images = run.results(objects=True)
        assert [one.image_index for one in images] == list(range(12))
        wrong = run.results(correct=False, true_class="0", sort="loss", descending=True)
        losses = [one.loss or 0.0 for one in wrong]
        assert losses == sorted(losses, reverse=True)
        assert {one.true_label for one in wrong} == {"0"}
        document = client.compare(here.id, run)
        assert document["primary"]["difference"] == 0
        assert run.export("csv", correct=False).startswith(b"image_index")
        assert run.draw(0, "thumbnail").startswith(b"\xff\xd8")
        assert client.runs(limit=1)[0].id == run.id
        assert client.run(run.id).row.name == "remote"
        with pytest.raises(TypeError, match="unexpected keyword argument 'visualize'"):
            client.evaluate("data", job="pixel", visualize="all")
        with pytest.raises(snellen.ServiceError, match="outside the configured roots") as caught:
            client.evaluate("/etc", job="pixel")
        assert caught.value.status == 403
        run.delete()
        with pytest.raises(snellen.ServiceError) as caught:
            run.refresh()
        assert caught.value.code == "RUN_NOT_FOUND"


def test_images_and_archives_are_predicted(place: tuple[Site, str]) -> None:
    site, url = place
    paths = sorted(site.data.rglob("*.png"))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path in paths:
            archive.write(path, path.relative_to(site.data))
    with snellen.Client(url) as client:
        jobs = [
            client.predict(paths, job="pixel", batch_size=4).wait(False, timeout_s=60),
            client.predict([stream.getvalue()], job="pixel"),
            client.predict_dataset("data", job="pixel", run={"engine": "inline"}),
        ]
        labels = [[one.predicted_label for one in job.wait(timeout_s=60).results()] for job in jobs]
        assert labels[0] == labels[1] == labels[2]
        assert len(labels[0]) == 12
        assert client.inference_jobs(limit=1)[0].id == jobs[2].id
        assert client.inference_job(jobs[0].id).row.total_images == 12


def test_waiting_ends_with_the_reason_of_a_failure(place: tuple[Site, str]) -> None:
    site, url = place
    with snellen.Client(url) as client:
        run = client.evaluate("data", job="pixel", run={**RUN, "max_failed": 0})
        run.cancel()
        with pytest.raises((RunCancelled, RunError)):
            run.wait(timeout_s=60)
        assert run.resume().wait(timeout_s=60).status == "completed"
        site.slow_down(400)
        slow = client.evaluate("data", job="pixel", run={**RUN, "threads": 1})
        with pytest.raises(snellen.ServiceError, match="is ") as caught:
            slow.wait(timeout_s=0)
        assert caught.value.code == "WAIT_TIMEOUT"
        slow.cancel()
        site.slow_down(0)
        with pytest.raises(RunCancelled):
            slow.wait(timeout_s=60)


def test_the_asynchronous_client_does_the_same(
    place: tuple[Site, str], capfd: pytest.CaptureFixture[str]
) -> None:
    _, url = place

    async def work() -> None:
        async with snellen.AsyncClient(url) as client:
            assert await client.ready()
            runs = await asyncio.gather(
                *(client.evaluate("data", job="pixel", run=RUN) for _ in range(2))
            )
            await asyncio.gather(runs[0].wait(True, timeout_s=90), runs[1].wait(timeout_s=90))
            document = await client.compare(*runs)
            assert document["primary"]["difference"] == 0
            images = await runs[0].results(limit=None)
            assert len(images) == 12
            assert (await runs[0].draw(1)).startswith(b"\xff\xd8")

    asyncio.run(work())
    shown = capfd.readouterr().err
    assert ": completed" in shown
    assert "12/12" in shown
    assert "accuracy" in shown


def test_the_command_line_submits_to_a_server(
    place: tuple[Site, str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site, url = place
    here = site.run_here()
    monkeypatch.chdir(tmp_path)
    config: dict[str, Any] = {
        "model": {"job": "pixel"},
        "dataset": {"path": "data"},
        "run": RUN,
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    capfd.readouterr()
    words = ["--server", url, "eval", "mine.yaml", "run.batch_size=2", "name=typed", "--json"]
    assert command(words) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["status"], found["name"], found["metrics"]) == (
        "completed", "typed", here.metrics)  # fmt: skip
    monkeypatch.setenv("SNELLEN_SERVER", url)
    assert command(["eval", "--job", "pixel", "--dataset", "data", "run.engine=inline"]) == 0
    assert "accuracy" in capfd.readouterr().out
    for words, problem in (
        (["eval", "best.pt", "data"], "SERVER_MODEL"),
        (["eval", "--job", "pixel", "--dataset", "data", "output.dir=x"], "SERVER_SETTING"),
        (["eval", "--job", "pixel", "--dataset", "data", "--gate", "r.yaml"], "SERVER_OPTION"),
        (["runs"], "USAGE"),
    ):
        assert command([*words, "--json"]) == 2
        assert json.loads(capfd.readouterr().out)["error"]["code"] == problem
    assert not (tmp_path / "runs").exists()
