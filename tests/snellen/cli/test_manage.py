"""``snellen cancel``, ``rename`` and ``delete``."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from snellen.store.ledger import committed_units
from snellen.store.runs import list_test_runs
from snellen.store.sql.database import Database
from tests.pipelines.making import grey_folder
from tests.pipelines.pixel_adapter import NAME
from tests.snellen.command_line import Cli


@pytest.fixture
def evaluated(cli: Cli) -> Cli:
    """A command line with one completed run."""
    grey_folder(cli.place / "data")
    cli.json("eval", cli.config(name="first"), code=0)
    return cli


def folders(cli: Cli) -> list[str]:
    return sorted(path.name for path in (cli.place / "out").iterdir() if path.is_dir())


def test_a_run_is_renamed(evaluated: Cli) -> None:
    assert evaluated.json("rename", "first", "baseline") == {"id": 1, "name": "baseline"}
    assert evaluated.json("show", "baseline")["id"] == 1
    code, out, _ = evaluated("rename", "1", "again")
    assert (code, out) == (0, "Renamed 1 to again.\n")


def test_a_tag_is_moved_and_protects_its_run(evaluated: Cli) -> None:
    evaluated.json("eval", evaluated.config(name="second"))
    assert evaluated.json("tag", "first", "baseline") == {
        "tag": "baseline", "id": 1, "before": None, "removed": False,
    }  # fmt: skip
    error = evaluated.json("delete", "1", "--yes", code=2)["error"]
    assert error["code"] == "RUN_IS_TAGGED"
    assert "snellen tag OTHER baseline" in error["message"]
    code, out, _ = evaluated("tag", "second", "baseline")
    assert (code, out) == (0, "baseline is 2 now, moved from 1.\n")
    assert evaluated.json("show", "baseline")["tags"] == ["baseline"]
    assert [run["tags"] for run in evaluated.json("runs")] == [["baseline"], []]
    (job,) = evaluated.json("jobs")
    error = evaluated.json("delete", "--training-job", job["name"], "--yes", code=2)["error"]
    assert error["code"] == "RUN_IS_TAGGED"
    evaluated.json("delete", "1", "--yes")
    evaluated.json("delete", "2", "--yes", "--cascade")
    assert evaluated.json("runs") == []


def test_a_tag_is_removed(evaluated: Cli) -> None:
    evaluated.json("tag", "1", "baseline")
    assert evaluated.json("tag", "--remove", "baseline")["removed"] is True
    assert evaluated.json("show", "baseline", code=2)["error"]["code"] == "RUN_NOT_FOUND"
    assert evaluated.json("tag", "1", code=2)["error"]["code"] == "USAGE"


def test_a_name_means_the_newest_run_with_it(evaluated: Cli) -> None:
    second = evaluated.json("eval", evaluated.config(name="first"))
    assert second["name"] == "first"
    assert evaluated.json("show", "first")["id"] == second["id"] == 2
    assert evaluated.json("show", "1")["id"] == 1


def test_a_training_job_is_renamed_unless_the_name_is_taken(evaluated: Cli) -> None:
    (job,) = evaluated.json("jobs")
    found = evaluated.json("rename", "--training-job", job["name"], "mine")
    assert found == {"id": job["id"], "name": "mine"}
    evaluated.json(
        "eval", evaluated.config(model={"adapter": "noop", "options": {"num_classes": 3}})
    )
    error = evaluated.json("rename", "--training-job", "noop", "mine", code=2)["error"]
    assert error["code"] == "JOB_NAME_TAKEN"
    assert "snellen rename --training-job mine OTHER-NAME" in error["message"]


@pytest.mark.parametrize(
    "words", [("rename", "only"), ("rename", "1", "a", "--inference", "1"),
              ("delete",), ("delete", "1", "--inference", "1"), ("cancel",)]
)  # fmt: skip
def test_ambiguous_arguments_are_rejected(evaluated: Cli, words: tuple[str, ...]) -> None:
    assert evaluated.json(*words, code=2)["error"]["code"] == "USAGE"
    assert len(evaluated.json("runs")) == 1


def test_a_run_is_deleted_with_its_files(evaluated: Cli) -> None:
    assert folders(evaluated) == ["1-first"]
    found = evaluated.json("delete", "first", "--yes")
    assert found == {"runs": [1], "inference_jobs": [], "training_job": None,
                     "folders": [str(evaluated.place / "out" / "1-first")]}  # fmt: skip
    assert evaluated.json("runs") == []
    assert folders(evaluated) == []


def test_deletion_asks_for_confirmation(evaluated: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, _, err = evaluated("delete", "first")
    assert code == 130
    assert "This deletes run 1, 1 results folder" in err
    assert folders(evaluated) == ["1-first"]
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    code, out, _ = evaluated("delete", "first")
    assert (code, out.strip()) == (0, "Deleted run 1, 1 results folder.")
    assert evaluated.json("runs") == []


def test_files_of_a_rescored_run_are_kept(evaluated: Cli) -> None:
    evaluated.json("rescore", "1", "metrics.ece_bins=5")
    error = evaluated.json("delete", "1", "--yes", code=2)["error"]
    assert error["code"] == "RUN_IS_READ"
    assert "snellen delete 1 --cascade" in error["message"]
    assert evaluated.json("delete", "2", "--yes")["folders"] == [], "a rescored run has no folder"
    assert folders(evaluated) == ["1-first"]
    evaluated.json("rescore", "1", "metrics.ece_bins=5")
    assert evaluated.json("delete", "1", "--yes", "--cascade")["runs"] == [3, 1]
    assert folders(evaluated) == []


def test_a_training_job_is_deleted_with_its_runs(evaluated: Cli) -> None:
    evaluated.json("rescore", "1", "metrics.ece_bins=5")
    evaluated.json("predict", "data", "--adapter", NAME, "output.dir=out", "run.engine=inline",
                   )  # fmt: skip
    (job,) = evaluated.json("jobs")
    found = evaluated.json("delete", "--training-job", job["name"], "--yes")
    assert (found["runs"], found["inference_jobs"]) == ([2, 1], [1])
    assert len(found["folders"]) == 2
    assert (evaluated.json("jobs"), evaluated.json("runs")) == ([], [])
    assert folders(evaluated) == []


def test_an_inference_job_is_deleted(evaluated: Cli) -> None:
    evaluated.json("predict", "data", "--adapter", NAME, "output.dir=out", "run.engine=inline",
                   "name=mine")  # fmt: skip
    assert evaluated.json("delete", "--inference", "mine", "--yes")["inference_jobs"] == [1]
    assert folders(evaluated) == ["1-first"]


def test_a_completed_run_cannot_be_cancelled(evaluated: Cli) -> None:
    assert evaluated.json("cancel", "1", code=2)["error"]["code"] == "RUN_COMPLETED"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_run_in_another_process_is_cancelled_and_resumed(
    cli: Cli, importable: None, engine: str
) -> None:
    grey_folder(cli.place / "data", each=40)
    options = {"engine": engine, "unit_rows": 4, "batch_size": 2, "threads": 2}
    config = cli.config(
        model={"adapter": NAME, "options": {"sleep_ms": 100}}, run=options,
        ray={"num_cpus": 2}, name="long",
    )  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "snellen", "eval", config, "--json", "--database", cli.url],
        cwd=cli.place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _wait_for_commits(cli.url, process)
    children = psutil.Process(process.pid).children(recursive=True)
    before = time.monotonic()
    assert cli.json("cancel", "long") == {"id": 1, "name": "long", "status": "cancelled"}
    assert time.monotonic() - before < 20
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    error = json.loads(out)["error"]
    assert error["code"] == "CANCELLED"
    assert "snellen resume 1" in error["message"]
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == [], "actors are freed"
    assert cli.json("show", "1")["status"] == "cancelled"
    resumed = cli.json("resume", "1", "run.engine=inline")
    whole = cli.json("eval", config, "run.engine=inline", "name=whole")
    assert (resumed["status"], resumed["metrics"]) == ("completed", whole["metrics"])


def _wait_for_commits(url: str, process: subprocess.Popen[Any]) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        if Path(url.removeprefix("sqlite:///")).exists():
            db = Database.open(url)
            runs = list_test_runs(db)
            done = committed_units(db, "test_run", runs[0].id) if runs else []
            db.close()
            if done:
                return
        time.sleep(0.05)
    raise AssertionError("nothing was committed in time")
