"""A run on a cluster of two nodes, of which one is lost in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from snellen.pipelines.runs.runner import TestRunner
from tests.conftest import REPOSITORY
from tests.pipelines.making import grey_folder, pixel_config
from tests.pipelines.pixel_adapter import NAME
from tests.ray_cluster import Cluster, end, without_ray_variables

pytestmark = [pytest.mark.ray, pytest.mark.slow]

_EACH, _UNIT_ROWS = 40, 4


def start(folder: Path, address: str) -> subprocess.Popen[str]:
    """Start ``snellen eval`` as a user of the cluster does; an image takes 0.1 s."""
    config = {
        "model": {"adapter": NAME, "options": {"sleep_ms": 100}},
        "dataset": {"path": "data"},
        "run": {"unit_rows": _UNIT_ROWS, "batch_size": 3},
        "output": {"dir": "out"},
        "ray": {"address": address},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    return subprocess.Popen(
        [sys.executable, "-m", "snellen", "eval", "run.yaml", "--json"],
        cwd=folder,
        env={**without_ray_variables(), "HOME": str(folder), "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_units(run: subprocess.Popen[str], folder: Path, count: int) -> None:
    """Wait until the run has written ``count`` of its units."""
    deadline = time.monotonic() + 90
    while len(list(folder.glob("out/*/units/unit-*"))) < count:
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def metrics_of_an_inline_run(folder: Path) -> Any:
    config = pixel_config(folder / "data", folder / "inline")
    return TestRunner(config, database=f"sqlite:///{folder / 'inline.db'}").run_test().metrics


@pytest.mark.parametrize("authenticated", [True, False], ids=["token", "no token"])
def test_a_node_is_lost_in_the_middle_of_a_run(
    tmp_path: Path, importable: None, authenticated: bool
) -> None:
    """The run completes with the metrics of an undisturbed one, and says so in a line or two."""
    grey_folder(tmp_path / "data", each=_EACH)
    with Cluster(tmp_path, cpus=1, authenticated=authenticated) as cluster:
        node = cluster.add_node(cpus=1)
        run = start(tmp_path, cluster.address)
        try:
            wait_for_units(run, tmp_path, 4)
            end(node)
            out, err = run.communicate(timeout=120)
        finally:
            run.kill()
    assert run.returncode == 0, err
    document = json.loads(out)
    total = 3 * _EACH
    assert (document["status"], document["scored_images"]) == ("completed", total)
    assert len(document["files"]) == total // _UNIT_ROWS
    assert document["metrics"] == metrics_of_an_inline_run(tmp_path)
    lines = [line.strip() for line in err.splitlines()]
    assert "2 actors with 2 threads, 0.5 CPUs reserved each" in lines
    (lost,) = [line for line in lines if line.startswith("Lost ")]
    assert lost.startswith("Lost node ")
    assert lost.endswith("1 of 2 nodes are left. Its units are scored again")
    assert "Traceback" not in err
    assert len(lines) <= 20, err
