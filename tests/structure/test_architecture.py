"""docs/architecture.md and the other pages name files and functions that exist."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.structure.test_sizes import ROOT, relative

PAGE = (ROOT / "docs" / "architecture.md").read_text()
MAX_STOPS = 12
STOP = re.compile(r"^\| (\d+) \| `([\w/]+\.py)` \| `([\w.]+)` \| [^|]+ \| [^|]+ \|$", re.MULTILINE)
FOLDERS = (
    r"adapters|analysis|benchmarks|configs|docs|examples|metrics|pipelines|serve|snellen|store"
)
MARKDOWN = sorted(
    {
        *ROOT.glob("*.md"),
        *(
            page
            for folder in (*FOLDERS.split("|"), "tests", ".github")
            for page in (ROOT / folder).rglob("*.md")
        ),
    }
)
"""Every page of the repository."""
PATH = re.compile(rf"`((?:{FOLDERS}|tests|configs|examples)/[\w/.-]+\.\w+)`")


def section(title: str) -> str:
    _, found, rest = PAGE.partition(f"\n## {title}\n")
    assert found, title
    return rest.split("\n## ")[0]


def definitions(path: Path) -> set[str]:
    """Functions, classes and methods of a module, as ``name`` and ``Class.name``."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            members = (
                n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
            )
            names |= {f"{node.name}.{member.name}" for member in members}
    return names


@pytest.mark.parametrize("title", re.findall(r"^## (Follow one image: .+)$", PAGE, re.MULTILINE))
def test_every_stop_exists(title: str) -> None:
    text = section(title)
    stops = STOP.findall(text)
    rows = [line for line in text.splitlines() if re.match(r"\| \d", line)]
    assert [int(number) for number, _, _ in stops] == list(range(1, len(rows) + 1))
    assert 5 < len(stops) <= MAX_STOPS
    missing = [
        f"{path} {name}"
        for _, path, name in stops
        if not (ROOT / path).is_file() or name not in definitions(ROOT / path)
    ]
    assert missing == []


def test_both_ways_are_followed() -> None:
    assert len(re.findall(r"^## Follow one image", PAGE, re.MULTILINE)) == 2


def test_every_package_of_the_pipelines_and_of_the_service_is_described() -> None:
    text = section("Packages in reading order")
    for package in ("adapters", "analysis", "metrics", "pipelines", "serve", "snellen", "store"):
        assert f"`{package}/" in text, package
    for folder in (ROOT / "pipelines").iterdir():
        if (folder / "__init__.py").is_file():
            assert f"{folder.name}`" in text, folder.name
    for folder in (ROOT / "serve").iterdir():
        if (folder / "__init__.py").is_file():
            assert f"`{folder.name}/`" in text, folder.name


def test_the_layers_are_those_of_the_contracts() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    text = " ".join(section("Layers").split())
    for contract in contracts["contracts"]:
        if contract["type"] != "layers":
            continue
        order = [re.sub(r"\s+", " ", layer) for layer in contract["layers"]]
        places = [text.find(f"`{layer}`") for layer in order]
        assert -1 not in places, dict(zip(order, places, strict=True))


@pytest.mark.parametrize(
    "page",
    MARKDOWN,
    ids=relative,
)
def test_files_and_pages_that_a_page_names_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    missing = [path for path in PATH.findall(text) if not (ROOT / path).exists()]
    assert missing == []
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text)
    pictures = re.findall(r'(?:src|srcset)="()(?!https?:)([^"]+)"', text)
    for target, anchor in [*links, *((path, none) for none, path in pictures)]:
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if anchor:
            assert anchor in headings(linked), f"{target}#{anchor}"


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
