"""A gate on real runs: values, intervals, differences, classes and slices."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.analysis.comparison.compare import compare_runs
from snellen.analysis.gate.check import check_gate
from snellen.analysis.gate.outcome import GateOutcome
from snellen.analysis.gate.rules import Rule
from snellen.store.views import RunView
from tests.pipelines.making import write_image
from tests.pipelines.place import Place


@pytest.fixture
def runs(place: Place) -> tuple[RunView, RunView]:
    """A classifier with many images, and a worse one whose class names are swapped."""
    for name in ("0", "1", "2"):
        for number in range(20):
            # The pixel adapter is most confident of class k at a grey of 126 - 10 k.
            grey = 126 - 10 * int(name) + number % 5 - 2
            write_image(place.data / name / f"more-{number:02}.png", grey)
    good = place.run(name="good")
    return good, place.run(name="bad", model={"class_names": ["0", "2", "1"]})


def gated(
    place: Place, run: RunView, *rules: dict[str, Any], baseline: RunView | None = None
) -> GateOutcome:
    return check_gate(place.db, run, [Rule.model_validate(rule) for rule in rules], baseline)


def verdicts(outcome: GateOutcome) -> list[str]:
    return [str(rule.verdict) for rule in outcome.rules]


def test_a_value_meets_its_limit_or_not(place: Place, runs: tuple[RunView, RunView]) -> None:
    assert runs[0].metrics is not None
    value = runs[0].metrics["accuracy"]
    outcome = gated(
        place, runs[0],
        {"metric": "accuracy", "min": value},
        {"metric": "accuracy", "min": value + 0.001},
        {"metric": "accuracy", "max": value - 0.001, "tier": "advisory"},
    )  # fmt: skip
    assert verdicts(outcome) == ["pass", "fail", "fail"]
    assert outcome.verdict == "fail"
    assert outcome.exit_code() == 3
    assert outcome.rules[0].observed == value
    assert gated(place, runs[0], {"metric": "accuracy", "min": 0}).exit_code() == 0


def test_with_confidence_the_whole_interval_counts(
    place: Place, runs: tuple[RunView, RunView]
) -> None:
    assert runs[0].metrics is not None
    assert runs[0].intervals is not None
    value, (low, high) = runs[0].metrics["accuracy"], runs[0].intervals["accuracy"]
    outcome = gated(
        place, runs[0],
        {"metric": "accuracy", "min": low, "confident": True},
        {"metric": "accuracy", "min": value, "confident": True},
        {"metric": "accuracy", "min": high + 0.001, "confident": True},
        {"metric": "macro_f1", "min": 0.0, "confident": True, "tier": "advisory"},
    )  # fmt: skip
    assert verdicts(outcome)[:3] == ["pass", "inconclusive", "fail"]
    only = gated(place, runs[0], {"metric": "accuracy", "min": value, "confident": True})
    assert (only.exit_code(), only.exit_code(allow_inconclusive=True)) == (4, 0)


def test_a_drop_is_that_of_the_comparison(place: Place, runs: tuple[RunView, RunView]) -> None:
    good, bad = runs
    drop = compare_runs(place.db, runs)["primary"]
    assert drop["verdict"] == "worse"
    outcome = gated(place, bad, {"metric": "accuracy", "max_drop": 0.0}, baseline=good)
    (rule,) = outcome.rules
    assert (str(rule.verdict), rule.observed) == ("fail", drop["difference"])
    assert list(rule.interval or ()) == drop["interval"]
    generous = abs(drop["interval"][0]) + 0.01
    relative = {"metric": "accuracy", "max_drop": generous / drop["a"], "relative": True}
    assert verdicts(
        gated(place, bad, {"metric": "accuracy", "max_drop": generous}, relative, baseline=good)
    ) == ["pass", "pass"]
    assert (
        gated(place, good, {"metric": "accuracy", "max_drop": 0.0}, baseline=bad).exit_code() == 0
    )


def test_a_rise_of_the_loss_fails(place: Place, runs: tuple[RunView, RunView]) -> None:
    good, bad = runs
    rule = {"metric": "loss", "max_drop": 0.0}
    assert verdicts(gated(place, bad, rule, baseline=good)) == ["fail"]
    assert verdicts(gated(place, good, rule, baseline=bad)) == ["pass"]


def test_every_class_has_its_outcome(place: Place, runs: tuple[RunView, RunView]) -> None:
    good, bad = runs
    outcome = gated(
        place, bad,
        {"metric": "recall", "class": "*", "max_drop": 0.2},
        {"metric": "recall", "class": "*", "min": 0.5},
        {"metric": "recall", "class": "0", "min": 0.5},
        baseline=good,
    )  # fmt: skip
    by_class = {"recall of 0": "pass", "recall of 1": "fail", "recall of 2": "fail"}
    for rules in (outcome.rules[:3], outcome.rules[3:6]):
        assert {rule.name: str(rule.verdict) for rule in rules} == by_class
        assert {rule.to_json()["rule"]["class"] for rule in rules} == {"0", "1", "2"}
    assert (outcome.rules[6].name, str(outcome.rules[6].verdict)) == ("recall of 0", "pass")


@pytest.mark.parametrize("condition", [{"min": 0.5}, {"max_drop": 0.2}])
def test_a_class_without_ground_truth_has_no_outcome(
    place: Place, runs: tuple[RunView, RunView], condition: dict[str, float]
) -> None:
    shutil.rmtree(place.data / "1")
    model = {"class_map": "subset"}
    run = place.run(name="two", model=model, dataset={"path": str(place.data)})
    rule = {"metric": "recall", "class": "*", **condition}
    found = gated(place, run, rule, baseline=run if "max_drop" in condition else None)
    assert [one.class_name for one in found.rules] == ["0", "2"]
    assert verdicts(found) == ["pass", "pass"]


def test_slices_have_their_own_numbers(place: Place, runs: tuple[RunView, RunView]) -> None:
    small = {"by": "image_size", "value": "small"}
    outcome = gated(
        place, runs[1],
        {"metric": "accuracy", "slice": small, "min": 0.99},
        {"metric": "accuracy", "slice": small, "max_drop": 0.0},
        baseline=runs[0],
    )  # fmt: skip
    assert verdicts(outcome) == ["fail", "fail"]
    assert outcome.rules[0].name == "accuracy where image_size is small"
    with pytest.raises(ConfigError, match="no slice 'huge' of image_size"):
        gated(place, runs[0], {"metric": "accuracy", "min": 0, "slice": small | {"value": "huge"}})


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"metric": "acuracy", "min": 0}, "GATE_METRIC"),
        ({"metric": "recall", "class": "9", "min": 0}, "GATE_CLASS"),
        ({"metric": "mAP50", "class": "0", "min": 0}, "GATE_METRIC"),
        ({"metric": "accuracy", "max_drop": 0}, "GATE_BASELINE"),
    ],
)
def test_a_rule_that_does_not_fit_the_run_is_an_error(
    place: Place, runs: tuple[RunView, RunView], rule: dict[str, Any], code: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        gated(place, runs[0], rule)
    assert caught.value.code == code


def test_a_baseline_of_another_dataset_is_never_green(place: Place) -> None:
    before = place.run(name="before")
    write_image(place.data / "0" / "new.png", 60)
    after = place.run(name="after")
    with pytest.raises(InputError, match="1 only in b; A is the baseline") as caught:
        gated(place, after, {"metric": "accuracy", "max_drop": 1.0}, baseline=before)
    assert caught.value.code == "GATE_DATASET_CHANGED"
