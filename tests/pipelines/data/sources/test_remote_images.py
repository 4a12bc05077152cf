"""Images without labels on object storage: a folder, named ones, and a job."""

from __future__ import annotations

import itertools
from pathlib import Path

import snellen
from snellen.pipelines.config.dataset import ImagesConfig
from snellen.pipelines.data.sources.base import Source
from snellen.pipelines.data.sources.unlabelled import open_images
from tests.pipelines.making import write_image
from tests.pipelines.pixel_adapter import NAME
from tests.s3_server import S3Server

_numbers = itertools.count()
FILES = ("2.png", "10.png", "a/x.png", "b/deep/x.png")


def put(s3: S3Server, folder: Path) -> str:
    files = {f"set/{name}": write_image(folder / name).read_bytes() for name in FILES}
    return f"{s3.put(f'images-{next(_numbers)}', {**files, 'set/notes.md': b'none'})}/set"


def test_a_folder_lists_as_it_does_on_a_disk(s3: S3Server, tmp_path: Path) -> None:
    address = put(s3, tmp_path)
    found = []
    for path in (address, str(tmp_path)):
        source = open_images(ImagesConfig(path=path, storage_options=s3.options))
        found.append(collected_ids(source))
    assert found[0] == found[1] == list(FILES)


def collected_ids(source: Source) -> list[str]:
    info = source.describe()
    return [name for batch in source.batches(info) for name in batch["image_id"]]


def test_a_job_on_named_addresses(s3: S3Server, tmp_path: Path) -> None:
    address = put(s3, tmp_path)
    named = [f"{address}/a/x.png", f"{address}/gone.png", str(tmp_path / "2.png")]
    job = snellen.predict(
        {
            "model": {"adapter": NAME},
            "dataset": {"storage_options": s3.options},
            "run": {"engine": "inline"},
            "output": {"dir": str(tmp_path / "out"), "visualize": "all"},
            "database": f"sqlite:///{tmp_path / 'runs.db'}",
        },
        named,
    )
    rows = job.results().to_dicts()
    assert [row["image_id"] for row in rows] == [*named[:2], "2.png"]
    assert [row["error_code"] for row in rows] == [None, "NOT_FOUND", None]
    drawn = [row["visualization_path"] for row in rows]
    assert drawn == ["visualizations/000000-x.jpg", None, "visualizations/000002-2.jpg"]
    assert job.draw(0).shape[2] == 3
