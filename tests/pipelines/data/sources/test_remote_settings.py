"""Options and addresses of remote storage in a configuration."""

from __future__ import annotations

import pytest

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.storage import clients


@pytest.mark.parametrize("name", ["secret_key", "access_key", "session_token", "password", "KEY"])
def test_credentials_are_no_settings(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"dataset\.storage_options\.{name}") as caught:
        DatasetConfig(path="s3://b/set", storage_options={name: "hush"})
    assert caught.value.code == "STORAGE_SECRET"
    assert "AWS_ACCESS_KEY_ID" in caught.value.message
    assert "hush" not in caught.value.message


def test_options_are_those_of_the_storage() -> None:
    for options, text in (
        ({"regoin": "x"}, r"regoin is unknown for s3://\. Expected one of region"),
        ({"anonymous": 1}, r"anonymous: 1 has the wrong type"),
        ({"connect_timeout": True}, "connect_timeout: True has the wrong type"),
    ):
        with pytest.raises(ConfigError, match=text) as caught:
            open_source(DatasetConfig(path="s3://b/set", storage_options=options))
        assert caught.value.code == "STORAGE_OPTION"
    with pytest.raises(ConfigError, match="account_name is missing"):
        open_source(DatasetConfig(path="abfs://container/set"))


def test_the_region_of_a_bucket_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The region is looked up if no setting names it; here without a request to AWS."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pyarrow.fs.resolve_s3_region", lambda bucket: f"region-of-{bucket}")
    client, path = clients.client_of("s3://somewhere/set", (("anonymous", True),))
    assert (client.filesystem.region, path) == ("region-of-somewhere", "somewhere/set")
