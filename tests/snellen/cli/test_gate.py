"""``snellen gate`` and ``eval --gate``: exit codes, documents and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.snellen.command_line import Cli

SWAPPED = {"class_names": ["0", "2", "1"]}


@pytest.fixture
def gated(cli: Cli) -> Cli:
    """A command line with a run that is tagged as the baseline."""
    cli.json("eval", cli.config(name="first"))
    cli.json("tag", "first", "baseline")
    return cli


def rules(cli: Cli, *rules: dict[str, Any]) -> str:
    file = cli.place / "gate.yaml"
    file.write_text(yaml.safe_dump({"rules": list(rules)}))
    return str(file)


PASS = {"metric": "accuracy", "min": 0.0}
FAIL = {"metric": "accuracy", "min": 1.01}
DROP = {"metric": "accuracy", "max_drop": 0.0}


@pytest.mark.parametrize(
    ("rule", "words", "code", "verdict"),
    [
        (PASS, (), 0, "pass"),
        (FAIL, (), 3, "fail"),
        (FAIL | {"tier": "advisory"}, (), 0, "pass"),
        (PASS | {"confident": True, "min": 0.5}, (), 4, "inconclusive"),
        (PASS | {"confident": True, "min": 0.5}, ("--allow-inconclusive",), 0, "inconclusive"),
        (DROP, ("--baseline", "baseline"), 4, "inconclusive"),
        (DROP | {"max_drop": 0.5}, ("--baseline", "baseline"), 0, "pass"),
    ],
)
def test_the_exit_code_is_the_verdict(
    gated: Cli, rule: dict[str, Any], words: tuple[str, ...], code: int, verdict: str
) -> None:
    found = gated.json("gate", "latest", "--rules", rules(gated, rule), *words, code=code)
    assert found["verdict"] == verdict
    (outcome,) = found["rules"]
    assert set(outcome) == {
        "rule", "tier", "verdict", "observed", "limit", "interval", "reason",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--baseline", "gone"), "RUN_NOT_FOUND"),
        ((), "GATE_BASELINE"),
        (("--baseline", "baseline", "--baseline-revision", "3"), "GATE_BASELINE_MOVED"),
    ],
)
def test_a_missing_or_moved_baseline_is_never_green(
    gated: Cli, words: tuple[str, ...], code: str
) -> None:
    found = gated.json("gate", "1", "--rules", rules(gated, DROP), *words, code=2)
    assert found["error"]["code"] == code


def test_the_table_and_the_files(gated: Cli) -> None:
    files = ("--junit", "g.xml", "--summary", "s.md", "--comment", "c.md", "--metrics", "m.txt")
    code, out, _ = gated("gate", "1", "--rules", rules(gated, PASS, FAIL), *files)
    assert code == 3
    assert "Gate: fail" in out
    for name in ("g.xml", "s.md", "c.md", "m.txt"):
        assert (gated.place / name).stat().st_size > 0
    assert (gated.place / "m.txt").read_text().endswith("# EOF\n")


def test_eval_evaluates_and_checks(gated: Cli) -> None:
    file = rules(gated, DROP | {"max_drop": 0.5})
    found = gated.json("eval", gated.config(), "--gate", file, "--baseline", "baseline")
    assert (found["verdict"], found["baseline"]["id"], found["run"]["id"]) == ("pass", 1, 2)
    code, out, _ = gated("eval", gated.config(), "--gate", rules(gated, FAIL))
    assert code == 3
    assert "accuracy" in out
    assert "Gate: fail" in out


def test_a_gate_without_its_baseline_starts_no_run(gated: Cli) -> None:
    found = gated.json("eval", gated.config(), "--gate", rules(gated, DROP), code=2)
    assert found["error"]["code"] == "GATE_BASELINE"
    gone = gated.json(
        "eval", gated.config(), "--gate", rules(gated, DROP), "--baseline", "gone", code=2
    )
    assert gone["error"]["code"] == "RUN_NOT_FOUND"
    assert len(gated.json("runs")) == 1


def test_the_workflows_of_the_examples_name_real_options(gated: Cli) -> None:
    root = Path(__file__).parents[3] / "examples" / "ci"
    _, out, _ = gated("gate", "--help", database=False)
    for file in root.glob("*.yml"):
        text = file.read_text()
        assert yaml.safe_load(text)
        for option in ("--baseline", "--rules", "--junit", "--summary"):
            assert option in text, file.name
            assert option in out
