"""The shell blocks of a page: commands of Snellen run, others run or are checked."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import httpx
from ray.scripts.scripts import cli as ray_cli

from snellen.cli.main import run
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.yaml_file import parse_yaml
from snellen.serve.config import ServeConfig

ROOT = Path(__file__).parents[2]
SET_UP = {"git", "cd", "python3", "."}
"""Commands that a reader needs once, and a test has no use for."""
ADDRESS = "http://127.0.0.1:8000"
"""The address of ``snellen serve`` in the pages."""


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a language, in the order of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)


def commands(page: str) -> list[list[str]]:
    """Return the words of each command, with continued lines joined and comments removed."""
    text = "".join(blocks(page, "sh")).replace("\\\n", " ")
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def execute(words: list[str], address: str = ADDRESS) -> None:
    """Run a command of a page, or check it where running it would leave this machine.

    Args:
        words: the words of the command, as a shell splits them.
        address: address of a running service, in place of that of the page.
    """
    name, *rest = words
    if name in SET_UP:
        return
    _COMMANDS[name]([match for word in rest for match in _expand(word)], address)


def _expand(word: str) -> list[str]:
    found = sorted(map(str, Path().glob(word))) if "*" in word else []
    return found or [word]


def _snellen(words: list[str], address: str) -> None:
    if words[0] == "serve":
        config = parse_yaml((ROOT / words[1]).read_text(), where=words[1])
        build_as(ServeConfig, config)
        return
    assert run(words) == 0, " ".join(words)


def _python(words: list[str], address: str) -> None:
    if words[0] == "-m":
        assert (ROOT / words[1].replace(".", "/")).with_suffix(".py").is_file(), words[1]
        return
    with patch.object(sys, "argv", words):  # in this process, which has imported torch
        runpy.run_path(str(ROOT / words[0]), run_name="__main__")


def _make(words: list[str], address: str) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert set(words) <= set(targets)


def _pip(words: list[str], address: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    match = re.fullmatch(r"(?:snellen|\.)\[([\w,]+)\]", words[-1])
    assert match, words[-1]
    assert set(match[1].split(",")) <= set(extras["optional-dependencies"])


def _copy(words: list[str], address: str) -> None:
    source, target = words
    Path(target).write_bytes((ROOT / source).read_bytes())


def _curl(words: list[str], address: str) -> None:
    fields = dict(value.split("=", 1) for option, value in pairwise(words) if option == "-F")
    files = {key: value[1:] for key, value in fields.items() if value.startswith("@")}
    (url,) = (word for word in words if word.startswith("http"))
    response = httpx.request(
        "POST" if fields else "GET",
        url.replace(ADDRESS, address),
        data={key: value for key, value in fields.items() if key not in files},
        files={key: Path(path).read_bytes() for key, path in files.items()} or None,
        timeout=30,
    )
    assert response.status_code == 200, response.text


def _ray(words: list[str], address: str) -> None:
    ray_cli.commands[words[0]].make_context(words[0], words[1:])  # raises if an option is unknown


def _kubectl(words: list[str], address: str) -> None:
    assert (ROOT / words[-1]).is_file(), words[-1]


_COMMANDS: dict[str, Callable[[list[str], str], None]] = {
    "snellen": _snellen,
    "python": _python,
    "make": _make,
    "pip": _pip,
    "cp": _copy,
    "curl": _curl,
    "ray": _ray,
    "kubectl": _kubectl,
}
