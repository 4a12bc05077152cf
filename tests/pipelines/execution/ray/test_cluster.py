"""The cluster of ``ray.address`` is found and checked before Ray joins it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from snellen.adapters.errors import RunError
from snellen.pipelines.config.ray_section import RayConfig
from snellen.pipelines.execution.ray.cluster import (
    ClusterAddress,
    check_cluster,
    cluster_address,
    ignored_cluster,
)
from snellen.pipelines.progress import Reporter
from tests.pipelines.execution.ray.fake_head import fake_head
from tests.pipelines.place import Place

RIGHT, WRONG = "a" * 64, "b" * 64
_AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_USE_TLS")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home without a token, and an environment that names no cluster."""
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

    with monkeypatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        for name in ("RAY_ADDRESS", *_AUTHENTICATION):
            patch.delenv(name, raising=False)
        yield tmp_path
    AuthenticationTokenLoader.instance().reset_cache()


def failure(cluster: ClusterAddress) -> str:
    with pytest.raises(RunError) as caught:
        check_cluster(cluster)
    assert caught.value.code == "RAY_START"
    return caught.value.message


@pytest.mark.parametrize(
    ("cluster_token", "environment", "joins_with_token"),
    [
        (None, {}, False),
        (None, {"RAY_AUTH_MODE": "disabled"}, False),
        (None, {"RAY_AUTH_TOKEN": WRONG}, False),  # of another Ray of this user
        (RIGHT, {"RAY_AUTH_TOKEN": RIGHT}, True),
        (RIGHT, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": RIGHT}, True),
    ],
)
def test_the_authentication_follows_the_cluster(
    monkeypatch: pytest.MonkeyPatch,
    cluster_token: str | None,
    environment: dict[str, str],
    joins_with_token: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with fake_head(cluster_token) as address:
        assert check_cluster(cluster_address(address)) is joins_with_token


@pytest.mark.parametrize("named", [True, False])
def test_the_token_may_be_in_a_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    file = home / ("elsewhere" if named else ".ray/auth_token")
    file.parent.mkdir(exist_ok=True)
    file.write_text(RIGHT + "\n")
    if named:
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    with fake_head(RIGHT) as address:
        assert check_cluster(cluster_address(address)) is True
    file.write_text(WRONG)
    with fake_head(RIGHT) as address:
        source = "RAY_AUTH_TOKEN_PATH" if named else str(file)
        assert f"rejects the token of this process (from {source})" in failure(
            cluster_address(address)
        )


@pytest.mark.parametrize(
    ("cluster_token", "environment", "found", "fix"),
    [
        (
            None,
            {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": RIGHT},
            "the cluster has no authentication, and this process has RAY_AUTH_MODE=token",
            "RAY_AUTH_MODE=disabled snellen ...",
        ),
        (
            RIGHT,
            {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": RIGHT},
            "the cluster requires a token, and this process has RAY_AUTH_MODE=disabled",
            "RAY_AUTH_MODE=token snellen ...",
        ),
        (
            RIGHT,
            {},
            "the cluster requires a token, and this process has none",
            "copy the token of the head node: scp HEAD:.ray/auth_token ~/.ray/auth_token",
        ),
        (
            RIGHT,
            {"RAY_AUTH_TOKEN": WRONG},
            "the cluster rejects the token of this process (from RAY_AUTH_TOKEN)",
            "copy the token of the head node: scp HEAD:.ray/auth_token ~/.ray/auth_token",
        ),
    ],
)
def test_a_mismatch_says_what_each_side_has(
    monkeypatch: pytest.MonkeyPatch,
    cluster_token: str | None,
    environment: dict[str, str],
    found: str,
    fix: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with fake_head(cluster_token) as address:
        message = failure(cluster_address(address))
    assert message.startswith(f"could not join {address} (ray.address): {found}. Expected the same")
    assert f"Fix: {fix}" in message
    assert RIGHT not in message
    assert WRONG not in message


@pytest.fixture
def dead() -> Iterator[str]:
    """Return an address at which nobody listens; it is held, so that no other test gets it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


def test_a_dead_address(dead: str) -> None:
    message = failure(cluster_address(dead))
    assert message.startswith(f"could not start or join {dead} (ray.address): Connection refused.")
    assert f"`ray start --head --port={dead.split(':')[1]}`" in message


def test_a_run_with_a_dead_address_lists_no_images(tmp_path: Path, dead: str) -> None:
    heard: list[str] = []

    class Heard(Reporter):
        def status(self, text: str) -> None:
            heard.append(text)

    place = Place(tmp_path)
    with pytest.raises(RunError, match="Connection refused"):
        place.run(Heard(), run={"engine": "ray"}, ray={"address": dead})
    assert heard[-1].startswith("Starting Ray (127.0.0.1:")


def test_a_dead_address_of_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, dead: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", dead)
    message = failure(cluster_address("auto"))
    assert re.search(
        r"join 127\.0\.0\.1:\d+ \(RAY_ADDRESS, read by ray\.address=auto\): Conn", message
    )
    assert "Unset RAY_ADDRESS to find a cluster on this machine, or set ray.address=" in message


def test_an_address_of_the_environment_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://10.0.0.1:10001")
    with pytest.raises(RunError, match=r"RAY_ADDRESS=ray://10\.0\.0\.1:10001.*form host:port"):
        cluster_address("auto")


def test_the_port_of_something_else() -> None:
    with fake_head(None, service="RayletDriver") as address:
        message = failure(cluster_address(address))
    assert "what listens there is not Ray's GCS (UNIMPLEMENTED)" in message
    assert "8265 and 10001 are Ray's dashboard and client" in message


@pytest.mark.parametrize(
    ("running", "latest", "chosen"),
    [
        ({"10.0.0.1:1"}, None, "10.0.0.1:1"),
        ({"10.0.0.1:1"}, "10.0.0.1:2", "10.0.0.1:1"),  # the latest is not running any more
        ({"10.0.0.1:1", "10.0.0.1:2"}, "10.0.0.1:2", "10.0.0.1:2"),
        ({"10.0.0.1:1", "10.0.0.1:2"}, None, "finds several: 10.0.0.1:1, 10.0.0.1:2. Expected one"),
        (set(), None, "finds none on this machine. Expected one running Ray cluster."),
    ],
)
def test_auto_finds_the_cluster_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, running: set[str], latest: str | None, chosen: str
) -> None:
    from ray._private import services

    monkeypatch.setattr(services, "find_gcs_addresses", lambda: running)
    monkeypatch.setattr(services, "find_bootstrap_address", lambda folder: latest)
    if chosen.startswith("finds"):
        with pytest.raises(RunError, match=f"ray.address=auto {chosen}") as caught:
            cluster_address("auto")
        assert "Fix: Set ray.address=host:port of its head node" in caught.value.message
    else:
        assert cluster_address("auto").address == chosen


@pytest.mark.parametrize(
    "address",
    ["203.0.113.7:1", "nonsense", "auto"],
    ids=["Q-unreachable", "Q-nonsense", "Q-any-cluster"],
)
def test_an_address_that_is_not_joined_is_named(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    assert ignored_cluster(RayConfig()) is None
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert ignored_cluster(RayConfig(address="auto")) is None
    assert ignored_cluster(RayConfig()) == (
        f"Starting a Ray of its own; RAY_ADDRESS={address} is ignored. Set ray.address=auto to "
        "use it"
    )
