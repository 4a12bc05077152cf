"""``snellen export-model`` and ``snellen parity``: documents, tables, exit codes, errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.shapes.make_dataset import make
from snellen.cli.main import run as command
from tests.adapters.exported.making import FIXTURES

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = command([*map(str, words), "--database", f"sqlite:///{tmp_path / 'runs.db'}"])
        return (code, *capfd.readouterr())

    return run


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shapes")
    make(root, counts={"test": 4}, seed=5)
    return root / "detect"


@pytest.mark.slow
def test_export_and_compare(cli: Command, tmp_path: Path, images: Path) -> None:
    source, file = FIXTURES / "tiny-detect.pt", tmp_path / "tiny.onnx"
    code, out, err = cli("export-model", source, "--format", "onnx", "-o", file, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert set(document) == {"path", "format", "bytes", "sha256", "source", "check", "job"}
    assert document["job"]["name"] == "tiny-detect-onnx"
    code, out, _ = cli("jobs", "--json")
    assert [job["framework"] for job in json.loads(out)] == ["onnx"]

    words = ("parity", source, "tiny-detect-onnx", "--dataset", images)
    code, out, err = cli(*words, "--json")
    assert code == 0, err
    assert json.loads(out)["verdict"] == "equivalent"
    code, out, _ = cli(*words, "--limit", "2")
    assert code == 0
    assert "parity: equivalent" in out
    assert "mAP50-95" in out

    other = ("parity", FIXTURES / "tiny-detect-8.pt", file, "--dataset", images)
    code, out, _ = cli(*other, "--worst", "2")
    assert code == 1
    assert "parity: different" in out
    assert "images with the largest differences" in out
    assert "a confidence differs by more than 0.0001" in " ".join(out.replace("│", " ").split())
    assert cli(*other, "--json")[0] == 1


@pytest.mark.slow
def test_the_table_of_an_export(cli: Command, tmp_path: Path) -> None:
    file = tmp_path / "c.onnx"
    code, out, _ = cli(
        "export-model", FIXTURES / "tiny-classify.pt", "--format", "onnx", "-o", file
    )
    assert code == 0
    assert "checked" in out
    assert "c.onnx" in out
    code, out, _ = cli("register", file, "--name", "bare", "--json")
    assert code == 0
    job = json.loads(out)
    assert (job["name"], job["framework"]) == ("bare", "onnx")
    assert job["class_names"] == ["circle", "square", "triangle"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("export-model", "x", "--format", "onx"), "USAGE", "did you mean onnx"),
        (("export-model", "nobody", "--format", "onnx"), "JOB_NOT_FOUND", "'nobody'"),
        (("parity", "nobody", "else", "--dataset", "."), "JOB_NOT_FOUND", "'nobody'"),
        (("parity", "a", "b"), "USAGE", "--dataset"),
        (("export-model", str(FIXTURES / "tiny-detect.pt"), "--format", "onnx", "--imgsz", "100",
          "-o", "x.onnx"), "OPTION_INVALID", "no multiple of the model's stride"),
    ],
)  # fmt: skip
def test_errors_are_one_paragraph(
    cli: Command, words: tuple[str, ...], code: str, message: str
) -> None:
    found, out, _ = cli(*words, "--json")
    assert found == 2
    error = json.loads(out)["error"]
    assert error["code"] == code
    assert message in error["message"]
    found, out, err = cli(*words)
    assert (found, out) == (2, "")
    assert "Traceback" not in err
    assert f"[{code}]" in err


def test_a_hostile_file_is_one_paragraph(cli: Command, tmp_path: Path, images: Path) -> None:
    file = tmp_path / "bad.onnx"
    file.write_bytes(b"\xff\xd8\xff\xe0 no model")
    code, out, err = cli("parity", file, file, "--dataset", images)
    assert (code, out) == (2, "")
    assert "truncated or not an ONNX file" in err
    assert "[CHECKPOINT_UNREADABLE]" in err
