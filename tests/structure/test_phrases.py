"""Users read plain English: phrases of ``phrases.txt`` occur nowhere in what they see."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from snellen.cli.app import app
from snellen.cli.main import run
from tests.structure.test_sizes import ROOT, relative

LIST = Path(__file__).with_name("phrases.txt")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "configs/*.yaml")
SCHEMAS = ("eval", "predict", "serve")


@cache
def pattern() -> re.Pattern[str]:
    """One expression of all phrases; white space between words may be a line break."""
    lines = (line.strip() for line in LIST.read_text().splitlines())
    phrases = [line for line in lines if line and not line.startswith("#")]
    words = (r"\s+".join(re.escape(word) for word in phrase.split()) for phrase in phrases)
    return re.compile(rf"(?<!\w)({'|'.join(words)})(?!\w)", re.IGNORECASE)


def found(text: str, place: str) -> list[str]:
    """Return ``place:line: phrase`` for each phrase in the text."""
    return [
        f"{place}:{text.count(chr(10), 0, match.start()) + 1}: {' '.join(match[0].split())}"
        for match in pattern().finditer(text)
    ]


def report(hits: list[str]) -> str:
    return "\n".join(["phrases of tests/structure/phrases.txt:", *hits])


def commands() -> Iterator[tuple[str, Any]]:
    group: Any = typer.main.get_command(app)
    yield "snellen", group
    for name, command in group.commands.items():
        yield f"snellen {name}", command


def help_texts(command: Any) -> Iterator[str]:
    """The texts of a command and of its parameters, before they are wrapped."""
    yield from filter(None, (command.help, command.epilog))
    for parameter in command.params:
        default = getattr(parameter, "show_default", None)
        yield from (text for text in (getattr(parameter, "help", None), default) if text)


def descriptions(schema: Any) -> Iterator[str]:
    """All descriptions in a JSON Schema."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "description" and isinstance(value, str):
                yield value
            else:
                yield from descriptions(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from descriptions(item)


def test_pages_and_configurations() -> None:
    pages = sorted({page for glob in PAGES for page in ROOT.glob(glob)})
    assert len(pages) > 25
    hits = [hit for page in pages for hit in found(page.read_text(), relative(page))]
    assert not hits, report(hits)


def test_the_help_of_every_command() -> None:
    listed = list(commands())
    assert len(listed) > 20
    hits = []
    for name, command in listed:
        for text in help_texts(command):
            if isinstance(text, str):
                hits += found(text, f"{name} --help")
    assert not hits, report(hits)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_descriptions_of_configuration_keys(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["schema", name]) == 0
    texts = list(descriptions(json.loads(capsys.readouterr().out)))
    assert texts
    hits = [hit for text in texts for hit in found(text, f"snellen schema {name}")]
    assert not hits, report(hits)


def test_the_help_of_every_command_is_a_verb_phrase_with_an_example() -> None:
    """The first line is under 70 characters; an example follows."""
    for name, command in commands():
        if name == "snellen":
            continue
        summary, *rest = command.help.split("\n")
        assert len(summary) < 70, name
        assert re.match(r"[A-Z][a-z]+,? ", summary), name
        assert f"snellen {command.name}" in " ".join(rest), name


def test_the_help_of_an_option_names_its_value_or_effect() -> None:
    """Not a fragment that continues the name of the option ("Of the job: best or last")."""
    fragment = re.compile(r"(What|Which|Where|Whether|Of|For|Else|And|So|At|With|Such)\b")
    hits = [
        f"{name} {parameter.name}: {parameter.help}"
        for name, command in commands()
        for parameter in command.params
        if fragment.match(getattr(parameter, "help", None) or "")
    ]
    assert hits == []


def test_a_phrase_is_found_across_lines_and_case() -> None:
    text = "Write one\nRow  an image here.\nA rowan image and data settings are fine."
    assert found(text, "page") == ["page:2: Row an image"]
