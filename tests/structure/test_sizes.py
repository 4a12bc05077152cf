"""Files, functions and folders stay small enough to be read at once."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("adapters", "analysis", "metrics", "pipelines", "serve", "snellen", "store")
FOLDERS = (*PACKAGES, "tests", "benchmarks", "docs", "examples")
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_MODULES = 15


def files(*folders: str) -> Iterator[Path]:
    """Python files below the folders; links from ``snellen/`` are not followed."""
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_command(path: Path) -> bool:
    """Command functions are as long as their options."""
    return path.parts[-4:-2] == ("snellen", "cli") and path.name == "command.py"


def test_no_file_is_over_300_lines() -> None:
    lines = {relative(path): len(path.read_text().splitlines()) for path in files(*FOLDERS)}
    assert {path: count for path, count in lines.items() if count > MAX_FILE_LINES} == {}


def test_no_function_is_over_60_lines() -> None:
    found = []
    for path in files(*FOLDERS):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > MAX_FUNCTION_LINES and not is_command(path):
                found.append(f"{relative(path)}:{node.lineno} {node.name}: {count} lines")
    assert found == []


def test_no_folder_has_more_than_15_modules() -> None:
    modules = (path for path in files(*PACKAGES) if path.name != "__init__.py")
    counts = Counter(relative(path.parent) for path in modules)
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_every_package_says_what_it_holds() -> None:
    """A reader finds any part from the tree: each package has a docstring."""
    packages = {path.parent for path in files(*PACKAGES)}
    silent = [
        relative(folder)
        for folder in sorted(packages)
        if ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) is None
    ]
    assert silent == []
