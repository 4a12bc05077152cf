"""Files of the project that no test runs are valid: workflows, templates, Dockerfile, releases."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.cli import main as check_jsonschema
from click.testing import CliRunner
from packaging.requirements import Requirement

from tests.structure.test_sizes import ROOT, relative

GITHUB = ROOT / ".github"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOT_FOR_USERS = {"dev", "docs"}
SCHEMAS: dict[str, list[Path | str]] = {
    "vendor.github-workflows": [*(GITHUB / "workflows").glob("*.yml"), "examples/ci/github.yml"],
    "vendor.github-issue-forms": sorted((GITHUB / "ISSUE_TEMPLATE").glob("*_re*.yml")),
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "vendor.gitlab-ci": ["examples/ci/gitlab.yml"],
    "vendor.citation-file-format": ["CITATION.cff"],
}


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    given = [str(word) for word in words]
    return subprocess.run(given, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_meet_their_schema(schema: str) -> None:
    files = SCHEMAS[schema]
    assert files
    words = ["--builtin-schema", schema, *(str(ROOT / file) for file in files)]
    done = CliRunner().invoke(check_jsonschema, words)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("path", sorted((GITHUB / "workflows").glob("*.yml")), ids=lambda p: p.name)
def test_a_workflow_may_read_only_and_runs_files_that_exist(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes" if name != "publish" else "needs"], name
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"] == {"persist-credentials": False}
            for script in re.findall(r"(?:^|\s)((?:\.\w+|constraints)/\w+)", step.get("run", "")):
                assert (ROOT / script).stat().st_mode & 0o111, script


def test_a_dockerfile_without_findings_of_hadolint_that_runs_unprivileged() -> None:
    done = run(Path(sys.executable).with_name("hadolint"), "Dockerfile")
    assert done.returncode == 0, done.stdout
    *_, last = re.findall(r"^USER (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert last == "1000:1000"


def test_the_image_is_built_from_everything_that_the_wheel_needs() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    packages = {link.resolve().name for link in (ROOT / "snellen").iterdir() if link.is_symlink()}
    assert packages | {"snellen", "pyproject.toml", PROJECT["readme"], "LICENSE"} <= kept
    assert {name for name in kept if not (ROOT / name).exists()} == set()


def test_the_lowest_versions_are_those_of_pyproject() -> None:
    extras = PROJECT["optional-dependencies"]
    named = [*PROJECT["dependencies"]]
    for extra in extras.keys() - NOT_FOR_USERS:
        named += extras[extra]
    lowest = {}
    for text in named:
        requirement = Requirement(text)
        (bound,) = requirement.specifier
        assert bound.operator in {">=", "=="}, text
        lowest[requirement.name.lower()] = bound.version
    lines = [f"{name}=={lowest[name]}" for name in sorted(lowest)]
    written = (ROOT / "constraints" / "lowest.txt").read_text().splitlines()
    assert [line for line in written if not line.startswith("#")] == lines


@pytest.mark.parametrize("script", ["constraints/check", ".github/release", ".ci/run"])
def test_a_script_is_valid_bash(script: str) -> None:
    assert run("bash", "-n", script).returncode == 0


def test_a_release_needs_the_version_of_pyproject() -> None:
    done = run("bash", ".github/release", "0.0.0")
    assert done.returncode == 1
    assert "pyproject.toml has another version than 0.0.0" in done.stderr


def test_the_citation_has_the_version_and_licence_of_the_project() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])


def test_every_page_of_the_documentation_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    _, _, navigation = text.partition("\nnav:\n")
    pages = {relative(path).removeprefix("docs/") for path in (ROOT / "docs").rglob("*.md")}
    listed = set(re.findall(r"[\w/.-]+\.md", navigation))
    assert {page for page in pages - listed if not page.startswith("decisions/0")} == set()
