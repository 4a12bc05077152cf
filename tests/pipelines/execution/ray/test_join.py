"""Join a cluster whose nodes have the libraries, and not this package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.environments import environment_with_libraries
from tests.pipelines.making import grey_folder
from tests.ray_cluster import Cluster, without_ray_variables


@pytest.mark.ray
@pytest.mark.slow
def test_the_code_is_sent_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray packs the folders behind the links in ``snellen/`` with the package."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    python = environment_with_libraries(tmp_path / "nodes")
    code = "import importlib.util; assert importlib.util.find_spec('snellen') is None"
    subprocess.run([str(python), "-c", code], cwd=tmp_path, check=True)
    grey_folder(tmp_path / "data")
    with Cluster(tmp_path, python) as cluster:
        config = {
            "model": {"adapter": "noop", "options": {"num_classes": 3}},
            "dataset": {"path": "data"},
            "run": {"engine": "ray", "unit_rows": 4},
            "ray": {"address": cluster.address},
        }
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
        finished = subprocess.run(
            [str(Path(sys.executable).parent / "snellen"), "eval", "run.yaml", "--json"],
            cwd=tmp_path, env={**without_ray_variables(), "HOME": str(tmp_path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert finished.returncode == 0, finished.stdout + finished.stderr
    document = json.loads(finished.stdout)
    assert (document["status"], document["scored_images"]) == ("completed", 12)
