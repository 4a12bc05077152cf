"""The rules of a gate: read strictly, one condition each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from snellen.adapters.errors import ConfigError
from snellen.analysis.gate.rules import Rule, read_rules


def written(folder: Path, *rules: dict[str, Any]) -> Path:
    file = folder / "gate.yaml"
    file.write_text(yaml.safe_dump({"rules": list(rules)}))
    return file


def test_every_form_of_a_rule_is_read(tmp_path: Path) -> None:
    rules = read_rules(
        written(
            tmp_path,
            {"metric": "mAP50-95", "max_drop": 0.01, "tier": "required"},
            {"metric": "AP50-95", "class": "person", "min": 0.5, "confident": True},
            {"metric": "recall", "slice": {"by": "image_size", "value": "small"}, "max_drop": 0.1,
             "relative": True, "tier": "advisory"},
            {"metric": "loss", "max": 0.4},
        )
    )  # fmt: skip
    assert [rule.is_paired for rule in rules] == [True, False, True, False]
    assert (rules[1].class_name, rules[1].confident) == ("person", True)
    assert rules[2].slice is not None
    assert (rules[2].slice.by, rules[2].tier, rules[2].relative) == ("image_size", "advisory", True)
    assert rules[0].tier == "required"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"metric": "accuracy"}, "expected one of min, max and max_drop, got none"),
        ({"metric": "accuracy", "min": 0, "max": 1}, "got min and max"),
        ({"metric": "accuracy", "max_drop": -0.1}, "greater than or equal to 0"),
        ({"metric": "accuracy", "min": 0.5, "relative": True}, "relative belongs to max_drop"),
        ({"metric": "accuracy", "max_drop": 0, "confident": True}, "confident belongs to min"),
        ({"metric": "a", "min": 0, "class": "x", "slice": {"by": "s", "value": "v"}}, "got both"),
        ({"metric": "accuracy", "minimum": 0.5}, "unknown key"),
        ({"min": 0.5}, "this key is missing"),
    ],
)
def test_a_wrong_rule_names_what_is_wrong(
    tmp_path: Path, rule: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_rules(written(tmp_path, rule))


def test_a_file_without_rules_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_rules(written(tmp_path))
    with pytest.raises(ConfigError, match="does not exist"):
        read_rules(tmp_path / "gone.yaml")


def test_a_rule_is_written_as_it_was_read() -> None:
    given = {"metric": "recall", "class": "cat", "min": 0.5}
    rule = Rule.model_validate(given)
    assert rule.model_dump(by_alias=True, exclude_unset=True) == given
