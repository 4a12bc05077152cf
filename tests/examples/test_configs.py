"""The configurations and documents of the repository agree with the code."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ray.serve.schema import ServeDeploySchema

from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_as, build_config, load_as, load_config
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.config.yaml_file import parse_yaml
from snellen.serve.config import ServeConfig
from snellen.store.parquet.schema import MANIFEST_SCHEMA, RESULT_SCHEMA
from snellen.store.sql.models import Base

ROOT = Path(__file__).parents[2]
FULL = ROOT / "configs" / "full.yaml"
NO_DEFAULT = {"model.job": "digits", "dataset.path": "demo-data/digits/test"}


def flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict) and value and key != "options":
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def defaults() -> dict[str, Any]:
    config = build_config({"model": {}, "dataset": {"path": "x"}})
    return flat(config.model_dump(mode="json"))


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_every_configuration_parses(path: Path) -> None:
    if path.name.startswith("predict"):
        assert isinstance(load_as(PredictConfig, path), PredictConfig)
    elif path.name == "serve.yaml":
        assert isinstance(load_as(ServeConfig, path), ServeConfig)
    elif path.name == "serve-cluster.yaml":
        deployed = parse_yaml(path.read_text(), where=path.name)
        assert ServeDeploySchema.model_validate(deployed)
        (application,) = deployed["applications"]
        module, _, name = application["import_path"].partition(":")
        assert callable(getattr(import_module(module), name))
        assert isinstance(build_as(ServeConfig, application["args"]), ServeConfig)
    else:
        assert isinstance(load_config(str(path), []), EvaluateConfig)


def test_full_names_every_key_with_its_default() -> None:
    written = flat(parse_yaml(FULL.read_text(), where=FULL.name))
    expected = defaults() | NO_DEFAULT
    assert written == expected
    assert list(written) == list(expected), "the order of the keys is that of EvaluateConfig"


def test_full_has_a_comment_on_every_key() -> None:
    bare = [
        line
        for line in FULL.read_text().splitlines()
        if re.match(r"\s*\w+: \S", line) and not re.search(r": \S+\s+# \w", line)
    ]
    assert bare == []


def test_configuration_page_explains_every_key() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    documented = set(re.findall(r"^\| `([\w.]+)` \|", page, flags=re.MULTILINE))
    assert documented == set(defaults())


def test_the_page_of_the_service_explains_every_key() -> None:
    _, _, page = (ROOT / "docs" / "serve.md").read_text().partition("## Configuration")
    rows = re.findall(r"^\| ((?:`[\w.*]+`(?:, )?)+) \| ([^|]*)\|", page, flags=re.MULTILINE)
    documented = {key for keys, _ in rows for key in re.findall(r"`([\w.*]+)`", keys)}
    config = ServeConfig().model_dump(mode="json")
    replicas = config["model"].pop("replicas")
    keys = {key for key in flat(config) if not key.startswith("ray.")}
    assert documented == {*keys, "model.replicas", "ray.*"}
    (written,) = (default for names, default in rows if names == "`model.replicas`")
    assert parse_yaml(written, where="page") == {**replicas, "target_ongoing": 8}


def test_the_page_of_the_service_names_every_code() -> None:
    """Codes of the sources of the routes, and those of images."""
    page = (ROOT / "docs" / "serve.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "serve" / "api").rglob("*.py"))
    codes = set(re.findall(r"\d{3}, \"([A-Z_]{4,})\"", sources))
    codes |= set(re.findall(r"after, \"([A-Z_]{4,})\"", sources))
    assert len(codes) > 15
    prefixes = ("CHECKPOINT_", "DATABASE", "MODELS")
    missing = {c for c in codes if f"`{c}`" not in page and not c.startswith(prefixes)}
    assert missing == set()


def test_predictions_page_explains_every_key_of_its_own() -> None:
    _, _, page = (ROOT / "docs" / "predict.md").read_text().partition("## Configuration")
    documented = set(re.findall(r"^\| `([\w.]+)` \|", page, flags=re.MULTILINE))
    config = build_as(PredictConfig, {"model": {}})
    ours, theirs = flat(config.model_dump(mode="json")), defaults()
    assert documented <= set(ours)
    assert set(ours) - set(theirs) <= documented
    changed = {key for key in set(ours) & set(theirs) if ours[key] != theirs[key]}
    assert changed <= documented


def test_results_page_explains_every_column() -> None:
    page = (ROOT / "docs" / "results.md").read_text()
    words = set(re.findall(r"`(\w+)`", page))
    columns = {*RESULT_SCHEMA.names, *MANIFEST_SCHEMA.names}
    for table in Base.metadata.tables.values():
        columns |= {table.name, *table.columns.keys()}
    assert columns - words == set()
