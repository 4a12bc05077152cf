"""``metrics.group``: rejected before anything runs, used by the run, ``compare`` and ``gate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import ConfigError
from snellen.analysis.comparison.compare import CompareSettings, compare_runs
from snellen.analysis.gate.check import check_gate
from snellen.analysis.gate.rules import Rule
from snellen.analysis.operating_points.frozen import FrozenThresholds
from snellen.analysis.operating_points.realised import check_frozen
from snellen.analysis.rescore import rescore_run
from snellen.metrics.comparison.paired_draws import sign_flip_test
from snellen.metrics.statistics.draws import blocks_of
from snellen.metrics.statistics.intervals import wilson
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.runs import list_test_runs
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.pipelines.making import pixel_config, write_image

GROUPED = {"group": "meta_patient"}


class Patients:
    """48 images of eight patients, one image without a patient, in a manifest; and two runs."""

    def __init__(self, folder: Path) -> None:
        lines = ["path,label,patient"]
        for index in range(48):
            patient = index // 6
            # The pixel adapter is most confident of class k at a grey of 126 - 10 k.
            grey = 126 - 10 * (index % 3) + (0 if patient < 5 else 7)
            write_image(folder / "images" / f"{index:03}.png", grey)
            lines.append(f"images/{index:03}.png,{index % 3},{patient if index else ''}")
        self.manifest = folder / "set.csv"
        self.manifest.write_text("\n".join(lines))
        self.output, self.url = folder / "out", f"sqlite:///{folder / 'runs.db'}"
        self.db = Database.open(self.url)

    def config(self, **sections: Any) -> Any:
        return pixel_config(self.manifest, self.output, **sections)

    def run(self, **sections: Any) -> RunView:
        return TestRunner(self.config(**sections), database=self.url).run_test()


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Patients:
    return Patients(tmp_path_factory.mktemp("patients"))


@pytest.fixture(scope="module")
def runs(patients: Patients) -> tuple[RunView, RunView]:
    swapped = {"class_names": ["0", "2", "1"]}
    return patients.run(name="a", metrics=GROUPED), patients.run(
        name="b", metrics=GROUPED, model=swapped
    )


def test_an_unknown_column_is_rejected_with_those_that_there_are(patients: Patients) -> None:
    before = len(list_test_runs(patients.db))
    with pytest.raises(ConfigError, match=r"'meta_patent'.*Expected one of meta_patient") as caught:
        patients.run(metrics={"group": "meta_patent"})
    assert caught.value.code == "GROUP_COLUMN"
    assert all(run.status != "completed" for run in list_test_runs(patients.db)[before:])
    with pytest.raises(ConfigError, match=r"metrics\.group"):
        build_config({"metrics": {"group": "patient"}})


def test_a_run_has_intervals_of_groups(patients: Patients, runs: tuple[RunView, RunView]) -> None:
    grouped = runs[0]
    alone = rescore_run(patients.db, grouped, ["metrics.group=null"], Reporter())
    assert grouped.metrics == alone.metrics
    assert grouped.intervals is not None and alone.intervals is not None
    assert set(alone.intervals) == {"accuracy", "top5_accuracy", "loss"}
    assert set(grouped.intervals) == set(grouped.metrics or {}) - {"coverage"}
    both = (grouped.intervals["accuracy"], alone.intervals["accuracy"])
    widths = [high - low for low, high in both]
    assert widths[0] > widths[1], "the errors belong to three of eight patients"
    again = rescore_run(patients.db, alone, ["metrics.group=meta_patient"], Reporter())
    assert again.intervals == grouped.intervals
    with pytest.raises(ConfigError, match="no such metadata column") as caught:
        rescore_run(patients.db, grouped, ["metrics.group=meta_clip"], Reporter())
    assert caught.value.code == "GROUP_COLUMN"


def test_compare_takes_the_group_that_both_runs_name(
    patients: Patients, runs: tuple[RunView, RunView]
) -> None:
    found = compare_runs(patients.db, runs)
    assert found["group"] == "meta_patient"
    asked = compare_runs(patients.db, runs, CompareSettings(group="meta_patient"))
    assert asked == found
    right = [_correct(patients, run) for run in runs]
    groups = ["image images/000.png", *(str(index // 6) for index in range(1, 48))]
    blocks = blocks_of(groups)
    assert blocks.groups == 9, "the image without a patient is a group of its own"
    assert found["primary"]["p"] == sign_flip_test(blocks.sums(right[1] - right[0]))
    alone = rescore_run(patients.db, runs[0], ["metrics.group=null"], Reporter())
    mixed = compare_runs(patients.db, (alone, runs[1]))
    assert mixed["group"] is None
    assert mixed["primary"]["p"] < found["primary"]["p"]


def test_a_gate_takes_the_intervals_of_groups(
    patients: Patients, runs: tuple[RunView, RunView]
) -> None:
    alone = rescore_run(patients.db, runs[0], ["metrics.group=null"], Reporter())
    rule = Rule.model_validate({"metric": "accuracy", "min": 0.5, "confident": True})
    grouped = check_gate(patients.db, runs[0], [rule]).rules[0].interval
    assert runs[0].intervals is not None
    assert grouped == tuple(runs[0].intervals["accuracy"])
    assert check_gate(patients.db, alone, [rule]).rules[0].interval != grouped
    asked = check_gate(patients.db, alone, [rule], group="meta_patient").rules[0].interval
    assert asked == grouped
    paired = Rule.model_validate({"metric": "accuracy", "max_drop": 0.0})
    outcome = check_gate(patients.db, runs[1], [paired], runs[0]).rules[0]
    primary = compare_runs(patients.db, runs)["primary"]
    assert outcome.interval == tuple(primary["interval"])


def _correct(patients: Patients, run: RunView) -> Any:
    from snellen.analysis.reader import open_results

    frame = open_results(patients.db, run).frame().sort("image_index")
    return frame["is_correct"].to_numpy().astype(float)


def test_a_rejection_threshold_has_the_intervals_of_groups(
    patients: Patients, runs: tuple[RunView, RunView]
) -> None:
    """A threshold that keeps every image has the accuracy, and the interval, of the run."""
    whole = check_frozen(patients.db, runs[0], FrozenThresholds(0.0, rejects=True), None)
    (row,), values, intervals = whole["rows"], runs[0].metrics or {}, runs[0].intervals or {}
    assert (row["accuracy"], row["coverage"]) == (values["accuracy"], 1.0)
    assert row["intervals"]["accuracy"] == pytest.approx(intervals["accuracy"])
    alone = patients.run(name="alone")
    (single,) = check_frozen(patients.db, alone, FrozenThresholds(0.0, rejects=True), None)["rows"]
    assert single["intervals"]["accuracy"] == wilson(row["correct"], 48)
    assert single["intervals"]["coverage"] == wilson(48, 48)
    assert row["intervals"]["coverage"] == wilson(9, 9), "eight patients and one image"
