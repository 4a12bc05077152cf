"""Inspection of a model in another process, and the import path of that process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.runtime.inspect import inspect_model
from snellen.adapters.types import AdapterSpec, TaskType

TRAPS = ("random", "queue", "metrics", "adapters", "inspect")
ADAPTER = """
import dataclasses, json, os, sys
from snellen.adapters.noop import NoopAdapter

class Probe(NoopAdapter):
    def _load(self, inference_mode):
        info, states = super()._load(inference_mode)
        return dataclasses.replace(info, architecture=json.dumps(sys.path)), states

class Dying(NoopAdapter):
    def _load(self, inference_mode):
        print("not an answer")
        os._exit(9)
"""
ASK = """
from snellen.adapters.runtime.inspect import inspect_model
from snellen.adapters.types import AdapterSpec
print(inspect_model(AdapterSpec("{adapter}")).info.architecture)
"""


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """Working folder whose files are named like modules and raise when they are imported."""
    folder = tmp_path / "work"
    folder.mkdir()
    for name in TRAPS:
        (folder / f"{name}.py").write_text("raise SystemExit('a file of the working folder')\n")
    return folder


def answer(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_model_is_described() -> None:
    found = inspect_model(AdapterSpec("noop", options={"num_classes": 3}))
    assert found.info.task_type is TaskType.IMAGE_CLASSIFICATION
    assert found.info.num_classes == 3
    assert not found.reads_images


def test_errors_come_back_as_they_were_raised() -> None:
    with pytest.raises(ConfigError) as caught:
        inspect_model(AdapterSpec("noop", options={"num_classes": 0}))
    assert caught.value.code == "OPTION_INVALID"


def test_a_process_that_dies_is_an_unreadable_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "probing.py").write_text(ADAPTER)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="exited with code 9") as caught:
        inspect_model(AdapterSpec("probing:Dying"))
    assert caught.value.code == "CHECKPOINT_UNREADABLE"


def test_the_working_folder_is_not_on_the_path(trapped: Path) -> None:
    assert answer("-P", "-c", ASK.format(adapter="noop"), cwd=trapped) == "noop"


def test_a_scripts_own_folder_stays_on_the_path(trapped: Path, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "probing.py").write_text(ADAPTER)
    (scripts / "ask.py").write_text(ASK.format(adapter="probing:Probe"))
    path = json.loads(answer(str(scripts / "ask.py"), cwd=trapped))
    assert path[0] == str(scripts)
    assert not {"", ".", str(trapped)} & set(path)
    assert json.loads(answer("ask.py", cwd=scripts))[0] == str(scripts)  # also where it is both


def test_a_module_that_was_started_leaves_the_working_folder_behind(tmp_path: Path) -> None:
    library, work = tmp_path / "library", tmp_path / "work"
    for folder in (library, work):
        folder.mkdir()
    (library / "probing.py").write_text(ADAPTER)
    (library / "ask.py").write_text(ASK.format(adapter="probing:Probe"))
    path = json.loads(answer("-m", "ask", cwd=work, PYTHONPATH=str(library)))
    assert path[0] == str(library)
    assert str(work) not in path


@pytest.mark.parametrize("command", [("-m", "ask"), ("-c", ASK.format(adapter="mine:Probe"))])
def test_an_adapter_of_the_working_folder_is_found_last(
    command: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(ADAPTER)
    (tmp_path / "ask.py").write_text(ASK.format(adapter="mine:Probe"))
    path = json.loads(answer(*command, cwd=tmp_path))
    own = [place for place in path if place == str(tmp_path)]
    assert len(own) == 1
    assert path.index(str(tmp_path)) > path.index(os.path.dirname(os.__file__))  # noqa: PTH120
