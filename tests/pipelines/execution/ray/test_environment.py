"""The environment variables of a session, and what is left of them."""

from __future__ import annotations

import os

import pytest

from snellen.pipelines.execution.ray.environment import RayEnvironment

NAMES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)


def _now() -> dict[str, str]:
    return {name: os.environ[name] for name in NAMES if name in os.environ}


def test_an_embedded_ray_has_a_token_of_its_own_until_it_ends() -> None:
    """The next session of this process may join a cluster, with another authentication."""
    environment, tokens = RayEnvironment(), set()
    for _ in range(2):
        environment.embedded()
        assert _now()["RAY_AUTH_MODE"] == "token"
        assert _now()["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
        tokens.add(_now()["RAY_AUTH_TOKEN"])
        environment.restore()
        assert _now() == {}
    assert len(tokens) == 2


@pytest.mark.parametrize(
    ("address", "token", "expected"),
    [
        ("10.0.0.1:6379", False, {"RAY_AUTH_MODE": "disabled"}),
        ("10.0.0.1:6379", True, {"RAY_AUTH_MODE": "token"}),
        ("127.0.0.1:6379", True, {"RAY_AUTH_MODE": "token", NAMES[2]: "0"}),
    ],
)
def test_a_cluster_is_joined_as_it_is(address: str, token: bool, expected: dict[str, str]) -> None:
    environment = RayEnvironment()
    environment.join(address, token=token)
    assert _now() == expected
    environment.restore()
    assert _now() == {}


def test_variables_of_the_user_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}
    for name, value in mine.items():
        monkeypatch.setenv(name, value)
    environment = RayEnvironment()
    environment.embedded()
    assert _now() == {**mine, NAMES[2]: "0"}
    environment.restore()
    assert _now() == mine
