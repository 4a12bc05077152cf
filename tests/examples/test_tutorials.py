"""Every shell, Python and YAML block of the README and of the tutorials runs as it is written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml

from examples.shapes.make_dataset import make
from snellen.cli.main import run
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.config.yaml_file import parse_yaml
from snellen.serve.config import ServeConfig
from snellen.store.sql.database import Database
from tests.examples.shell_blocks import ADDRESS, ROOT, blocks, commands, execute
from tests.pipelines.making import write_image
from tests.serve.listening import listening

FIXTURES = ROOT / "tests" / "fixtures"
README = "README.md"
TUTORIALS = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "tutorials").glob("*.md")
)
LANGUAGES = {"sh", "python", "yaml", "text"}
pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, without run tables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNELLEN_DATABASE", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which a reader follows the tutorials about the digits, one after another."""
    folder = tmp_path_factory.mktemp("digits")
    shutil.copytree(ROOT / "configs", folder / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("SNELLEN_DATABASE", raising=False)
        yield folder


def _timm_run(folder: Path) -> None:
    """Write a run directory of timm's ``train.py`` with a small model of the classes of photos/."""
    folder.mkdir(parents=True)
    for name in "ab":
        write_image(Path("photos") / "train" / name / "0.png")
    model = timm.create_model("test_resnet", num_classes=2)
    state = {"arch": "test_resnet", "epoch": 0, "state_dict": model.state_dict(), "version": 2}
    for name in ("model_best", "last", "checkpoint-0"):
        torch.save(state, folder / f"{name}.pth.tar")
    arguments = {
        "model": "test_resnet",
        "num_classes": 2,
        "data_dir": str(Path("photos").resolve()),
    }
    (folder / "args.yaml").write_text(yaml.safe_dump(arguments))
    (folder / "summary.csv").write_text("epoch,train_loss,eval_loss,eval_top1\n0,1,1,50\n")


def write_yaml(page: str) -> list[dict[str, Any]]:
    """Write the YAML blocks under the names in their first lines; return the documents."""
    found = []
    for text in blocks(page, "yaml"):
        match = re.match(r"# (\S+\.yaml)\n", text)
        assert match, "the first line names the file"
        Path(match[1]).write_text(text)
        found.append(parse_yaml(text, where=match[1]))
    return found


def follow(page: str, address: str = ADDRESS) -> None:
    """Run the shell blocks of a page, then its Python blocks."""
    for words in commands(page):
        execute(words, address)
    for block in blocks(page, "python"):
        exec(compile(block.replace(ADDRESS, address), page, "exec"), {})


@pytest.mark.parametrize("page", [README, *TUTORIALS])
def test_every_block_is_of_a_language_that_is_run(page: str) -> None:
    fences = re.findall(r"^```(.*)$", (ROOT / page).read_text(), re.M)
    assert {language for language in fences if language} <= LANGUAGES
    assert len(fences) == 2 * sum(bool(language) for language in fences)


def test_readme(place: Path) -> None:
    _timm_run(place / "output" / "train" / "20260101-120000-resnet50-224")
    for number in range(4):
        write_image(place / "photos" / "val" / "ab"[number % 2] / f"{number}.png", 50 * number)
    make(place, counts={"test": 3, "val": 1}, seed=5)
    shutil.copy(place / "detect" / "data.yaml", "data.yaml")
    shutil.copy(FIXTURES / "tiny-detect.pt", "best.pt")
    Path("gate.yaml").write_text(yaml.safe_dump({"rules": [{"metric": "mAP50-95", "min": 0}]}))
    assert run(["eval", "best.pt", "data.yaml"]) == 0
    assert run(["tag", "1", "baseline"]) == 0
    assert run(["export", "1", "--format", "coco", "-o", "exported"]) == 0
    shutil.copy("exported/results.json", "predictions.json")
    shutil.copy("exported/ground_truth.json", "ground_truth.json")
    follow(README)
    assert len(list((place / "runs").glob("*-theirs"))) == 1


def test_tutorials_of_the_digits(digits: Path) -> None:
    follow("docs/tutorials/first-evaluation.md")
    page = "docs/tutorials/which-checkpoint.md"
    write_yaml(page)
    follow(page)
    assert "<testsuite" in (digits / "gate.xml").read_text()
    page = "docs/tutorials/serve-it.md"
    (settings,) = write_yaml(page)
    assert ServeConfig.model_validate(settings).roots
    db = Database.open()
    with listening(db, digits, roots=["demo-data"]) as address:
        follow(page, address)
    db.close()


def test_tutorial_of_the_detector(place: Path) -> None:
    follow("docs/tutorials/first-detector.md")


def test_tutorial_of_the_cluster(place: Path) -> None:
    page = "docs/tutorials/cluster.md"
    (settings,) = write_yaml(page)
    config = build_config(settings)
    assert config.ray.address == "10.0.0.1:6379"
    assert config.database == settings["database"]
    for words in commands(page):
        if words[0] != "snellen":
            execute(words)
