"""The Python API that ``import snellen`` exposes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import snellen
from snellen.adapters.errors import ConfigError, InputError, RunError
from snellen.pipelines.config.loader import build_config
from tests.adapters.making import pixels, save_timm
from tests.pipelines.making import grey_folder
from tests.pipelines.pixel_adapter import NAME


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNELLEN_DATABASE", raising=False)
    grey_folder(tmp_path / "data")
    return {
        "name": "mine",
        "model": {"adapter": NAME},
        "dataset": {"path": "data"},
        "run": {"engine": "inline"},
        "database": f"sqlite:///{tmp_path / 'runs.db'}",
    }


def test_a_mapping_a_file_and_an_object_are_the_same(
    config: dict[str, Any], tmp_path: Path
) -> None:
    import yaml

    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    runs = [
        snellen.evaluate(config),
        snellen.evaluate(tmp_path / "run.yaml"),
        snellen.evaluate(str(tmp_path / "run.yaml"), overrides=["run.threads=1"]),
        snellen.evaluate(build_config(config)),
    ]
    assert [run.id for run in runs] == [1, 2, 3, 4]
    for run in runs:
        assert run.metrics == runs[0].metrics


def test_a_checkpoint_and_a_dataset_need_no_configuration(
    config: dict[str, Any], tmp_path: Path
) -> None:
    save_timm(tmp_path / "m.pth", num_classes=3)
    run = snellen.evaluate(
        checkpoint=tmp_path / "m.pth",
        dataset=tmp_path / "data",
        name="short",
        overrides=[
            "model.class_names=dataset", "model.architecture=test_resnet", "run.engine=inline",
            f"database={config['database']}",
        ],
    )  # fmt: skip
    assert (run.name, run.status, run.row.scored_images) == ("short", "completed", 12)


@pytest.mark.parametrize("kind", ["mapping", "object"])
def test_overrides_apply_to_every_kind_of_configuration(config: dict[str, Any], kind: str) -> None:
    given = config if kind == "mapping" else build_config(config)
    run = snellen.evaluate(given, split=None, overrides=["dataset.limit=5"])
    assert run.row.total_images == 5
    submitted = snellen.submit(given, overrides=["dataset.limit=4"])
    assert snellen.execute(submitted, database=config["database"]).row.total_images == 4


def test_rows_as_a_pandas_frame(config: dict[str, Any]) -> None:
    import pandas as pd

    run = snellen.evaluate(config)
    frame = run.to_pandas(["image_id", "is_correct"])
    assert isinstance(frame, pd.DataFrame)
    assert frame["is_correct"].mean() == run.metrics["accuracy"]


def test_the_module_lists_its_public_names() -> None:
    assert dir(snellen) == sorted(snellen.__all__)
    assert all(getattr(snellen, name) is not None for name in dir(snellen))


def test_a_run_and_its_results(config: dict[str, Any]) -> None:
    run = snellen.evaluate(config)
    assert (run.name, run.status) == ("mine", "completed")
    frame = run.results()
    assert isinstance(frame, pl.DataFrame)
    assert frame["image_index"].to_list() == list(range(12))
    assert run.results(["image_id", "loss"]).columns == ["image_id", "loss"]
    assert isinstance(run.lazy(), pl.LazyFrame)
    assert run.lazy().filter(pl.col("is_correct")).collect().height == frame["is_correct"].sum()
    assert run.metrics["accuracy"] == frame["is_correct"].mean()
    low, high = run.intervals["accuracy"]
    assert low <= run.metrics["accuracy"] <= high
    assert set(run.per_class_metrics) == {"0", "1", "2"}
    assert sum(map(sum, run.confusion_matrix)) == 12
    assert all(file.parent.parent == run.results_dir for file in run.files())
    assert repr(run).startswith("TestRun(id=1, name='mine', status='completed', accuracy=")
    assert run.row.total_images == 12


def test_stored_runs_are_opened_again(config: dict[str, Any]) -> None:
    made = snellen.evaluate(config)
    for reference in (made.id, "mine", "latest"):
        found = snellen.open_run(reference, database=config["database"])
        assert (found.id, found.metrics) == (made.id, made.metrics)
        assert found.results().equals(made.results())
    with pytest.raises(InputError) as caught:
        snellen.open_run("other", database=config["database"])
    assert caught.value.code == "RUN_NOT_FOUND"


def test_opening_makes_no_database(config: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        snellen.open_run(database=f"sqlite:///{tmp_path / 'none.db'}")
    assert caught.value.code == "DATABASE_NOT_FOUND"
    assert not (tmp_path / "none.db").exists()


def test_a_wrong_mapping(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"run\.batchsize: unknown key"):
        snellen.evaluate({**config, "run": {"batchsize": 3}})


def test_one_image_without_a_run(tmp_path: Path) -> None:
    save_timm(tmp_path / "m.pth", num_classes=3)
    adapter = snellen.load_adapter(
        checkpoint=tmp_path / "m.pth", class_names=["a", "b", "c"], device="cpu"
    )
    result = adapter.infer_single(pixels())
    assert result.predicted_label in {"a", "b", "c"}


def test_importing_is_cheap() -> None:
    code = "import sys, snellen; print([m for m in ('torch', 'ray', 'polars') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        snellen.nothing  # noqa: B018


def test_a_submitted_run_is_executed_and_a_cancelled_one_is_not(config: dict[str, Any]) -> None:
    url = config["database"]
    first, second = snellen.submit(config), snellen.submit(config)
    assert snellen.execute(first, database=url).status == "completed"
    assert snellen.cancel(second, database=url).status == "cancelled"
    with pytest.raises(InputError, match="is cancelled"):
        snellen.execute(second, database=url)


def test_an_unknown_keyword_is_rejected_as_by_any_function(config: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"predict\(\) got an unexpected keyword argument 'jobs'"):
        snellen.predict(images="data", jobs="digits")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"parity\(\) got an unexpected keyword argument 'limits'"):
        snellen.parity("a.pt", "b.onnx", "data", limits=3)  # type: ignore[call-arg]


def test_an_image_of_a_run_is_drawn_with_its_ground_truth(config: dict[str, Any]) -> None:
    run = snellen.evaluate(config)
    picture = run.draw(3)
    assert (picture.dtype.name, picture.shape[2]) == ("uint8", 3)
    with pytest.raises(InputError, match=r"no row for image 12\. Expected an index below 12"):
        run.draw(12)


def test_a_notebook_shows_the_metrics_and_the_worst_images(
    config: dict[str, Any], tmp_path: Path
) -> None:
    run = snellen.evaluate({**config, "name": "<b>mine</b>"})
    shown = run._repr_html_()
    assert "&lt;b&gt;mine&lt;/b&gt;" in shown
    assert "<b>" not in shown
    assert f"{run.metrics['accuracy']:.4f}" in shown
    wrong = run.results()["is_correct"].not_().sum()
    assert wrong > 0
    assert shown.count("<img ") == min(6, wrong)
    for image in (tmp_path / "data").rglob("*.png"):
        image.unlink()
    shown = run._repr_html_()
    assert "<img " not in shown
    assert shown.count(" is not drawn: the file does not exist") == min(6, wrong)


def test_a_notebook_shows_why_a_run_has_failed(config: dict[str, Any], tmp_path: Path) -> None:
    for image in (tmp_path / "data").rglob("*.png"):
        image.write_bytes(b"<script>")
    with pytest.raises(RunError):
        snellen.evaluate({**config, "name": "broken"})
    run = snellen.open_run("broken", database=config["database"])
    shown = run._repr_html_()
    assert "none of the 12 images could be scored: 12 UNSUPPORTED" in shown
    assert "<script>" not in shown
    assert repr(run) == "TestRun(id=1, name='broken', status='failed')"


def test_a_run_and_a_job_are_exported(config: dict[str, Any], tmp_path: Path) -> None:
    run = snellen.evaluate(config)
    found = run.export("csv", tmp_path / "wrong.csv", correct=False, true_class="1")
    rows = run.results().filter(pl.col("is_correct").not_() & (pl.col("true_label") == "1"))
    assert found["images"] == rows.height > 0
    exported = pl.read_csv(tmp_path / "wrong.csv")["image_id"].to_list()
    assert exported == rows["image_id"].to_list()
    with pytest.raises(InputError, match="exists"):
        run.export("csv", tmp_path / "wrong.csv")
    run.export("csv", str(tmp_path / "wrong.csv"), overwrite=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'corect'"):
        run.export("csv", tmp_path / "x.csv", corect=False)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="--attach with --format csv"):
        run.export("csv", tmp_path / "x.csv", attach=[tmp_path / "wrong.csv"])
    words = [f"database={config['database']}", "run.engine=inline"]
    job = snellen.predict(images=tmp_path / "data", adapter=NAME, overrides=words)
    assert job.export("ndjson", tmp_path / "job.ndjson")["images"] == 12
