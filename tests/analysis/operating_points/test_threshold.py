"""``snellen threshold``: the list, the choice, the frozen file, and its check on another run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from snellen.adapters.errors import ConfigError, InputError
from snellen.analysis.operating_points.frozen import FrozenThresholds, freeze, read_frozen
from snellen.analysis.operating_points.realised import check_frozen
from snellen.analysis.operating_points.threshold_choice import choose, scan_run
from snellen.analysis.operating_points.threshold_scan import ThresholdScan
from snellen.analysis.reader import open_results
from snellen.analysis.rescore import rescore_run
from snellen.cli.main import run as command
from snellen.metrics.confidence_curve import Rule
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.analysis.conftest import detected
from tests.analysis.detected import Detected
from tests.pipelines.making import grey_folder, pixel_config

__all__ = ["detected"]

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def scan(detected: Detected) -> ThresholdScan:
    return scan_run(detected.db, detected.run)


@pytest.fixture
def cli(detected: Detected, capfd: pytest.CaptureFixture[str]) -> Command:
    def run(*words: str) -> Any:
        capfd.readouterr()
        assert command([*words, "--json", "--database", detected.url]) == 0
        return json.loads(capfd.readouterr().out)

    return run


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.25, 0.4, 0.45, 0.9, 0.95])
def test_the_list_equals_a_rescore(
    detected: Detected, scan: ThresholdScan, threshold: float
) -> None:
    run = detected.at(threshold)
    assert run.metrics is not None and run.per_class_metrics is not None
    keys = ("precision", "recall", "f1")
    row = scan.row(threshold)
    assert {key: row[key] for key in keys} == {key: run.metrics[key] for key in keys}
    for name, values in run.per_class_metrics.items():
        row = scan.row(threshold, name)
        counted = (*keys, "tp", "fp", "fn")
        assert {key: row[key] for key in counted} == {key: values[key] for key in counted}


# cats: three correct and one wrong at 0.9. dogs: two of three objects and two wrong at 0.4, then
# one more object and three more wrong at 0.1
@pytest.mark.parametrize(
    ("rule", "everything", "cat", "dog"),
    [
        (Rule("f1"), 0.4, 0.9, 0.1),  # dogs: 2 * 2 / (4 + 3) = 0.571, 2 * 3 / (8 + 3) = 0.545
        (Rule("precision", 0.5), 0.1, 0.9, 0.4),
        (Rule("precision", 0.75), 0.9, 0.9, None),
        (Rule("recall", 0.8), 0.4, 0.9, 0.1),
        (Rule("recall", 1.0), 0.1, 0.9, 0.1),
    ],
)
def test_rules_choose(
    scan: ThresholdScan, rule: Rule, everything: float, cat: float, dog: float | None
) -> None:
    choice = choose(scan, rule, per_class=True)
    expected_dog = 0.4 if rule == Rule("f1") else dog
    assert (choice.default, dict(choice.classes)) == (everything, {"cat": cat, "dog": expected_dog})


def test_a_choice_is_the_best_of_all_by_brute_force(scan: ThresholdScan) -> None:
    every = np.unique(scan.whole.confidence).tolist()
    rows = [scan.row(threshold) for threshold in every]
    for least in (0.3, 0.5, 0.6, 0.7):
        meets = [row for row in rows if row["precision"] >= least]
        chosen = choose(scan, Rule("precision", least)).default
        best = max(meets, key=lambda row: (row["recall"], row["confidence"]))
        assert chosen == pytest.approx(best["confidence"])


def test_a_frozen_file_is_a_fragment_of_a_configuration(
    detected: Detected, scan: ThresholdScan, cli: Command, tmp_path: Path
) -> None:
    file = tmp_path / "limits.yaml"
    words = ["--precision", "0.5", "--per-class", "--freeze", str(file)]
    document = cli("threshold", str(detected.run.id), *words)
    assert document["chosen"]["classes"]["dog"]["confidence"] == 0.4
    written = yaml.safe_load(file.read_text())
    assert written["metrics"] == {"operating_confidence": {"default": 0.1, "cat": 0.9, "dog": 0.4}}
    assert written["chosen_on"]["run"] == detected.run.id
    rescored = cli("rescore", str(detected.run.id), "--thresholds", str(file))
    dog = rescored["per_class_metrics"]["dog"]
    assert [dog[key] for key in ("tp", "fp", "fn")] == [
        scan.row(0.4, "dog")[key] for key in ("tp", "fp", "fn")
    ]
    again = ["threshold", str(detected.run.id), "--best", "f1", "--freeze", str(file)]
    assert command([*again, "--database", detected.url]) == 2  # the file exists


def test_eval_takes_a_frozen_file(
    detected: Detected, scan: ThresholdScan, cli: Command, tmp_path: Path
) -> None:
    file = tmp_path / "limits.yaml"
    freeze(file, detected.run, detected.run, scan, choose(scan, Rule("f1")))
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump(detected.config.model_dump(mode="json")))
    found = cli("eval", str(config), "--thresholds", str(file), "name=frozen")
    assert found["config"]["metrics"]["operating_confidence"] == 0.4


def test_check_reports_values_with_intervals_and_a_verdict(
    detected: Detected, scan: ThresholdScan, cli: Command, tmp_path: Path
) -> None:
    file = tmp_path / "limits.yaml"
    freeze(file, detected.run, detected.run, scan, choose(scan, Rule("f1")))
    data = detected.config.model_dump()
    data["metrics"]["bootstrap"] = 50
    other = TestRunner(build_config(data), database=detected.url).run_test()
    document = cli("threshold", str(other.id), "--check", str(file), "--target", "recall=0.1")
    assert document["target"] == {"metric": "recall", "value": 0.1}
    whole = document["rows"][0]
    assert [whole[key] for key in ("tp", "fp", "fn")] == [5, 3, 1]
    low, high = whole["intervals"]["recall"]
    assert low <= whole["recall"] == 5 / 6 <= high
    assert {row["class"]: row["verdict"] for row in document["rows"]}["cat"] == "met"
    assert len(document["rows"]) == 3


def test_the_same_images_are_a_warning(
    detected: Detected, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "limits.yaml"
    run, url = str(detected.run.id), ["--database", detected.url]
    assert command(["threshold", run, "--best", "f1", "--freeze", str(file), *url]) == 0
    assert "--thresholds" in capfd.readouterr().err
    rescored = str(detected.at(0.5).id)
    for one in (run, rescored):
        assert command(["threshold", one, "--check", str(file), *url]) == 0
        assert "chosen on these images" in capfd.readouterr().err.replace("\n", " ")


def test_a_rule_that_no_threshold_meets_is_not_frozen(
    detected: Detected, scan: ThresholdScan, tmp_path: Path
) -> None:
    choice = choose(scan, Rule("precision", 0.75), per_class=True)
    with pytest.raises(InputError, match=r"no threshold meets precision >= 0.75 for dog\. Exp"):
        freeze(tmp_path / "limits.yaml", detected.run, detected.run, scan, choice)
    assert not (tmp_path / "limits.yaml").exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("metrics: {ece_bins: 15}", "THRESHOLDS_FILE"),
        ("metrics: {operating_confidence: {cat: 2}}", "CONFIG_INVALID"),
        ("- 1", "THRESHOLDS_FILE"),
    ],
)
def test_a_file_without_thresholds_is_rejected(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "limits.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_frozen(tmp_path / "limits.yaml")
    assert caught.value.code == code


def test_thresholds_of_other_classes_do_not_fit(detected: Detected) -> None:
    frozen = FrozenThresholds({"default": 0.3, "horse": 0.5})
    with pytest.raises(ConfigError, match="horse: the run has no such class"):
        check_frozen(detected.db, detected.run, frozen, None)


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, RunView]:
    folder = tmp_path_factory.mktemp("classified")
    url = f"sqlite:///{folder / 'runs.db'}"
    config = pixel_config(grey_folder(folder / "data"), folder / "out")
    run = TestRunner(config, database=url).run_test()
    return Database.open(url), run


def test_a_classifier_rejects_images(classified: tuple[Database, RunView], tmp_path: Path) -> None:
    db, run = classified
    scan = scan_run(db, run)
    rows = open_results(db, run).frame(["confidence", "is_correct"]).rows()
    for threshold in (0.0, *(confidence for confidence, _ in rows), 1.0):
        kept = [correct for confidence, correct in rows if confidence >= np.float32(threshold)]
        row = scan.row(threshold)
        assert (row["kept"], row["correct"]) == (len(kept), sum(kept))
        assert row["coverage"] == len(kept) / len(rows)
        assert row["accuracy"] == (sum(kept) / len(kept) if kept else None)
    choice = choose(scan, Rule("coverage", 0.5))
    file = tmp_path / "limits.yaml"
    freeze(file, run, run, scan, choice)
    frozen = read_frozen(file)
    document = check_frozen(db, run, frozen, Rule("accuracy", 0.9))
    (found,) = document["rows"]
    assert found["coverage"] >= 0.5 and document["same_images"]
    assert found["intervals"]["coverage"][0] < found["coverage"] <= 1
    with pytest.raises(ConfigError, match="rejection threshold of a classifier"):
        frozen.applied()


@pytest.mark.parametrize("rule", [Rule("f1"), Rule("precision", 0.9)])
def test_rules_of_detectors_do_not_apply_to_classifiers(
    classified: tuple[Database, RunView], rule: Rule
) -> None:
    with pytest.raises(ConfigError, match=r"Expected --accuracy VALUE or --coverage VALUE"):
        choose(scan_run(*classified), rule)
    with pytest.raises(ConfigError, match="--per-class does not apply"):
        choose(scan_run(*classified), Rule("accuracy", 0.9), per_class=True)


def test_only_some_classes(detected: Detected) -> None:
    run = rescore_run(detected.db, detected.run, ["metrics.classes=[dog]"], Reporter())
    scan = scan_run(detected.db, run)
    assert list(scan.classes) == ["dog"]
    assert scan.row(0.25)["tp"] == scan.row(0.25, "dog")["tp"] == 2
