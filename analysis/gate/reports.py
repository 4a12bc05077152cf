"""Reports of a gate for other tools: JUnit XML, Markdown, OpenMetrics."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from snellen.analysis.gate.outcome import GateOutcome, GateVerdict
from snellen.store.atomic_file import write_atomically
from snellen.store.views import RunView

SUMMARY_BYTES = 1024 * 1024
"""Maximum size of a step summary of GitHub Actions."""
COMMENT_BYTES = 65_000
"""Maximum size of a comment on a pull request, which has 65,536 characters."""
_MARKS = {
    GateVerdict.PASS: "✅ pass",
    GateVerdict.FAIL: "❌ fail",
    GateVerdict.INCONCLUSIVE: "⚠️ inconclusive",
}
_MORE = "\n\n... {} more rules; see the JSON document of `snellen gate --json`.\n"


def junit_xml(outcome: GateOutcome) -> bytes:
    """Return JUnit XML: one case per rule; inconclusive and advisory ones are skipped cases."""
    from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

    suite = TestSuite(f"snellen gate of run {outcome.run['id']}")
    for rule in outcome.rules:
        name = _clean(f"{rule.name}: {rule.rule.condition}")
        case = TestCase(name, classname=f"snellen.gate.{rule.rule.tier}")
        text = _clean(rule.reason)
        if rule.verdict is GateVerdict.FAIL and rule.rule.tier == "required":
            case.result = [Failure(text, "GateFailure")]
        elif rule.verdict is not GateVerdict.PASS:
            case.result = [Skipped(f"{rule.verdict}: {text}")]
        suite.add_testcase(case)
    document = JUnitXml()
    document.add_testsuite(suite)
    return bytes(document.tostring())  # type: ignore[no-untyped-call]


def markdown(outcome: GateOutcome, limit: int = SUMMARY_BYTES) -> str:
    """Return the outcome as Markdown of at most ``limit`` bytes, failed rules first."""
    order = [GateVerdict.FAIL, GateVerdict.INCONCLUSIVE, GateVerdict.PASS]
    rules = sorted(outcome.rules, key=lambda rule: order.index(rule.verdict))
    against = ""
    if outcome.baseline is not None:
        against = f" against run {outcome.baseline['id']} ({_cell(outcome.baseline['name'])})"
    head = (
        f"### {_MARKS[outcome.verdict]}: run {outcome.run['id']} "
        f"({_cell(outcome.run['name'])}){against}\n\n"
        "| rule | verdict | tier | observed |\n|---|---|---|---|\n"
    )
    size = len(head.encode()) + len(_MORE) + 20
    lines: list[str] = []
    for number, rule in enumerate(rules):
        line = (
            f"| {_cell(rule.name)} | {_MARKS[rule.verdict]} | {rule.rule.tier} | "
            f"{_cell(rule.reason)} |\n"
        )
        size += len(line.encode())
        if size > limit:
            return head + "".join(lines) + _MORE.format(len(rules) - number)
        lines.append(line)
    return head + "".join(lines)


def open_metrics(run: RunView, outcome: GateOutcome) -> str:
    """Return the metrics of the run and the verdicts of the rules in the OpenMetrics format."""
    lines = ["# TYPE snellen_metric gauge"]
    for key, value in (run.metrics or {}).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            lines.append(f'snellen_metric{{run="{run.id}",metric="{_label(key)}"}} {value!r}')
    lines.append("# TYPE snellen_gate_rule gauge")
    # A series may be written once: a rule that is there twice has one outcome.
    lines += dict.fromkeys(
        f'snellen_gate_rule{{run="{run.id}",rule="{_label(rule.name)}",'
        f'condition="{rule.rule.condition}",tier="{rule.rule.tier}",'
        f'verdict="{rule.verdict}"}} {int(rule.verdict is GateVerdict.PASS)}'
        for rule in outcome.rules
    )
    lines.append("# TYPE snellen_gate_passed gauge")
    lines.append(
        f'snellen_gate_passed{{run="{run.id}"}} {int(outcome.verdict is GateVerdict.PASS)}'
    )
    return "\n".join([*lines, "# EOF", ""])


def write_reports(outcome: GateOutcome, run: RunView, files: Mapping[str, Path | None]) -> None:
    """Write the reports that are asked for; an existing file is replaced.

    Args:
        outcome: of the gate.
        run: the checked run.
        files: ``junit``, ``summary``, ``comment`` and ``metrics`` -> file, or None.

    Raises:
        RunError: a file cannot be written.
    """
    contents: dict[str, Callable[[], bytes]] = {
        "junit": lambda: junit_xml(outcome),
        "summary": lambda: markdown(outcome).encode(),
        "comment": lambda: markdown(outcome, COMMENT_BYTES).encode(),
        "metrics": lambda: open_metrics(run, outcome).encode(),
    }
    for name, file in files.items():
        if file is not None:
            write_atomically(file, contents[name]())


def _cell(text: Any) -> str:
    """Return text that stays inside of one cell of a Markdown table, without its own markup."""
    plain = re.sub(r"[\r\n]+", " ", str(text or ""))
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", plain)


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _clean(text: str) -> str:
    """Drop the characters that XML 1.0 does not have."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)
