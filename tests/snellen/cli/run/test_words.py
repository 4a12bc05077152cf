"""The arguments of ``eval`` and ``plan``, sorted by kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from snellen.adapters.errors import ConfigError
from snellen.cli.run.words import Named, sort_words

NOTHING = Named()


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("best.pt", "photo.jpg", "list.csv"):
        Path(name).write_bytes(b"x")
    Path("mine.yaml").write_text("model: {checkpoint: best.pt}\ndataset: {path: data}\n")
    Path("data.yaml").write_text("path: .\nval: images\nnames: [a]\n")
    Path("data").mkdir()
    Path("train").mkdir()
    Path("train/args.yaml").write_text("model: resnet18\n")


def settings(*words: str, named: Named = NOTHING) -> dict[str, object]:
    found = sort_words(words, named)
    assert found.config is None
    return {key: value for key, value in found.settings.items() if value is not None}


@pytest.mark.parametrize(
    ("words", "named", "expected"),
    [
        (["best.pt", "data.yaml"], NOTHING, ("model.checkpoint", "best.pt", "data.yaml")),
        (["train", "data"], NOTHING, ("model.checkpoint", "train", "data")),
        (["gone.pt", "data"], NOTHING, ("model.checkpoint", "gone.pt", "data")),
        (["digits", "data"], NOTHING, ("model.job", "digits", "data")),
        (["data.yaml"], Named(checkpoint="best.pt"), ("model.checkpoint", "best.pt", "data.yaml")),
        (["best.pt"], Named(dataset="data"), ("model.checkpoint", "best.pt", "data")),
        ([], Named("best.pt", None, "list.csv"), ("model.checkpoint", "best.pt", "list.csv")),
    ],
)
def test_a_checkpoint_and_a_dataset(
    words: list[str], named: Named, expected: tuple[str, str, str]
) -> None:
    key, model, dataset = expected
    assert settings(*words, named=named) == {key: model, "dataset.path": dataset}


@pytest.mark.parametrize(
    ("named", "checkpoint"),
    [
        (Named(job="mine@last"), "last"),
        (Named(job="mine@7"), 7),
        (Named("3", "mine"), 3),
        (Named(job="mine"), None),
    ],
)
def test_a_job_with_its_checkpoint(named: Named, checkpoint: str | int | None) -> None:
    found = sort_words(["data"], named).settings
    assert found == {"model.job": "mine", "model.checkpoint": checkpoint, "dataset.path": "data"}


def test_a_configuration_with_overrides_and_options() -> None:
    found = sort_words(["mine.yaml", "run.batch_size=2"], Named("other.pt", None, "other"))
    assert (found.config, found.overrides) == ("mine.yaml", ["run.batch_size=2"])
    assert found.settings["model.checkpoint"] == "other.pt"
    assert found.settings["dataset.path"] == "other"


def test_a_model_without_a_checkpoint_is_named_by_overrides() -> None:
    found = sort_words(["data", "model.adapter=noop"], NOTHING)
    assert found.settings["dataset.path"] == "data"
    assert sort_words(["model.adapter=noop", "dataset.path=x"], NOTHING).config is None


@pytest.mark.parametrize("word", ["model.architecture=resnet18", "model.adapter=timm"])
def test_a_checkpoint_may_come_with_other_keys_of_the_model(word: str) -> None:
    found = settings("best.pt", "data", word)
    assert found == {"model.checkpoint": "best.pt", "dataset.path": "data"}


def test_an_argument_with_an_equals_sign_that_exists_is_a_path() -> None:
    Path("a=b").mkdir()
    assert settings("best.pt", "a=b")["dataset.path"] == "a=b"


@pytest.mark.parametrize(
    ("words", "named", "message"),
    [
        ([], NOTHING, "there is no configuration, and no checkpoint. Expected a YAML file"),
        (["best.pt"], NOTHING, "there is a checkpoint, but no dataset. Expected a YAML file"),
        (["data.yaml"], NOTHING, "'data.yaml' looks like a YOLO dataset."),
        (["data.yaml", "best.pt"], NOTHING, "To evaluate on it: snellen eval CHECKPOINT data.yaml"),
        (["photo.jpg"], NOTHING, "'photo.jpg' looks like an image."),
        (["list.csv"], NOTHING, r"'list.csv' looks like a dataset or another file \(.csv\)."),
        (["data"], NOTHING, "'data' is a folder, as of a dataset."),
        (["best.pt", "data", "more"], NOTHING, "'more' is one argument too many."),
        (["gone"], NOTHING, "'gone' does not exist, and there is no dataset."),
        ([], Named("best.pt", "mine@last", "data"), "names a checkpoint, and so does --checkpoint"),
    ],
)
def test_a_wrong_argument_is_described(words: list[str], named: Named, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sort_words(words, named)


def test_a_configuration_that_does_not_exist_is_named_by_its_reader() -> None:
    assert sort_words(["gone.yaml"], NOTHING).config == "gone.yaml"
