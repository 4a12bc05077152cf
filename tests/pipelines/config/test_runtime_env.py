"""``ray.runtime_env``: keys of Ray, absolute files, and variables whose values nobody sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.runtime_env import RuntimeEnv

from snellen.adapters.errors import ConfigError
from snellen.api.evaluation import _parsed
from snellen.cli.main import run as command
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import (
    build_as,
    build_config,
    load_config,
    with_absolute_paths,
)
from snellen.pipelines.config.ray_section import RayConfig
from snellen.pipelines.config.runtime_env import KEYS, resolved_env
from snellen.pipelines.config.stored import shown_config, stored_config
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.runs import get_test_run
from tests.conftest import REPOSITORY
from tests.pipelines.making import pixel_config
from tests.pipelines.place import Place

SECRET = "s3cr3t-value"


def section(**env: Any) -> RayConfig:
    return build_as(RayConfig, {"runtime_env": env}, where="mine.yaml")


def rejected(env: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        build_as(RayConfig, {"runtime_env": env}, where="mine.yaml")
    assert caught.value.code == "CONFIG_INVALID"
    assert SECRET not in caught.value.message
    return caught.value.message


def test_every_key_is_one_of_ray() -> None:
    """Java's and those with an underscore, which are Ray's own, are left out."""
    public = {key for key in RuntimeEnv.known_fields if key[0] != "_"}
    assert set(KEYS) == public - {"java_jars"}


def test_ray_accepts_what_is_passed_on() -> None:
    env = section(env_vars={"A": "x", "N": 3}, pip=["a==1"], excludes=["*.png"], config={})
    passed = resolved_env(env.runtime_env, {})
    assert passed["env_vars"] == {"A": "x", "N": "3"}
    assert RuntimeEnv(**passed)["env_vars"] == {"A": "x", "N": "3"}


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"env_var": {"A": SECRET}}, "unknown key 'env_var', did you mean 'env_vars'?"),
        ({"x": SECRET}, "unknown key 'x', valid keys: env_vars, py_modules, working_dir,"),
        ({"env_vars": f"A={SECRET}"}, "env_vars is of the type str, expected a mapping"),
        ({"env_vars": {"A": [SECRET]}}, "env_vars.A is of the type list, expected text, a number,"),
        ({"env_vars": {"A": True}}, "env_vars.A is of the type bool, expected text, a number, or"),
        ({"py_modules": "folder"}, "py_modules is of the type str, expected a list"),
        ({"pip": 3}, "pip is of the type int, expected text or a list or a mapping"),
        (f"A={SECRET}", "expected a mapping with keys of Ray's runtime environments"),
        (
            {"pip": {"packages": [f"git+https://{SECRET}@github.com/a/b"]}},
            "pip has an address with a user name or a password, which would be stored",
        ),
    ],
)
def test_other_mappings_are_rejected_without_their_values(env: Any, message: str) -> None:
    assert rejected(env).startswith(f"mine.yaml: runtime_env: {message}")


def test_an_address_for_ssh_has_no_secret() -> None:
    packages = ["git+ssh://git@github.com/a/b"]
    assert section(pip=packages).runtime_env == {"pip": packages}


def test_files_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "requirements.txt").touch()
    monkeypatch.chdir(tmp_path)
    env = {
        "py_modules": ["mine", "s3://bucket/other.zip"],
        "pip": "requirements.txt",
        "excludes": ["mine"],
        "working_dir": "missing",
    }
    config = build_config({"model": {}, "dataset": {"path": "x"}, "ray": {"runtime_env": env}})
    assert with_absolute_paths(config).ray.runtime_env == {
        "py_modules": [str(tmp_path / "mine"), "s3://bucket/other.zip"],
        "pip": str(tmp_path / "requirements.txt"),
        "excludes": ["mine"],
        "working_dir": "missing",
    }


def test_null_is_the_value_of_this_environment() -> None:
    env = section(env_vars={"TOKEN": None, "MODE": "fast"}).runtime_env
    assert resolved_env(env, {"TOKEN": SECRET, "OTHER": "x"})["env_vars"] == {
        "TOKEN": SECRET,
        "MODE": "fast",
    }
    with pytest.raises(ConfigError) as caught:
        resolved_env(env, {"OTHER": "x"})
    assert caught.value.code == "CONFIG_INVALID"
    assert caught.value.message == (
        "ray.runtime_env.env_vars.TOKEN is null, and the environment of this process has no TOKEN. "
        "Expected its value there, because a run does not store it. Fix: export TOKEN=..., or add "
        "ray.runtime_env.env_vars.TOKEN=... to the command."
    )


def with_secret(place: Place) -> EvaluateConfig:
    return pixel_config(
        place.data, place.output, ray={"runtime_env": {"env_vars": {"TOKEN": SECRET}}}
    )


def test_values_are_neither_stored_nor_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path)
    config = with_secret(place)
    assert SECRET not in repr(config)
    assert stored_config(config)["ray"]["runtime_env"] == {"env_vars": {"TOKEN": None}}
    raw = {"ray": {"runtime_env": {"env_vars": {"TOKEN": SECRET}}}}
    assert shown_config(raw) == {"ray": {"runtime_env": {"env_vars": {"TOKEN": None}}}}
    run = TestRunner(config, database=place.url).run_test()
    stored = get_test_run(place.db, run.id).config
    assert stored is not None
    assert stored["ray"]["runtime_env"] == {"env_vars": {"TOKEN": None}}
    assert SECRET.encode() not in (tmp_path / "runs.db").read_bytes()
    assert command(["show", str(run.id), "--json", "--database", place.url]) == 0
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
    assert '"TOKEN": null' in shown.out


def test_the_python_api_keeps_the_values_of_a_configuration(tmp_path: Path) -> None:
    """A configuration object is merged with the keywords of the call."""
    parsed = _parsed(with_secret(Place(tmp_path)), {"name": "mine"})
    assert parsed.name == "mine"
    assert resolved_env(parsed.ray.runtime_env, {})["env_vars"] == {"TOKEN": SECRET}


def test_the_python_api_keeps_every_other_key(tmp_path: Path) -> None:
    full = load_config(
        REPOSITORY / "configs" / "full.yaml", ["dataset.storage_options={region: x}"]
    )
    assert _parsed(full, {}) == full
