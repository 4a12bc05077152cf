"""ZIP exports, opened by the standard library."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path, PurePosixPath

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import snellen
from snellen.analysis.export.archive import ZipExporter
from snellen.store.sql.database import Database
from tests.analysis.export.made_up import request_for
from tests.contracts.exporter_contract import Exportable, ExporterContract
from tests.metrics.detection.examples import draw, table
from tests.pipelines.box_adapter import NAME


class TestZip(ExporterContract):
    exporter = pytest.fixture(lambda self: "zip")
    exportable = pytest.fixture(lambda self, greys: greys)

    def rows(self, path: Path) -> list[str]:
        with zipfile.ZipFile(path) as archive:
            with archive.open("results.csv") as file:
                ids: list[str] = pd.read_csv(file)["image_id"].tolist()
            with archive.open("results.parquet") as file:
                assert pq.read_table(file)["image_id"].to_pylist() == ids
        return ids


def check_members(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of an archive, after checking that each is safe and intact."""
    assert archive.testzip() is None
    for member in archive.infolist():
        path = PurePosixPath(member.filename)
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert "\\" not in member.filename
        assert stat.S_ISREG(member.external_attr >> 16)
    return archive.namelist()


def test_the_pictures_of_a_job(boxes: Exportable, tmp_path: Path) -> None:
    assert boxes.run.config is not None
    data = Path(boxes.run.config["dataset"]["path"])
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    job = snellen.predict(
        images=[str(path) for path in sorted(data.parent.rglob("*.png"))],
        overrides=[
            f"model.adapter={NAME}",
            "run.engine=inline",
            f"output.dir={tmp_path / 'o'}",
            "output.visualize=all",
            f"database={url}",
        ],
    )
    made = Exportable(Database.open(url), job.row)
    document = made.export("zip", tmp_path / "job.zip")
    assert (document["images"], document["left_out"]) == (4, {})
    with zipfile.ZipFile(tmp_path / "job.zip") as archive:
        found = check_members(archive)
        for row in made.results.frame().to_dicts():
            stored = made.results.results_dir / row["visualization_path"]
            assert archive.read(f"pictures/{row['visualization_path']}") == stored.read_bytes()
        assert len(found) == len(set(found)) == 3 + 4
        described = json.loads(archive.read("export.json"))
    assert described == {key: value for key, value in document.items() if key != "path"}


def test_pictures_outside_of_the_run_are_counted(boxes: Exportable, tmp_path: Path) -> None:
    """Paths in a result file are not trusted: no secret is packed, and no name escapes."""
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (run / "good.png").write_bytes(b"good")
    (run / "link.png").symlink_to(tmp_path / "secret.png")
    (run / "folder").symlink_to(tmp_path)
    paths = ["good.png", "../secret.png", str(tmp_path / "secret.png"), "link.png",
             "folder/secret.png", "gone.png"]  # fmt: skip
    rows = table(draw(0, "bbox", images=len(paths)))
    place = rows.schema.get_field_index("visualization_path")
    rows = rows.set_column(place, rows.schema.field(place), pa.array(paths))
    request = request_for(rows, "bbox", run, boxes.run)
    exported = ZipExporter().write(request, tmp_path / "out.zip")
    assert exported.left_out == {"missing_pictures": 5}
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert check_members(archive) == [
            "results.parquet", "results.csv", "pictures/good.png", "export.json"]  # fmt: skip
        assert archive.read("pictures/good.png") == b"good"
