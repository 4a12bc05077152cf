"""Scopes of API keys: a key without the scope of a request gets 403 before its body is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import ConfigError
from snellen.serve.access import check_keys
from snellen.serve.api.middleware.api_keys import KEYS_VARIABLE, SCOPES, parse_key, scope_of
from snellen.serve.config import ServeConfig
from snellen.store.sql.database import Database
from tests.serve.local_service import served

KEYS = ("r:read", "x:read+run", "d:delete", "a:admin", "all")
REQUESTS = {
    ("GET", "/inference/test-runs"): "read",
    ("HEAD", "/inference/training-jobs"): "read",
    ("GET", "/metrics"): "read",
    ("POST", "/inference/single"): "run",
    ("POST", "/inference/test-runs"): "run",
    ("POST", "/inference/test-runs/1/cancel"): "run",
    ("DELETE", "/inference/test-runs/1"): "delete",
    ("DELETE", "/inference/inference-jobs/1"): "delete",
    ("POST", "/inference/training-jobs"): "admin",
    ("POST", "/inference/datasets"): "admin",
    ("DELETE", "/inference/datasets/mine"): "admin",
}
HAS = {"r": {"read"}, "x": {"read", "run"}, "d": {"delete"}, "a": set(SCOPES), "all": set(SCOPES)}


@pytest.mark.parametrize(("request_line", "scope"), REQUESTS.items())
def test_each_request_needs_a_scope(request_line: tuple[str, str], scope: str) -> None:
    assert scope_of(*request_line) == scope


@pytest.mark.anyio
async def test_a_key_without_the_scope_gets_403(db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path, keys=KEYS, loopback=False) as service:
        for (method, path), needed in REQUESTS.items():
            for key, scopes in HAS.items():
                response = await service.client.request(method, path, headers={"X-API-Key": key})
                rejected = response.status_code == 403
                assert rejected == (needed not in scopes), (method, path, key)
                if rejected and method != "HEAD":
                    assert response.json()["code"] == "SCOPE"
                    assert f"'{needed}'" in response.json()["detail"]
        unknown = await service.client.get("/metrics", headers={"X-API-Key": "r:read"})
        assert unknown.status_code == 401  # the scopes are no part of the key
        for path in ("/health/live", "/health/ready"):
            assert (await service.client.get(path)).status_code == 200


@pytest.mark.parametrize("text", ["k:raed", "k:read+", "k:", ":read", "a:b:write"])
def test_an_unknown_scope_stops_the_service_before_it_starts(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEYS_VARIABLE, f"good,{text}")
    config: Any = {"host": "0.0.0.0"}
    with pytest.raises(ConfigError, match="which are no scopes") as caught:
        check_keys(ServeConfig.model_validate(config))
    assert caught.value.code == "API_KEY_SCOPE"


def test_a_key_may_contain_colons_before_its_scopes() -> None:
    assert parse_key("a:b:read") == ("a:b", frozenset({"read"}))
