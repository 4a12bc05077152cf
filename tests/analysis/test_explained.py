"""Explanations of stored runs: of their own checkpoint, for their predicted classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.timm.adapter import TimmAdapter
from snellen.adapters.types import AdapterSpec
from snellen.analysis.explained import ExplainedImages
from snellen.analysis.reader import open_results
from snellen.cli.main import run as command
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.adapters.making import picture, save_timm
from tests.analysis.detected import Detected


class Place:
    """A run of a timm classifier on two images, one of them unreadable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        save_timm(folder / "model.pth", num_classes=2)
        for name in ("a", "b"):
            (folder / "data" / name).mkdir(parents=True)
        picture(200, 140).save(folder / "data" / "a" / "0.png")
        (folder / "data" / "b" / "broken.png").write_bytes(b"no image")
        self.url = f"sqlite:///{folder / 'runs.db'}"
        config: dict[str, Any] = {
            "name": "mine",
            "model": {
                "adapter": "timm",
                "checkpoint": str(folder / "model.pth"),
                "class_names": ["a", "b"],
            },
            "dataset": {"path": str(folder / "data")},
            "run": {"engine": "inline", "device": "cpu"},
            "output": {"dir": str(folder / "out")},
        }
        self.run: RunView = TestRunner(build_config(config), database=self.url).run_test()
        self.db = Database.open(self.url)

    @property
    def rows(self) -> list[dict[str, Any]]:
        results = open_results(self.db, self.run)
        return results.page(results.lazy()).rows


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("explained"))


def test_the_predicted_class_is_explained(place: Place) -> None:
    explained = ExplainedImages(place.db, place.run, "gradcam")
    row, failed = place.rows
    found = explained.explain(row)
    assert found.class_id == row["predicted_label_id"]
    spec = AdapterSpec("timm", str(place.folder / "model.pth"), class_names=("a", "b"))
    adapter = TimmAdapter.from_spec(spec, device="cpu")
    expected = adapter.explain(explained.images.decode(row), row["predicted_label_id"])
    np.testing.assert_array_equal(found.heat, expected.heat)
    assert found.region == expected.region
    plain = explained.images.draw(row)
    drawn = explained.draw(row)
    assert drawn is not None
    assert drawn.shape == plain.shape
    assert (drawn != plain).any()
    assert explained.draw(failed) is None


def test_another_checkpoint_is_rejected(tmp_path: Path) -> None:
    changed = Place(tmp_path)
    save_timm(tmp_path / "model.pth", num_classes=2, seed=7)
    with pytest.raises(InputError, match="another sha256") as caught:
        ExplainedImages(changed.db, changed.run, "gradcam")
    assert caught.value.code == "EXPLAIN_CHANGED"


def test_a_detector_is_not_explained(detected: Detected) -> None:
    with pytest.raises(ConfigError, match=r"cannot be explained\. Expected a classifier") as caught:
        ExplainedImages(detected.db, detected.run, "gradcam")
    assert caught.value.code == "EXPLAIN_UNSUPPORTED"


def test_the_commands_draw_explanations(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["draw", "mine", "--explain", "gradcam", "--database", place.url]
    assert command([*words, "-o", str(tmp_path / "drawn"), "--status", "ok"]) == 0
    assert len(list((tmp_path / "drawn").iterdir())) == 1
    image = str(place.folder / "data" / "a" / "0.png")
    options = ["--adapter", "timm", "--checkpoint", str(place.folder / "model.pth")]
    words = ["predict", image, *options, "--explain", "gradcam", "--database", place.url]
    overrides = ["run.engine=inline", f"output.dir={tmp_path / 'jobs'}"]
    assert command([*words, *overrides]) == 0
    assert "Explanations:" in capfd.readouterr().err
    (drawn,) = (tmp_path / "jobs").glob("*/explanations/*.jpg")
    assert drawn.name == "000000-0.jpg"


def test_a_model_that_cannot_be_explained_starts_no_job(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fixture = Path(__file__).parents[1] / "fixtures" / "tiny-detect.pt"
    image = str(place.folder / "data" / "a" / "0.png")
    url = f"sqlite:///{tmp_path / 'new.db'}"
    words = ["predict", image, "--checkpoint", str(fixture), "--explain", "gradcam"]
    code = command([*words, "--database", url, f"output.dir={tmp_path / 'jobs'}"])
    assert code == 2
    assert "EXPLAIN_UNSUPPORTED" in capfd.readouterr().err
    assert not (tmp_path / "jobs").exists()
