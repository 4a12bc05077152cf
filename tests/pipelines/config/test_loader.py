"""Configurations are read strictly; every error names file, key and what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import ConfigError
from snellen.adapters.types import TaskType
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import apply_overrides, build_config, load_config
from snellen.pipelines.config.yaml_file import parse_yaml

MINIMAL = "model: {checkpoint: best.pth}\ndataset: {path: data}\n"


def rejected(text: str, tmp_path: Path, overrides: tuple[str, ...] = ()) -> ConfigError:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file, overrides)
    assert caught.value.message.startswith((str(file), "override", "'"))
    assert caught.value.exit_code == 2
    return caught.value


def problem(error: ConfigError, tmp_path: Path) -> str:
    return error.message.removeprefix(f"{tmp_path / 'run.yaml'}: ")


def test_a_minimal_file_and_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(MINIMAL)
    config = load_config(file)
    assert config.model.checkpoint == "best.pth"
    assert config.dataset.path == "data"
    assert config.task == "auto"
    assert (config.run.engine, config.run.batch_size, config.run.unit_rows) == (
        "auto", "auto", "auto")  # fmt: skip
    assert config.output.sql_rows_limit == 50_000
    assert config.metrics.confidence_level == 0.95


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            MINIMAL + "run: {batchsize: 8}\n",
            "run.batchsize: unknown key. Did you mean 'run.batch_size'?",
        ),
        (
            MINIMAL + "datset: {path: x}\n",
            "datset: unknown key. Did you mean 'dataset'?",
        ),
        (
            MINIMAL + "batch_size: 8\n",
            "batch_size: unknown key. Did you mean 'run.batch_size'?",
        ),
        (
            MINIMAL + "ray: {zzz: 8}\n",
            "ray.zzz: unknown key. Valid keys here: ray.address, ray.num_cpus, ray.num_gpus, "
            "ray.object_store_memory, ray.no_progress_timeout, ray.runtime_env.",
        ),
    ],
)
def test_an_unknown_key_names_the_nearest(text: str, expected: str, tmp_path: Path) -> None:
    error = rejected(text, tmp_path)
    assert (error.code, problem(error, tmp_path)) == ("CONFIG_INVALID", expected)


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        (
            "model: {}\nrun:\n  batch_size: 1\n  batch_size: 2\n",
            "CONFIG_DUPLICATE_KEY",
            "line 4: duplicate key 'batch_size', first in line 3. Expected unique keys. Remove one "
            "of them.",
        ),
        (
            "run: {max_failed: 1e-3}\n",
            "CONFIG_NUMBER_AS_TEXT",
            "line 1: YAML reads 1e-3 as text, not as a number. Expected a number or text in "
            "quotes. Write 0.001 for the number.",
        ),
        (
            "model:\n  class_names: [yes, no]\n",
            "CONFIG_BOOLEAN_WORD",
            "line 2: YAML reads the bare word 'yes' as a boolean. Expected true or false, or text "
            'in quotes. Write "yes" for text.',
        ),
        (
            "on: 1\n",
            "CONFIG_BOOLEAN_WORD",
            "line 1: YAML reads the bare word 'on' as a boolean. Expected true or false, or text "
            'in quotes. Write "on" for text.',
        ),
        (
            "base: &base {a: 1}\nrun:\n  <<: *base\n",
            "CONFIG_YAML",
            "line 3: merge keys (<<) are not supported.",
        ),
        ("1.5: a\n", "CONFIG_YAML", "line 1: the key 1.5 is no name. Expected text or a number."),
    ],
)
def test_what_yaml_would_misread(text: str, code: str, expected: str, tmp_path: Path) -> None:
    error = rejected(text, tmp_path)
    assert (error.code, problem(error, tmp_path)) == (code, expected)


@pytest.mark.parametrize(
    "text", ["a: [1\n", "a: b: c\n", "\tmodel: {}\n", "!!python/name:os.system ''\n"]
)
def test_what_is_not_yaml_names_the_line(text: str, tmp_path: Path) -> None:
    error = rejected(text, tmp_path)
    assert error.code == "CONFIG_YAML"
    assert re.match(r"line \d+: invalid YAML: ", problem(error, tmp_path))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"run": {"batch_size": 0}}, "run.batch_size: "),
        ({"run": {"batch_size": "8"}}, "run.batch_size: input should be 'auto'"),
        ({"run": {"batch_size": True}}, "run.batch_size: "),
        (
            {"run": {"engine": "dask"}},
            "run.engine: input should be 'auto', 'ray' or 'inline', not 'dask'",
        ),
        ({"run": {"max_failed": 1.5}}, "run.max_failed: "),
        ({"run": {"max_failed": -1}}, "run.max_failed: "),
        ({"run": {"precision": "int8"}}, "run.precision: "),
        ({"dataset": {"path": "d", "limit": 0}}, "dataset.limit: "),
        ({"dataset": {"path": "d", "follow_links": "yes"}}, "dataset.follow_links: "),
        ({"dataset": {}}, "dataset.path: this key is missing."),
        ({"metrics": {"confidence_level": 1}}, "metrics.confidence_level: "),
        ({"metrics": {"ece_bins": 1}}, "metrics.ece_bins: "),
        ({"preprocess": {"crop_pct": 0}}, "preprocess.crop_pct: "),
        ({"model": {"class_map": "near"}}, "model.class_map: "),
        ({"task": "segmentation"}, "task: "),
        ({"run": [1]}, "run: "),
    ],
)
def test_a_wrong_value_names_its_key(change: dict[str, Any], expected: str) -> None:
    data = {"model": {"checkpoint": "a"}, "dataset": {"path": "d"}, **change}
    with pytest.raises(ConfigError) as caught:
        build_config(data, where="x.yaml")
    assert caught.value.message.startswith(f"x.yaml: {expected}")
    assert caught.value.message.count(expected.split(":")[0] + ":") == 1


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        build_config({"model": {"chekpoint": 1}, "run": {"actors": 0}})
    for key in ("model.chekpoint", "run.actors", "dataset"):
        assert f"{key}: " in caught.value.message


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_what_is_no_mapping(data: Any) -> None:
    with pytest.raises(ConfigError, match="Expected a mapping with the keys model and dataset"):
        build_config(data)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff\n")
    for name, code in (
        ("none.yaml", "CONFIG_NOT_FOUND"),
        (".", "CONFIG_NOT_FOUND"),
        ("latin.yaml", "CONFIG_UNREADABLE"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(tmp_path / name)
        assert caught.value.code == code
        assert str(tmp_path / name) in caught.value.message


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    assert "run.yaml is empty. Expected" in rejected("", tmp_path).message


def test_overrides_are_yaml_values(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(MINIMAL)
    config = load_config(
        file,
        [
            "run.batch_size=8",
            "run.max_failed=0.01",
            "dataset.follow_links=true",
            "name=a=b",
            "model.class_map={cat: dog, fish: null}",
            "preprocess.img_size=[32, 48]",
            "dataset.split=null",
        ],
    )
    assert config.run.batch_size == 8
    assert config.run.max_failed == 0.01
    assert config.dataset.follow_links is True
    assert config.name == "a=b"
    assert config.model.class_map == {"cat": "dog", "fish": None}
    assert config.preprocess.img_size == (32, 48)
    assert config.dataset.split is None


@pytest.mark.parametrize(
    ("word", "code", "message"),
    [
        ("run.batch_size", "CONFIG_OVERRIDE", "'run.batch_size' is no override. Expected the form"),
        ("=8", "CONFIG_OVERRIDE", "'=8' is no override. Expected the form key.sub=value."),
        ("dataset.path.sub=1", "CONFIG_OVERRIDE", "'path' is a value. Expected a section."),
        ("run.max_failed=1e-3", "CONFIG_NUMBER_AS_TEXT", "override run.max_failed: line 1"),
        ("name=no", "CONFIG_BOOLEAN_WORD", "override name: line 1"),
        ("run.batchsize=8", "CONFIG_INVALID", "Did you mean 'run.batch_size'?"),
    ],
)
def test_overrides_that_are_wrong(word: str, code: str, message: str, tmp_path: Path) -> None:
    error = rejected(MINIMAL, tmp_path, (word,))
    assert error.code == code
    assert message in error.message


def test_overrides_leave_the_given_mapping_alone() -> None:
    data = {"run": {"actors": 1}}
    assert apply_overrides(data, ["run.actors=2", "new.key=x"]) == {
        "run": {"actors": 2}, "new": {"key": "x"}}  # fmt: skip
    assert data == {"run": {"actors": 1}}


def test_class_names_may_look_like_numbers() -> None:
    config = build_config(
        {
            "model": {"class_names": [0, 1, "two"], "class_map": {0: 1, "two": None}},
            "dataset": {"path": "d"},
        }
    )
    assert config.model.class_names == ("0", "1", "two")
    assert config.model.class_map == {"0": "1", "two": None}


def test_quoted_words_are_text() -> None:
    assert parse_yaml("a: 'no'\nb: \"1e-3\"\nc: true\nd: 1.0e-3\n", where="x") == {
        "a": "no", "b": "1e-3", "c": True, "d": 0.001}  # fmt: skip


def test_a_configuration_is_frozen_and_survives_json() -> None:
    config = build_config(
        {"model": {"job": 3}, "dataset": {"path": "d"}, "task": "pose_estimation"}
    )
    assert config.task is TaskType.POSE_ESTIMATION
    assert build_config(config.model_dump(mode="json")) == config
    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"  # type: ignore[misc]


def test_every_key_says_what_it_means_in_the_schema() -> None:
    schema = EvaluateConfig.model_json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"model", "dataset"}
    assert schema["$defs"]["DatasetConfig"]["properties"]["limit"]["description"]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("dataset.path=s/set #2", "s/set #2"),
        ("dataset.path=#2", "#2"),
        ("dataset.path=a#b", "a#b"),
        ("dataset.path='quoted #3'", "quoted #3"),
        ("dataset.path=[a, b #4]", ["a", "b #4"]),
    ],
)
def test_an_override_has_no_comments(word: str, value: object) -> None:
    assert apply_overrides({}, [word])["dataset"]["path"] == value
