"""A run on object storage gives the same rows and metrics as on a local disk."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import snellen
from snellen.adapters.errors import InputError
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.runs.setup import prepare
from snellen.pipelines.storage import clients
from tests.pipelines.data.sources.shards.test_webdataset import labelled, shard
from tests.pipelines.making import TIMES, grey_folder, write_image
from tests.pipelines.pixel_adapter import NAME
from tests.s3_server import S3Server

_numbers = itertools.count()
CLASSES = ("a", "b", "c")


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        f"set/{path.relative_to(folder)}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def put(s3: S3Server, folder: Path) -> str:
    return f"{s3.put(f'runs-{next(_numbers)}', files_of(folder))}/set"


def evaluated(
    s3: S3Server, place: Path, path: str | Path, names: tuple[str, ...] = CLASSES, **run: Any
) -> snellen.TestRun:
    return snellen.evaluate(
        {
            "model": {
                "adapter": NAME,
                "class_names": list(names),
                "options": {"num_classes": len(names)},
            },
            "dataset": {"path": str(path), "storage_options": s3.options},
            "run": {"engine": "inline", "unit_rows": 4, "batch_size": 3, **run},
            "output": {"dir": str(place / "out")},
            "database": f"sqlite:///{place / 'runs.db'}",
        }
    )


def rows_of(run: snellen.TestRun) -> list[dict[str, Any]]:
    left_out = {*TIMES, "image_path"}
    return [
        {key: value for key, value in row.items() if key not in left_out}
        for row in run.results().to_dicts()
    ]


@pytest.mark.parametrize("kind", ["folders", "shards"])
def test_remote_equals_local(s3: S3Server, tmp_path: Path, kind: str) -> None:
    data = tmp_path / "data"
    names: tuple[str, ...] = CLASSES
    if kind == "folders":
        grey_folder(data, CLASSES, 5)
        (data / "b" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
        (data / "b" / "empty.png").touch()
    else:
        names = ("0", "1")
        for number in range(2):
            shard(data / f"{number}.tar", labelled(5, 5 * number))
    address = put(s3, data)
    remote = evaluated(s3, tmp_path, address, names)
    local = evaluated(s3, tmp_path, data, names)
    assert rows_of(remote) == rows_of(local)
    assert remote.metrics == local.metrics
    assert remote.row.total_images == local.row.total_images
    assert remote.row.dataset_path == address
    paths = remote.results()["image_path"].to_list()
    assert all(path.startswith(f"{address}/") for path in paths)


def test_faults_are_rows_and_the_run_goes_on(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_FIRST_PAUSE", 0.0)
    data = grey_folder(tmp_path / "data", CLASSES, 4)
    address = put(s3, data)
    name = address.split("/")[2]
    (tmp_path / "list.csv").write_text(
        "path,label\n" + "".join(f"{c}/0{n}.png,{c}\n" for c in CLASSES for n in range(4))
        + f"../set/a/00.png,a\n{address}/../set/a/01.png,a\n"
    )  # fmt: skip

    def busy(method: str, path: str) -> tuple[int, str] | None:
        if path.endswith("b/02.png"):
            return 503, "SlowDown"
        return (403, "AccessDenied") if path.endswith("b/03.png") else None

    s3.delete(f"{name}/set/b/01.png")
    s3.answer = busy
    run = snellen.evaluate(
        {
            "model": {"adapter": NAME, "class_names": list(CLASSES)},
            "dataset": {
                "path": str(tmp_path / "list.csv"),
                "root": address,
                "storage_options": s3.options,
            },
            "run": {"engine": "inline", "unit_rows": 4, "batch_size": 3},
            "output": {"dir": str(tmp_path / "out")},
            "database": f"sqlite:///{tmp_path / 'runs.db'}",
        }
    )
    failed = {
        row["image_id"]: row["error_code"]
        for row in run.results().to_dicts()
        if row["status"] == "failed"
    }
    assert failed == {
        "b/01.png": "NOT_FOUND",
        "b/02.png": "IO",
        "b/03.png": "IO",
        "../set/a/00.png": "PATH_ESCAPE",
        "../set/a/01.png": "PATH_ESCAPE",
    }


def test_an_object_that_is_replaced_is_changed(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object is replaced after the manifest is written."""
    address = put(s3, grey_folder(tmp_path / "data", CLASSES, 2))
    write_image(tmp_path / "other.png", size=(40, 40))
    other = (tmp_path / "other.png").read_bytes()

    def replace_after(*arguments: Any, **options: Any) -> Any:
        summary = write_manifest(*arguments, **options)
        s3.put(address.split("/")[2], {"set/b/00.png": other})
        return summary

    monkeypatch.setattr(prepare, "write_manifest", replace_after)
    run = evaluated(s3, tmp_path, address)
    codes = {row["image_id"]: row["error_code"] for row in run.results().to_dicts()}
    assert {key: code for key, code in codes.items() if code} == {"b/00.png": "CHANGED"}


def test_nothing_that_is_stored_holds_credentials(s3: S3Server, tmp_path: Path) -> None:
    address = put(s3, grey_folder(tmp_path / "data", CLASSES, 1))
    run = evaluated(s3, tmp_path, address)
    stored = json.dumps([run.row.config, run.row.fingerprint, run.row.resolved], default=str)
    assert s3.options["region"] in stored
    (manifest,) = (tmp_path / "out").rglob("manifest.parquet")
    written = [*pq.read_table(manifest).to_pylist(), *run.results().to_dicts()]
    everything = stored + str(written) + str(pq.read_schema(manifest).metadata)
    everything += (tmp_path / "runs.db").read_bytes().decode("latin-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert os.environ[name] not in everything


def test_storage_that_denies_access_leaves_nothing_behind(s3: S3Server, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        evaluated(s3, tmp_path, "s3://none-of-that-name/set")
    assert (caught.value.code, caught.value.exit_code) == ("DATASET_NOT_FOUND", 2)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="run"):
        snellen.open_run(database=f"sqlite:///{tmp_path / 'runs.db'}")


@pytest.mark.ray
@pytest.mark.slow
def test_rays_workers_read_it_too(s3: S3Server, tmp_path: Path, importable: None) -> None:
    """In an own Ray, whose workers inherit the credentials of the process."""
    address = put(s3, grey_folder(tmp_path / "data", CLASSES, 4))
    inline = evaluated(s3, tmp_path / "inline", address)
    config = {**dict(inline.row.config or {}), "name": "spread"}
    config["run"] = {**config["run"], "engine": "ray"}
    config["ray"] = {**config["ray"], "num_cpus": 2}
    config["database"] = f"sqlite:///{tmp_path / 'spread.db'}"
    code = "import json, sys, snellen; snellen.evaluate(json.load(sys.stdin))"
    subprocess.run([sys.executable, "-c", code], input=json.dumps(config), text=True, check=True)
    spread = snellen.open_run("spread", database=config["database"])
    assert rows_of(spread) == rows_of(inline)
    assert spread.row.failed_images == 0


@pytest.mark.slow
def test_the_images_of_a_unit_are_read_side_by_side(s3: S3Server, tmp_path: Path) -> None:
    address = put(s3, grey_folder(tmp_path / "data", CLASSES, 8))
    s3.delay = 0.05
    run = evaluated(s3, tmp_path, address, unit_rows=24, threads=1)
    assert run.row.failed_images == 0
    waited = run.results()["preprocessing_time_ms"].sum() / 1000
    # One after the other 24 images would wait for two answers each.
    assert waited < 24 * 2 * s3.delay / 2
    assert sum(method == "GET" and path.endswith(".png") for method, path, _ in s3.requests) == 24
