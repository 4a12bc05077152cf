"""A Ray of a run's own: closed to others, whoever imported Ray before."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_CODE = """
import psutil
{before}
from snellen.pipelines.config.ray_section import RayConfig
from snellen.pipelines.execution.ray.session import RaySession

with RaySession(RayConfig(num_cpus=1)).start() as session:
    print(session.ready().cpus)
    import ray
    print(ray.get_runtime_context().gcs_address.split(":")[0])
    mine = {{p.pid for p in psutil.Process().children(recursive=True)}}
    open_to_others = [
        c.laddr for c in psutil.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.pid in mine
        and c.laddr.ip not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")
    ]
    print(open_to_others)
"""


@pytest.mark.ray
@pytest.mark.parametrize("before", ["", "import ray.serve"])
def test_it_listens_on_loopback_alone_and_wants_a_token(before: str, importable: None) -> None:
    """Switches that Ray reads when it is imported take effect all the same."""
    code = _CODE.format(before=before)
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split("\n")[:3] == ["1.0", "127.0.0.1", "[]"], found.stdout


_NONSENSE = "203.0.113.7:1"


@pytest.mark.ray
def test_an_address_in_the_environment_is_not_joined(importable: None) -> None:
    found = subprocess.run(
        [sys.executable, "-c", _CODE.format(before="")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "RAY_ADDRESS": _NONSENSE},
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split("\n")[:3] == ["1.0", "127.0.0.1", "[]"], found.stdout


@pytest.mark.ray
def test_a_ray_that_runs_on_this_machine_is_not_joined(importable: None) -> None:
    code = f"""
import ray
ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
import subprocess, sys
found = subprocess.run([sys.executable, "-c", {_CODE.format(before="")!r}], text=True,
                       capture_output=True, timeout=100)
print(found.stdout, found.stderr)
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=150, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("1.0\n127.0.0.1\n[]"), found.stdout
