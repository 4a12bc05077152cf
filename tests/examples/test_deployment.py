"""The examples of deployment name what exists: commands, keys, images, volumes, routes."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import crossplane
import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.serve.schema import ServeDeploySchema

from snellen.pipelines.config.loader import build_as, build_config
from snellen.serve.config import ServeConfig

EXAMPLES = Path(__file__).parents[2] / "examples"
PYPROJECT = tomllib.loads((EXAMPLES.parent / "pyproject.toml").read_text())["project"]
Document = dict[str, Any]


def kubernetes(name: str) -> Document:
    document: Document = yaml.safe_load((EXAMPLES / "kubernetes" / name).read_text())
    assert document["apiVersion"] == "ray.io/v1"
    return document["spec"]  # type: ignore[no-any-return]


def groups(cluster: Document) -> list[Document]:
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


@pytest.mark.parametrize(
    ("name", "key"),
    [("evaluate.yaml", "rayClusterSpec"), ("serve.yaml", "rayClusterConfig")],
)
def test_pods_have_limits_and_no_privileges_and_mount_volumes_that_exist(
    name: str, key: str
) -> None:
    cluster = kubernetes(name)[key]
    assert f"ray[data]>={cluster['rayVersion'][:4]}" in " ".join(PYPROJECT["dependencies"])
    assert cluster["authOptions"] == {"mode": "token"}
    for group in groups(cluster):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"].startswith(f"registry.example.com/snellen:{PYPROJECT['version']}")
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert container["securityContext"]["runAsNonRoot"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        if "replicas" in group:
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_the_job_evaluates_on_its_own_cluster() -> None:
    spec = kubernetes("evaluate.yaml")
    program, command, path, *overrides = shlex.split(spec["entrypoint"])
    assert (program, command) == ("snellen", "eval")
    assert spec["shutdownAfterJobFinishes"]
    document: Document = {"model": {"job": "mine"}, "dataset": {"path": path}}
    for override in overrides:
        section, _, (key, value) = (
            *override.partition(".")[:2],
            override.split(".", 1)[1].split("="),
        )
        document[section] = {key: value}
    assert build_config(document).ray.address == "auto"


def test_the_service_has_keys_of_the_configuration() -> None:
    spec = kubernetes("serve.yaml")
    deployed = yaml.safe_load(spec["serveConfigV2"])
    ServeDeploySchema.model_validate(deployed)
    (application,) = deployed["applications"]
    config = build_as(ServeConfig, application["args"])
    workers = spec["rayClusterConfig"]["workerGroupSpecs"][0]
    assert config.model.replicas.max <= workers["maxReplicas"]
    (container,) = workers["template"]["spec"]["containers"]
    assert {"SNELLEN_DATABASE", "SNELLEN_API_KEYS"} == {one["name"] for one in container["env"]}


def test_the_cluster_launcher_accepts_its_file() -> None:
    document = yaml.safe_load((EXAMPLES / "cluster" / "ray-cluster.yaml").read_text())
    schema = Path(ray.autoscaler.__file__).with_name("ray-schema.json")
    jsonschema.validate(document, json.loads(schema.read_text()))
    assert document["max_workers"] == len(document["provider"]["worker_ips"])
    (install,) = (line for line in document["setup_commands"] if "pip install" in line)
    extras = re.search(r"snellen\[([\w,]+)\]", install)
    assert extras
    assert set(extras[1].split(",")) <= PYPROJECT["optional-dependencies"].keys()


def test_the_configuration_of_nginx_is_valid_and_streams() -> None:
    """crossplane knows the contexts and the number of arguments of every directive."""
    path = EXAMPLES / "nginx" / "snellen.conf"
    parsed = crossplane.parse(str(path), single=True, strict=True, check_ctx=False)
    assert parsed["errors"] == []
    servers = [
        one["block"] for one in parsed["config"][0]["parsed"] if one["directive"] == "server"
    ]
    assert len(servers) == 2
    (location,) = (one["block"] for one in servers[1] if one["directive"] == "location")
    settings = {one["directive"]: one["args"] for one in location if one["args"]}
    assert settings["proxy_buffering"] == settings["proxy_request_buffering"] == ["off"]
    assert settings["proxy_pass"] == ["http://snellen"]


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_workflows_use_options_that_exist(name: str) -> None:
    import typer

    from snellen.cli.app import app

    commands: Any = typer.main.get_command(app)
    text = (EXAMPLES / "ci" / name).read_text()
    found = re.findall(r"snellen (eval|gate) ((?:.|\n\s+--)*)", text)
    assert {command for command, _ in found} == {"eval", "gate"}
    for command, rest in found:
        known = {option for one in commands.commands[command].params for option in one.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= known
