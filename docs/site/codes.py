"""Error codes: found in the sources, where each is raised with its message."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from docs.site.links import ROOT
from snellen.adapters.errors import ErrorCode

PACKAGES = ("adapters", "analysis", "metrics", "pipelines", "serve", "snellen", "store")
EXPLAINED = ("bad-inputs.md", "serve.md", "runs-over-http.md", "cluster.md", "runs.md", "export.md")
"""Pages that say more about a code."""
CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_OUTCOMES = {
    "ConfigError": "exit code 2",
    "InputError": "exit code 2",
    "RunError": "exit code 1",
    "Problem": "HTTP",
    "ServiceError": "client",
}


@dataclass(frozen=True, slots=True)
class Raised:
    """A place where an error is raised.

    Attributes:
        code: the stable code.
        outcome: exit code, or the HTTP status.
        message: the first sentence, with `{name}` or `...` for values.
    """

    code: str
    outcome: str
    message: str


@cache
def raised() -> tuple[Raised, ...]:
    """Return the errors that the sources raise, one per code, in alphabetical order."""
    found: dict[str, Raised] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for error in _errors(path):
                found.setdefault(error.code, error)
    return tuple(found[code] for code in sorted(found))


def codes_page() -> str:
    """Return the page of all error codes."""
    lines = [
        "# Error codes",
        "",
        "*Reference, generated from the sources.* Codes and exit codes are stable, messages are "
        "not. `{name}` stands for a value.",
        "",
        "## Errors",
        "",
        "| code | outcome | message | more |",
        "|---|---|---|---|",
    ]
    pages = {name: (ROOT / "docs" / name).read_text() for name in EXPLAINED}
    for error in raised():
        more = ", ".join(
            f"[{name.removesuffix('.md')}](../{name})"
            for name, text in pages.items()
            if f"`{error.code}`" in text
        )
        lines.append(f"| `{error.code}` | {error.outcome} | {error.message} | {more} |")
    images = ", ".join(f"`{code}`" for code in ErrorCode)
    lines += [
        "",
        "## Failed images",
        "",
        f"Values of `error_code` in a failed row: {images}. "
        "[What each of them stands for](../bad-inputs.md#images)",
    ]
    return "\n".join(lines) + "\n"


def _errors(path: Path) -> Iterator[Raised]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        if name not in _OUTCOMES:
            continue
        for position, argument in enumerate(node.args[:2]):
            code = argument.value if isinstance(argument, ast.Constant) else None
            if isinstance(code, str) and CODE.fullmatch(code):
                yield Raised(code, _outcome(name, node), _sentence(node.args[position + 1 :]))
                break


def _outcome(name: str, node: ast.Call) -> str:
    first = node.args[0]
    if name == "Problem" and isinstance(first, ast.Constant):
        return f"HTTP {first.value!r}"
    return _OUTCOMES[name]


def _sentence(rest: list[ast.expr]) -> str:
    """Return the first sentence of a message, as Markdown text for a table cell."""
    text = _text(rest[0]) if rest else ""
    sentence = re.split(r"(?<=[.:]) (?=[A-Z])", text, maxsplit=1)[0]
    if not re.search(r"[A-Za-z]{3}", sentence):
        return "the cause"
    return re.sub(r"([|<*_`\[\]])", r"\\\1", " ".join(sentence.split()))


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name | ast.Attribute):
        return f"{{{ast.unparse(node.value).rpartition('.')[2]}}}"
    return "..."
