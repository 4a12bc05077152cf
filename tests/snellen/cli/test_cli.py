"""The command line: one JSON document with --json, clear errors, the right exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from snellen.adapters.errors import InputError
from tests.snellen.command_line import Cli

RUN_KEYS = {
    "id", "name", "status", "task_type", "metrics", "intervals", "per_class_metrics",
    "total_images", "scored_images", "failed_images", "results_dir", "fingerprint",
}  # fmt: skip


@pytest.fixture
def done(cli: Cli) -> dict[str, Any]:
    """A finished run with one bad image."""
    (cli.place / "data" / "1" / "02.png").write_bytes(b"")
    document: dict[str, Any] = cli.json("eval", cli.config(name="first"))
    return document


def test_eval_prints_the_run(cli: Cli, done: dict[str, Any]) -> None:
    assert set(done) >= RUN_KEYS | {"files"}
    assert (done["id"], done["name"], done["status"]) == (1, "first", "completed")
    assert (done["total_images"], done["scored_images"], done["failed_images"]) == (12, 11, 1)
    assert done["task_type"] == "image_classification"
    assert all(Path(file).is_file() for file in done["files"])
    assert [Path(file).name[:11] for file in done["files"]] == [f"unit-{n:06}" for n in range(3)]
    assert set(done["intervals"]) <= set(done["metrics"])
    assert cli.json("show", "1") == done
    assert cli.json("show", "latest") == cli.json("show", "first") == done


def test_runs_is_a_list_without_files(cli: Cli, done: dict[str, Any]) -> None:
    (listed,) = cli.json("runs")
    assert set(listed) >= RUN_KEYS - {"per_class_metrics"}
    assert "files" not in listed
    assert listed["metrics"] == done["metrics"]
    assert cli.json("runs", "--status", "failed") == []
    assert cli.json("runs", "--job", str(done["training_job_id"])) == [listed]
    assert cli.json("runs", "--offset", "1") == []


def indices(page: dict[str, Any]) -> list[int]:
    return [row["image_index"] for row in page["images"]]


def test_images_filters_sorts_and_pages(cli: Cli, done: dict[str, Any]) -> None:
    every = cli.json("images", "1")
    assert set(every) == {"total", "correct", "incorrect", "images"}
    assert (every["total"], indices(every)) == (12, list(range(12)))
    assert every["correct"] + every["incorrect"] == 11
    rows = every["images"]

    def expected(keep: Any) -> list[int]:
        return [row["image_index"] for row in rows if keep(row)]

    for words, keep in (
        (("--correct",), lambda r: r["is_correct"] is True),
        (("--incorrect",), lambda r: r["is_correct"] is False),
        (("--class", "1"), lambda r: r["true_label"] == "1"),
        (("--predicted", "2"), lambda r: r["predicted_label"] == "2"),
        (("--status", "failed"), lambda r: r["status"] == "failed"),
        (("--error-code", "EMPTY"), lambda r: r["error_code"] == "EMPTY"),
        (("--min-confidence", "0.6"), lambda r: (r["confidence"] or 0) >= 0.6),
        (("--max-confidence", "0.6"), lambda r: (r["confidence"] or 1) <= 0.6),
        (("--class", "1", "--incorrect"), lambda r: r["true_label"] == "1" and not r["is_correct"]
         and r["is_correct"] is not None),
    ):  # fmt: skip
        page = cli.json("images", "1", *words)
        assert indices(page) == expected(keep), words
        assert page["total"] == len(expected(keep))
    by_loss = cli.json("images", "1", "--sort", "loss", "--desc")["images"]
    losses = [row["loss"] for row in by_loss]
    assert losses[-1] is None
    assert losses[:-1] == sorted(losses[:-1], reverse=True)
    page = cli.json("images", "1", "--limit", "5", "--offset", "10")
    assert (page["total"], indices(page)) == (12, [10, 11])
    error = cli.json("images", "1", "--sort", "colour", code=2)["error"]
    assert error["code"] == "SORT_COLUMN"


def test_rescore_verify_and_resume(cli: Cli, done: dict[str, Any]) -> None:
    new = cli.json("rescore", "1", "metrics.ece_bins=5")
    assert (new["id"], new["results_of"], new["files"]) == (2, 1, done["files"])
    assert cli.json("verify", "1") == {"id": 1, "files": 3, "ok": True, "problems": []}
    Path(done["files"][1]).unlink()
    damaged = cli.json("verify", "1", code=1)
    assert (damaged["ok"], damaged["files"]) == (False, 3)
    assert [(p["unit_id"], p["problem"]) for p in damaged["problems"]] == [(1, "missing")]
    again = cli.json("resume", "1")
    assert again["metrics"] == done["metrics"]
    assert cli.json("verify", "1")["ok"] is True
    code, _, err = cli("resume", "1")
    assert code == 0
    assert "is completed already" in err


@pytest.mark.parametrize(
    "words",
    [
        ("resume", "1", "--retry-failed"),
        ("resume", "--retry-failed", "1"),
        ("resume", "--retry-failed", "CHANGED,NOT_FOUND", "run.threads=1"),
        ("resume", "--retry-failed=changed", "1"),
        ("resume", "--retry-failed", "run.threads=1"),
        ("resume", "1", "--retry-failed", "all"),
    ],
)
def test_failed_images_are_retried(cli: Cli, words: tuple[str, ...]) -> None:
    image = Path("data/0/01.png")
    content = image.read_bytes()
    image.write_bytes(b"")
    run = cli.json("eval", cli.config())
    assert run["failed_images"] == 1
    code, _, err = cli("resume", "1", "--retry-failed", "IO")
    assert code == 0
    assert "it has no failed images with these error codes" in err
    error = cli.json("resume", "1", "--retry-failed", "NOPE", code=2)["error"]
    assert error["code"] == "ERROR_CODE"
    image.write_bytes(content)
    others = {"CHANGED,NOT_FOUND", "--retry-failed=changed"} & set(words)  # it was EMPTY
    assert cli.json(*words)["failed_images"] == (1 if others else 0)


def test_plan_starts_nothing(cli: Cli) -> None:
    found = cli.json("plan", cli.config(), "run.batch_size=2")
    assert set(found) == {"plan", "model", "dataset", "dataset_report", "class_map"}
    assert (found["dataset"]["images"], found["plan"]["batch_size"]) == (12, 2)
    assert not (cli.place / "out").exists()
    assert not (cli.place / "runs.db").exists()


def test_jobs_and_register(cli: Cli) -> None:
    folder = cli.place / "train"
    folder.mkdir()
    (folder / "last.pth.tar").write_bytes(b"x")
    (folder / "checkpoint-3.pth.tar").write_bytes(b"x")
    (folder / "args.yaml").write_text("model: resnet18\nnum_classes: 2\n")
    (cli.place / "names.txt").write_text("a\nb\n")
    job = cli.json("register", str(folder), "--class-names", "names.txt", "--name", "mine")
    assert set(job) == {
        "id", "name", "framework", "task_type", "model_name", "output_dir", "class_names",
        "checkpoints"}  # fmt: skip
    assert (job["name"], job["framework"], job["class_names"]) == ("mine", "timm", ["a", "b"])
    assert job["checkpoints"] == [
        {"name": "last", "epoch": None, "path": str(folder / "last.pth.tar"), "metric": None},
        {"name": "3", "epoch": 3, "path": str(folder / "checkpoint-3.pth.tar"), "metric": None},
    ]
    assert cli.json("jobs") == [job]
    error = cli.json("register", "nowhere", code=2)["error"]
    assert error["code"] == "RUN_DIRECTORY_UNKNOWN"
    error = cli.json("register", str(folder), "--class-names", "no.txt", code=2)["error"]
    assert error["code"] == "CLASS_NAMES_NOT_FOUND"


def test_the_schema_is_valid_and_knows_the_configuration(cli: Cli) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for words in (("schema",), ("schema", "--json")):
        code, out, _ = cli(*words, database=False)
        assert code == 0
        schema = json.loads(out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = yaml.safe_load(Path(cli.config(name="x")).read_text())
    assert list(validator.iter_errors(good)) == []
    for key, value in (("run", {"batchsize": 3}), ("run", {"engine": "dask"}), ("nmae", "x")):
        assert list(validator.iter_errors({**good, key: value}))


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("show", "1"), 2, "DATABASE_NOT_FOUND"),
        (("eval", "no.yaml"), 2, "CONFIG_NOT_FOUND"),
        (("eval",), 2, "USAGE"),
        (("evaluate",), 2, "USAGE"),
        (("runs", "--limit", "0"), 2, "USAGE"),
        (("runs", "--colour"), 2, "USAGE"),
    ],
)
def test_errors_are_documents_too(cli: Cli, words: tuple[str, ...], code: int, error: str) -> None:
    document = cli.json(*words, code=code)
    assert set(document) == {"error"}
    assert set(document["error"]) == {"code", "message"}
    assert document["error"]["code"] == error


def test_errors_are_one_paragraph_on_stderr(cli: Cli) -> None:
    code, out, err = cli("eval", cli.config(), "run.batchsize=2")
    assert (code, out) == (2, "")
    assert "Did you mean 'run.batch_size'?" in err
    assert "Traceback" not in err
    assert "[CONFIG_INVALID]" in err


def test_debug_raises(cli: Cli) -> None:
    cli.json("runs", code=2)
    with pytest.raises(InputError):
        cli("show", "none", "--debug")


def test_a_failed_run_exits_with_1(cli: Cli) -> None:
    for file in (cli.place / "data").rglob("*.png"):
        file.write_bytes(b"")
    assert cli.json("eval", cli.config(), code=1)["error"]["code"] == "ALL_FAILED"
    document = cli.json("show", "latest")
    assert (document["status"], document["metrics"]) == ("failed", None)
    assert "12 EMPTY" in document["error_message"]
    assert [(one["code"], one["count"]) for one in document["failures"]] == [("EMPTY", 12)]


def test_many_failed_images_say_why(cli: Cli, done: dict[str, Any]) -> None:
    said = "1 EMPTY (1/02.png: the file has 0 bytes). List them: snellen images 1 --status failed"
    assert f"1 of 12: {said}" in " ".join(cli("show", "1")[1].split())
    table = cli("images", "1", "--status", "failed")[1]
    assert "EMPTY: the file has 0 bytes" in table
    _, _, err = cli("eval", cli.config(name="second"))
    assert f"1 of 12 images failed: {said.replace('images 1', 'images 2')}" in err
    limited = cli.json("eval", cli.config(dataset={"limit": 3}))
    assert limited["failures"] == []
    assert "failed images" not in cli("show", str(limited["id"]))[1]
    for file in done["files"]:
        Path(file).unlink()
    assert cli.json("show", "1")["failures"] == []


def test_an_interrupt_exits_with_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("snellen.pipelines.execution.worker.unit_worker.UnitWorker.score", press)
    error = cli.json("eval", cli.config(), code=130)["error"]
    assert error["code"] == "INTERRUPTED"
    assert "snellen resume 1" in error["message"]


def test_an_unexpected_error_is_reported_as_such(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("boom")

    monkeypatch.setattr("snellen.pipelines.runs.execute.finish_run", fail)
    error = cli.json("eval", cli.config(), code=1)["error"]
    assert error["code"] == "INTERNAL"
    assert "LookupError: boom" in error["message"]


def test_the_option_wins_over_the_environment_and_that_over_the_default(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNELLEN_DATABASE", f"sqlite:///{cli.place / 'env.db'}")
    cli.json("eval", cli.config(name="by-option"))
    cli.json("eval", cli.config(name="by-env"), database=False)
    assert [r["name"] for r in cli.json("runs")] == ["by-option"]
    assert [r["name"] for r in cli.json("runs", database=False)] == ["by-env"]
    monkeypatch.delenv("SNELLEN_DATABASE")
    cli.json("eval", cli.config(name="by-default"), database=False)
    assert (cli.place / "runs" / "snellen.db").is_file()
    assert [r["name"] for r in cli.json("runs", database=False)] == ["by-default"]
    file_url = f"sqlite:///{cli.place / 'file.db'}"
    cli.json("eval", cli.config(name="by-file", database=file_url), database=False)
    assert (cli.place / "file.db").is_file()


def test_tables(cli: Cli, done: dict[str, Any]) -> None:
    for words, expected in (
        (("runs",), "first"),
        (("show", "1", "--per-class", "--confusion"), "accuracy"),
        (("images", "1", "--status", "failed"), "EMPTY"),
        (("verify", "1"), "all 3 files match the ledger"),
        (("jobs",), "pixel"),
        (("plan", cli.config()), "12"),
        (("rescore", "1", "name=second"), "second"),
        (("eval", cli.config()), "accuracy"),
    ):
        code, out, _ = cli(*words)
        assert code == 0
        assert expected in out, words


def test_markup_in_names_is_printed_literally(cli: Cli) -> None:
    (cli.place / "data" / "0").rename(cli.place / "data" / "[red]x")
    done = cli.json("eval", cli.config(name="[bold]", model={"class_names": ["[red]x", "1", "2"]}))
    assert done["name"] == "[bold]"
    for words in (("show", "1", "--per-class", "--confusion"), ("images", "1"), ("runs",)):
        _, out, _ = cli(*words)
        assert "[bold]" in out or "[red]x" in out
