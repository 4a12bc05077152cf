"""A Ray of a run's own: closed to others, whoever imported Ray before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.ray_section import RayConfig
from snellen.pipelines.execution.ray.session import RaySession

_CODE = """
import psutil, signal
{before}
signal.signal(signal.SIGTERM, signal.default_int_handler)
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
{after}
"""
_STOPPED = """
    import os, signal, time
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    except KeyboardInterrupt:
        time.sleep(3.5)  # what stopping cleanly takes; Ray's own handler aborts after 3 s
        print("stopped cleanly")
"""


@pytest.mark.ray
@pytest.mark.parametrize("before", ["", "import ray.serve"])
def test_it_listens_on_loopback_alone_and_leaves_sigterm_to_us(
    before: str, importable: None
) -> None:
    """Switches that Ray reads when it is imported take effect all the same."""
    code = _CODE.format(before=before, after=_STOPPED)
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split("\n")[:3] == ["1.0", "127.0.0.1", "[]"], found.stdout
    assert "stopped cleanly" in found.stdout
    assert "SIGTERM" not in found.stderr


_NONSENSE = "203.0.113.7:1"


@pytest.mark.ray
def test_an_address_in_the_environment_is_not_joined(importable: None) -> None:
    found = subprocess.run(
        [sys.executable, "-c", _CODE.format(before="", after="")],
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
found = subprocess.run([sys.executable, "-c", {_CODE.format(before="", after="")!r}], text=True,
                       capture_output=True, timeout=100)
print(found.stdout, found.stderr)
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=150, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("1.0\n127.0.0.1\n[]"), found.stdout


_ENV_CODE = """
import os, sys
from snellen.adapters.errors import RunError
from snellen.pipelines.config.ray_section import RayConfig
from snellen.pipelines.execution.ray.session import RaySession

env = {"env_vars": {"MODE": "fast", "TOKEN": None}, "py_modules": [sys.argv[1]]}
with RaySession(RayConfig(num_cpus=1, runtime_env=env)).start() as session:
    session.ready()
    import ray

    @ray.remote
    def look():
        import mine
        return mine.VALUE, os.environ["MODE"], os.environ["TOKEN"]

    print(ray.get(look.remote()))
    with RaySession(RayConfig(runtime_env=env)) as second:
        try:
            second.ready()
        except RunError as error:
            print(error.code, error.message)
"""


@pytest.mark.ray
def test_workers_get_the_runtime_environment(tmp_path: Path, importable: None) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("VALUE = 7\n")
    found = subprocess.run(
        [sys.executable, "-c", _ENV_CODE, str(tmp_path / "mine")],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "TOKEN": "from here"},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    first, second = found.stdout.strip().splitlines()
    assert first == "(7, 'fast', 'from here')"
    assert second.startswith(
        "RAY_START this process is connected to Ray already, so ray.runtime_env"
    )


def test_a_cluster_gets_our_code_beside_that_of_the_user() -> None:
    import snellen

    session = RaySession(RayConfig(runtime_env={"py_modules": ["/mine"], "pip": ["a"]}))
    session._address, session._runtime_env = "10.0.0.1:6379", session._config.runtime_env
    assert session._arguments()["runtime_env"] == {
        "py_modules": [str(Path(snellen.__path__[0])), "/mine"],
        "pip": ["a"],
    }


def test_a_variable_without_a_value_is_reported_before_ray_starts() -> None:
    session = RaySession(RayConfig(runtime_env={"env_vars": {"NOT_SET_ANYWHERE": None}}))
    with pytest.raises(ConfigError, match=r"env_vars\.NOT_SET_ANYWHERE is null"):
        session.start()
    session.stop()
