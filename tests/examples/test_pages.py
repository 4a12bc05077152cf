"""The Python examples of the pages run as they are written."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
import yaml
from tritonclient.http import InferenceServerClient

import snellen
import snellen.client
from examples.shapes.make_dataset import make
from snellen.cli.main import run as command
from snellen.pipelines.models.training_jobs import register_file
from snellen.serve.api.open_inference.bodies import INPUT, InferParameters
from snellen.serve.api.open_inference.tasks import TASKS
from snellen.store.sql.database import Database
from tests.pipelines.making import write_image
from tests.pipelines.pixel_adapter import NAME

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
pytestmark = pytest.mark.slow

PAGES = (
    "docs/results.md",
    "docs/runs.md",
    "docs/predict.md",
    "docs/export-results.md",
    "docs/serve.md",
    "docs/runs-over-http.md",
)


def examples(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


class Checked:
    """A client that sends nothing and binds every call to the signature of the real one."""

    def __init__(self, *given: Any, **named: Any) -> None:
        inspect.signature(snellen.Client).bind(*given, **named)

    def __enter__(self) -> Checked:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def evaluate(self, *given: Any, **named: Any) -> Any:
        inspect.signature(snellen.Client.evaluate).bind(self, *given, **named)
        assert named.keys() <= {"job", *snellen.client.SubmitOptions.__annotations__}
        return create_autospec(snellen.client.RemoteRun, instance=True)

    def compare(self, *given: Any, **named: Any) -> Any:
        inspect.signature(snellen.Client.compare).bind(self, *given, **named)
        return {"verdict": "equivalent"}

    def infer(self, *given: Any, **named: Any) -> Any:
        inspect.signature(snellen.Client.infer).bind(self, *given, **named)
        known = {*snellen.Prediction.model_fields, *vars(snellen.Prediction)}

        class Answer:
            def __getattr__(self, name: str) -> None:
                assert name in known, f"a prediction has no {name}"

        return Answer()


class CheckedTriton:
    """A client of the Open Inference Protocol that sends nothing and checks every call."""

    def __init__(self, *given: Any, **named: Any) -> None:
        inspect.signature(InferenceServerClient).bind(*given, **named)

    def infer(self, *given: Any, **named: Any) -> Any:
        inspect.signature(InferenceServerClient.infer).bind(self, *given, **named)
        assert named["parameters"].keys() <= InferParameters.model_fields.keys()
        (tensor,) = given[1]
        assert (tensor.name(), tensor.datatype(), tensor.shape()) == (INPUT, "BYTES", [1])
        outputs = {output.name for task in TASKS.values() for output in task}

        class Answer:
            def as_numpy(self, name: str) -> None:
                assert name in outputs, f"no task has the output {name}"

        return Answer()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files and the jobs that the examples name; the current one meanwhile."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("SNELLEN_DATABASE", raising=False)
        _fill(folder)
        yield folder


def _fill(tmp_path: Path) -> None:
    for number in range(6):
        write_image(tmp_path / "data" / "49"[number % 2] / f"{number}.png", 40 * number)
    for name in ("photos/1.png", "photos/2.png", "a.jpg", "b.jpg", "four.png", "cat.jpg"):
        write_image(tmp_path / name, 90, size=(64, 48))
    (tmp_path / "best.pt").write_bytes((FIXTURES / "tiny-detect.pt").read_bytes())
    config = {
        "model": {"adapter": NAME, "class_names": ["4", "9"], "options": {"num_classes": 2}},
        "dataset": {"path": "data"},
        "run": {"engine": "inline"},
    }
    (tmp_path / "configs").mkdir()
    for name in ("configs/digits.yaml", "mine.yaml"):
        (tmp_path / name).write_text(yaml.safe_dump(config))
    (tmp_path / "predict.yaml").write_text(
        yaml.safe_dump({"model": {"checkpoint": "best.pt"}, "dataset": {"path": "photos"}})
    )
    db = Database.open()
    for name, file in (("digits", "tiny-classify"), ("shapes", "tiny-detect")):
        register_file(db, FIXTURES / f"{file}.pt", name=name)
    db.close()
    make(tmp_path / "shapes", counts={"test": 2, "val": 1}, seed=5)
    run = snellen.evaluate(checkpoint="best.pt", dataset="shapes/detect/data.yaml")
    assert command(["export", str(run.id), "--format", "coco", "-o", "out"]) == 0
    snellen.evaluate("mine.yaml")


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = examples(page)
    assert blocks
    real = snellen.Client
    monkeypatch.setattr(snellen, "Client", Checked, raising=False)
    monkeypatch.setattr("tritonclient.http.InferenceServerClient", CheckedTriton)
    Checked.infer.__doc__ = real.infer.__doc__
    for block in blocks:
        exec(compile(block, page, "exec"), {})


def test_every_page_with_an_example_is_listed() -> None:
    pages = [path for path in (ROOT / "docs").glob("*.md") if "```python" in path.read_text()]
    contracts = {"docs/extending.md"}  # its recipes are tested by tests/contracts/test_recipes.py
    found = {str(path.relative_to(ROOT)) for path in pages} - contracts
    assert found <= set(PAGES)
