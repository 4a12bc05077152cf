"""Reports of a gate: valid in their formats, bounded, and safe for hostile names."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from junitparser import Failure, JUnitXml, Skipped
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from snellen.analysis.gate.outcome import GateOutcome, GateVerdict, RuleOutcome
from snellen.analysis.gate.reports import (
    COMMENT_BYTES,
    SUMMARY_BYTES,
    junit_xml,
    markdown,
    open_metrics,
    write_reports,
)
from snellen.analysis.gate.rules import Rule
from tests.pipelines.place import Place

HOSTILE = 'a|b <script>`x`\n"\x00'


def outcome_of(verdict: str, tier: str = "required", name: str | None = None) -> RuleOutcome:
    rule = Rule.model_validate({"metric": "recall", "class": "*", "min": 0.5, "tier": tier})
    return RuleOutcome(rule, GateVerdict(verdict), 0.4, 0.5, (0.3, 0.5), "0.4; expected 0.5", name)


def gate_of(*rules: RuleOutcome, name: str = "mine") -> GateOutcome:
    described: dict[str, Any] = {"id": 7, "name": name, "revision": 0}
    return GateOutcome(described, {**described, "id": 3}, rules)


def test_junit_has_a_case_per_rule() -> None:
    gate = gate_of(
        outcome_of("pass"), outcome_of("fail", name="cat"), outcome_of("fail", "advisory"),
        outcome_of("inconclusive"),
    )  # fmt: skip
    (suite,) = JUnitXml.fromstring(junit_xml(gate).decode())
    results = [case.result[0].__class__ if case.result else None for case in suite]
    assert results == [None, Failure, Skipped, Skipped]
    assert [case.name for case in suite][1] == "recall of cat: min 0.5"
    ElementTree.fromstring(junit_xml(gate_of(outcome_of("fail", name=HOSTILE))))


def test_markdown_lists_what_failed_first_and_escapes_names() -> None:
    text = markdown(gate_of(outcome_of("pass"), outcome_of("fail", name=HOSTILE), name="a|b"))
    head, _, _, _, first, second, _ = text.split("\n")
    assert head.startswith("### ❌ fail: run 7 (a\\|b) against run 3")
    assert first.startswith("| recall of a\\|b \\<script\\>\\`x\\` ")
    assert "✅ pass" in second


@pytest.mark.parametrize("limit", [COMMENT_BYTES, SUMMARY_BYTES])
def test_markdown_stays_below_its_limit(limit: int) -> None:
    rules = [outcome_of("fail", name=f"class {number} {'ä' * 60}") for number in range(9000)]
    text = markdown(gate_of(*rules), limit)
    assert len(text.encode()) <= limit
    shown = text.count("| ❌ fail |")
    assert f"... {9000 - shown} more rules" in text


def test_open_metrics_are_parsed_by_prometheus(place: Place) -> None:
    run = place.run()
    assert run.metrics is not None
    text = open_metrics(run, gate_of(outcome_of("pass"), outcome_of("fail", name=HOSTILE)))
    parsed = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    families = {family.name: family for family in parsed}
    values = {
        sample.labels["metric"]: sample.value for sample in families["snellen_metric"].samples
    }
    assert values["accuracy"] == run.metrics["accuracy"]
    assert [sample.value for sample in families["snellen_gate_rule"].samples] == [1, 0]
    assert families["snellen_gate_passed"].samples[0].value == 0


def test_each_rule_on_a_metric_is_a_case_and_a_series_of_its_own(place: Place) -> None:
    conditions: dict[str, dict[str, Any]] = {
        "min 0.5": {"min": 0.5}, "min 0.5, confident": {"min": 0.5, "confident": True},
        "max 1": {"max": 1}, "max_drop 0.01": {"max_drop": 0.01},
        "max_drop 0.1, relative": {"max_drop": 0.1, "relative": True},
    }  # fmt: skip
    given: list[dict[str, Any]] = [*conditions.values(), {"min": 0.5}]  # the first one, again
    rules = [Rule.model_validate({"metric": "accuracy", **one}) for one in given]
    gate = gate_of(*(RuleOutcome(r, GateVerdict.PASS, 0.9, 0.5, None, "") for r in rules))
    (suite,) = JUnitXml.fromstring(junit_xml(gate).decode())
    assert [case.name for case in suite][:5] == [f"accuracy: {one}" for one in conditions]
    text = open_metrics(place.run(), gate)
    families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    (family,) = [one for one in families if one.name == "snellen_gate_rule"]
    assert [sample.labels["condition"] for sample in family.samples] == list(conditions)


def test_only_the_named_reports_are_written(place: Place, tmp_path: Path) -> None:
    files = {"junit": tmp_path / "new" / "gate.xml", "summary": None}
    write_reports(gate_of(outcome_of("pass")), place.run(), files)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["gate.xml"]
