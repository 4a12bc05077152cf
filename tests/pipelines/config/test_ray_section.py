"""The section ``ray``: addresses that can be joined."""

from __future__ import annotations

import pytest

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.ray_section import RayConfig


@pytest.mark.parametrize(
    "address", [None, "auto", "10.0.0.1:6379", "head.example.com:6379", "[fd00::1]:6379"]
)
def test_addresses_of_a_head_node(address: str | None) -> None:
    assert build_as(RayConfig, {"address": address}).address == address


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "local",
        "http://10.0.0.1:8265",
        "a:b",
        "fd00::1:6379",
        ":6379",
        "",
        "a:0",
        "a:65536",
    ],
)
def test_other_addresses_are_rejected(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_as(RayConfig, {"address": address}, where="mine.yaml")
    assert caught.value.code == "CONFIG_INVALID"
    assert caught.value.message == (
        "mine.yaml: address: value error, expected 'auto' or host:port of the head node, such as "
        f"10.0.0.1:6379, not '{address}'"
    )


def test_ray_client_is_rejected_before_anything_is_started() -> None:
    with pytest.raises(ConfigError, match=r"host:port of the head node.*ray://, are not supported"):
        build_as(RayConfig, {"address": "ray://10.0.0.1:10001"})
