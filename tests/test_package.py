"""The package as users install it: nothing outside ``snellen/``, nothing of theirs imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.environments import environment_with_libraries
from tests.pipelines.making import write_image

ROOT = Path(__file__).parents[1]
CHECKPOINT = Path(__file__).parent / "fixtures" / "tiny-classify.pt"
CLASSES = ("circle", "square", "triangle")
OURS = ("metrics", "store", "adapters", "pipelines", "analysis", "serve")
STANDARD = ("queue", "random", "colorsys")
LIBRARIES = ("ultralytics", "torchvision", "ray")
"""Modules that workers import late, so that a folder first in their path would be noticed."""
HOSTILE = (*OURS, *STANDARD, *LIBRARIES)
"""Names that a user's own files may have."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, built from a clean copy."""
    source = tmp_path_factory.mktemp("source") / "snellen"
    unwanted = shutil.ignore_patterns(
        ".git", ".venv", "*.egg-info", "__pycache__", ".*_cache", "demo-data", "runs", ".hypothesis"
    )
    # `runs` names the folder of results at the top, and a package further down.
    keep = {str(ROOT / "pipelines")}
    shutil.copytree(
        ROOT, source, symlinks=True,
        ignore=lambda folder, names: set() if folder in keep else unwanted(folder, names),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), "."]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return folder


@pytest.mark.slow
def test_nothing_lies_outside_the_package(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"snellen"}
    modules = {name for name in names if name.endswith(".py")}
    for path in ("adapters/base.py", "pipelines/runs/execute.py", "store/migrations/env.py"):
        assert f"snellen/{path}" in modules
    assert "snellen/analysis/report/templates/report.html" in names
    (archived,) = built.glob("*.tar.gz")
    with tarfile.open(archived) as source:
        inside = [name.split("/", 1)[1] for name in source.getnames() if "/" in name]
    assert {name for name in inside if name.endswith(".py")} == modules


def without_path() -> dict[str, str]:
    """The environment variables without a path to this checkout."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``snellen`` command of a fresh environment that sees the installed libraries."""
    python = environment_with_libraries(tmp_path_factory.mktemp("environment"))
    (wheel,) = built.glob("*.whl")
    # --ignore-installed: the libraries of this environment include a link to the checkout.
    options = ["--no-deps", "--no-index", "--ignore-installed"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel)],
        check=True, capture_output=True, env=without_path(),
    )  # fmt: skip
    return python.parent / "snellen"


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_no_file_of_the_working_folder_is_imported(installed: Path, tmp_path: Path) -> None:
    for name in HOSTILE:
        marker = tmp_path / f"imported-{name}"
        (tmp_path / f"{name}.py").write_text(
            f"open({str(marker)!r}, 'w').close()\nraise ImportError('the file of a user')\n"
        )
    for name in CLASSES:
        for number in range(3):
            write_image(tmp_path / "images" / name / f"{number}.png", 60 * number, size=(64, 64))
    config = {
        "model": {"adapter": "ultralytics", "checkpoint": str(CHECKPOINT)},
        "dataset": {"path": "images"},
        "run": {"engine": "ray", "unit_rows": 4},
        "ray": {"num_cpus": 2},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    environment = without_path()
    for command in ("plan", "eval"):
        finished = subprocess.run(
            [str(installed), command, "run.yaml"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert [path.name for path in tmp_path.glob("imported-*")] == []
    assert "9 images, 9 scored, 0 failed" in finished.stdout
    # The check can fail: Python itself puts the folder on the path of `python -m`.
    subprocess.run([sys.executable, "-m", "random"], cwd=tmp_path, check=False, capture_output=True)
    assert [path.name for path in tmp_path.glob("imported-*")] == ["imported-random"]
