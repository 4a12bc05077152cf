"""Every format lists the same images on object storage and on a local disk."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.sources.base import Source
from snellen.pipelines.data.sources.file_listing import unescape_id
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.storage import clients
from tests.contracts.source_contract import collected
from tests.pipelines.data.sources.shards.test_webdataset import boxes_of, labelled, shard
from tests.pipelines.data.sources.yolo.test_yolo_source import BOX, dataset_of
from tests.pipelines.making import grey_folder, write_image
from tests.s3_server import S3Server

_numbers = itertools.count()
Upload = Callable[[Path], str]


@pytest.fixture
def upload(s3: S3Server) -> Upload:
    """Copy a folder into a new bucket, below ``data/set``, and return its address."""

    def copy(folder: Path) -> str:
        files = {
            f"data/set/{path.relative_to(folder)}": path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        return f"{s3.put(f'sources-{next(_numbers)}', files)}/data/set"

    return copy


def opened(s3: S3Server, path: str | Path, **options: Any) -> Source:
    return open_source(DatasetConfig(path=str(path), storage_options=s3.options, **options))


def same(s3: S3Server, local: Path, remote: str, name: str = "", **options: Any) -> dict[str, Any]:
    """Assert that both manifests are equal except for locations and times."""
    ours = opened(s3, f"{remote}{name}", **options)
    theirs = opened(s3, f"{local}{name}", **options)
    assert type(ours) is type(theirs)
    here, there = ours.describe(), theirs.describe()
    for key in ("classes", "split", "class_order", "labels_are_ids", "meta_fields"):
        assert getattr(here, key) == getattr(there, key), key
    assert ours.describe() == here
    found, wanted = collected(ours, here), collected(theirs, there)
    assert found["image_id"]
    for key in wanted:
        if key not in {"location", "mtime_ns"}:
            assert found[key] == wanted[key], key
    assert [text.replace(remote, str(local)) for text in found["location"]] == wanted["location"]
    now = time.time_ns()
    assert all(t is None or now - 10**12 < t <= now for t in found["mtime_ns"])
    assert [t is None for t in found["mtime_ns"]] == [t is None for t in wanted["mtime_ns"]]
    return found


def test_class_folders(s3: S3Server, upload: Upload, tmp_path: Path) -> None:
    for number in (1, 2, 10):
        for name in (f"{number}.png", "a b.PNG", "deep/er/é%41?#.png", ".hidden.png", "no.txt"):
            write_image(tmp_path / "test" / f"class {number}" / name, number)
    write_image(tmp_path / "train" / "class 1" / "x.png")
    address = upload(tmp_path)
    found = same(s3, tmp_path, address)
    assert len(found["image_id"]) == 9
    same(s3, tmp_path, address, "/train", split=None)
    same(s3, tmp_path, address, split="train", class_order="lexicographic")
    same(s3, tmp_path, f"{address}", "/")


def test_listing_class_folders_takes_few_requests(
    s3: S3Server, upload: Upload, tmp_path: Path
) -> None:
    address = upload(grey_folder(tmp_path, ("a", "b", "c"), 8))
    source = opened(s3, address, format="imagefolder", split=None)
    info = source.describe()
    s3.requests.clear()
    assert len(collected(source, info)["image_id"]) == 24
    assert len(s3.requests) == 3  # one a folder, none an image


def test_tar_shards(s3: S3Server, upload: Upload, tmp_path: Path) -> None:
    for number in (2, 1, 10):
        shard(tmp_path / f"s{number}.tar", labelled(3, 3 * number))
    shard(tmp_path / "more" / "s3.tar", labelled(2, 50))
    address = upload(tmp_path)
    found = same(s3, tmp_path, address)
    assert found["shard"] == ["s1.tar"] * 3 + ["s2.tar"] * 3 + ["s10.tar"] * 3
    assert len(same(s3, tmp_path, address, "/s1*.tar")["image_id"]) == 6
    assert same(s3, tmp_path, address, "/*/s[3-4].tar")["shard"] == ["s3.tar"] * 2
    same(s3, tmp_path, address, "/more/s3.tar")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert set(same(s3, tmp_path, upload(tmp_path))["label"]) == {"cat", "dog"}
    with pytest.raises(InputError, match=r"has no shards\. Expected \.tar"):
        opened(s3, f"{address}/none-*.tar").describe()


def test_a_shard_is_read_in_large_pieces(s3: S3Server, upload: Upload, tmp_path: Path) -> None:
    shard(tmp_path / "0.tar", labelled(40))
    address = upload(tmp_path)
    source = opened(s3, address, format="webdataset")
    info = source.describe()
    s3.requests.clear()
    assert len(collected(source, info)["image_id"]) == 40
    assert len(s3.requests) == 2  # one for the size, one for all of so small a shard


def test_shards_with_boxes(s3: S3Server, upload: Upload, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    members = labelled(2, ending=".json")
    members |= {"000000.json": boxes_of(), "000001.json": b"{"}
    shard(tmp_path / "0.tar", members)
    found = same(s3, tmp_path, upload(tmp_path))
    assert found["label_error"][1].startswith("LABEL_INVALID")


def test_yolo(s3: S3Server, upload: Upload, tmp_path: Path) -> None:
    dataset_of(tmp_path, [BOX, "", BOX, None, "7 1 1 1 1"], path=None)
    address = upload(tmp_path)
    same(s3, tmp_path, address)
    same(s3, tmp_path, address, "/data.yaml", missing_labels="background")


def test_yolo_beside_its_description(s3: S3Server, upload: Upload, tmp_path: Path) -> None:
    """``../images`` as some tools write it; and a local data.yaml of remote images."""
    dataset_of(tmp_path / "all", [BOX, BOX], path=None, test="../all/images/test")
    address = upload(tmp_path)
    found = collected(source := opened(s3, f"{address}/all"), source.describe())
    assert found["location"] == [f"{address}/all/images/test/{n}.png" for n in range(2)]
    assert [len(boxes) for boxes in found["true_boxes"]] == [1, 1]
    local = tmp_path / "here.yaml"
    local.write_text(f"path: {address}/all\ntest: images/test\nnames: [cat, dog]\n")
    found = collected(source := opened(s3, local), source.describe())
    assert found["image_id"] == ["images/test/0.png", "images/test/1.png"]


@pytest.mark.parametrize("where", ["local", "remote"])
def test_coco(s3: S3Server, upload: Upload, tmp_path: Path, where: str) -> None:
    images = tmp_path / "images"
    for name in ("a.png", "sub/b.png"):
        write_image(images / name, size=(40, 20))
    document = {
        "images": [
            {"id": n, "file_name": name, "width": 40, "height": 20}
            for n, name in enumerate(("a.png", "sub/b.png", "gone.png"))
        ],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 3, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 3, "name": "cat"}],
    }
    (tmp_path / "set.json").write_text(json.dumps(document))
    address = upload(tmp_path)
    file = f"{address if where == 'remote' else tmp_path}/set.json"
    found = same(s3, tmp_path, address, "/images", format="coco", annotations=file)
    assert found["size"][2] is None
    assert isinstance(found["size"][0], int)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_manifest(s3: S3Server, upload: Upload, tmp_path: Path, ending: str) -> None:
    grey_folder(tmp_path, ("a", "b"), 2)
    address = upload(tmp_path)
    rows = ["a/00.png", f"{address}/a/01.png", "b/00.png", "s3://other/b.png"]
    table = pa.table({"path": rows, "label": ["a", "a", "b", "b"], "camera": [1, 2, 3, 4]})
    if ending == "csv":
        lines = zip(*table.to_pydict().values(), strict=True)
        text = "path,label,camera\n" + "".join(f"{a},{b},{c}\n" for a, b, c in lines)
        (tmp_path / "set.csv").write_text(text)
    else:
        pq.write_table(table, tmp_path / "set.parquet")
    for place in (upload(tmp_path), str(tmp_path)):
        source = opened(s3, f"{place}/set.{ending}", root=address)
        info = source.describe()
        found = collected(source, info)
        assert str(info.root) == address
        assert found["location"] == [
            f"{address}/a/00.png", f"{address}/a/01.png", f"{address}/b/00.png",
            "s3://other/b.png"]  # fmt: skip
        assert found["image_id"] == ["a/00.png", "a/01.png", "b/00.png", "s3://other/b.png"]
        assert found["meta_camera"] == [1, 2, 3, 4]
    beside = opened(s3, f"{upload(tmp_path)}/set.{ending}")
    assert str(beside.describe().root).endswith("/data/set")


def test_a_manifest_of_ours_is_a_data_set_again(
    s3: S3Server, upload: Upload, tmp_path: Path
) -> None:
    shard(tmp_path / "data" / "0.tar", labelled(3))
    source = opened(s3, upload(tmp_path / "data"))
    write_manifest(source, source.describe(), tmp_path / "set.parquet")
    first = collected(source, source.describe())
    again = opened(s3, tmp_path / "set.parquet")
    second = collected(again, again.describe())
    for key in ("image_id", "location", "size", "mtime_ns", "offset", "length", "label"):
        assert second[key] == first[key], key


def test_an_image_list(s3: S3Server, upload: Upload, tmp_path: Path) -> None:
    grey_folder(tmp_path, ("a",), 2)
    (tmp_path / "set.txt").write_text(
        "# two images\na/00.png\n\ns3://other/x y.png\n/local/z.png\n"
    )
    address = upload(tmp_path)
    source = opened(s3, f"{address}/set.txt")
    found = collected(source, source.describe())
    assert found["location"] == [f"{address}/a/00.png", "s3://other/x y.png", "/local/z.png"]
    assert found["image_id"][:2] == ["a/00.png", "s3://other/x y.png"]


@pytest.mark.parametrize("ending", ["txt", "csv"])
def test_rows_that_name_no_storage(s3: S3Server, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"set.{ending}"
    for row, kind, code in (
        ("https://example.com/b.png", InputError, "DATASET_REMOTE"),
        ("zip://b.png", InputError, "DATASET_REMOTE"),
        ("s3://me:hush@bucket/b.png", ConfigError, "STORAGE_SECRET"),
    ):
        file.write_text(f"{'path' if ending == 'csv' else 'z.png'}\na.png\n{row}\n")
        source = opened(s3, file)
        with pytest.raises(kind, match=r"example|zip|environment") as caught:
            collected(source, source.describe())
        assert caught.value.code == code
        assert "hush" not in caught.value.message


def test_storage_through_fsspec(s3: S3Server, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for path in grey_folder(tmp_path, ("a", "b"), 2).rglob("*.png"):
        memory.pipe(f"/bucket/set/{path.relative_to(tmp_path)}", path.read_bytes())
    source = open_source(DatasetConfig(path="memory://bucket/set"))
    found = collected(source, source.describe())
    assert found["image_id"] == ["a/00.png", "a/01.png", "b/00.png", "b/01.png"]
    assert found["size"][0] == (tmp_path / "a" / "00.png").stat().st_size
    assert found["location"][0] == "memory://bucket/set/a/00.png"
    assert [unescape_id(text) for text in found["location"]] == found["location"]


@pytest.mark.parametrize(
    ("path", "kind", "code", "text"),
    [
        ("http://example.com/set", InputError, "DATASET_REMOTE", "a web address. Expected"),
        ("ftp://example.com/set", InputError, "DATASET_REMOTE", "copy the files to such a place"),
        ("simplecache::s3://b/set", InputError, "DATASET_NOT_FOUND", "does not exist"),
        ("zip://b/set", InputError, "DATASET_REMOTE", "unknown kind 'zip://'"),
        ("file:///data", InputError, "DATASET_REMOTE", "Expected a path: remove 'file://'"),
        ("s3://", InputError, "DATASET_REMOTE", "s3://BUCKET/FOLDER"),
        ("s3://b/set?region=eu", InputError, "DATASET_REMOTE", "dataset.storage_options"),
        ("s3://none-of-that-name/set", InputError, "DATASET_NOT_FOUND", "there is no bucket"),
        ("s3://me:hush@b/set", ConfigError, "STORAGE_SECRET", r"dataset\.path: 's3://\.\.\.@b/set'"),
    ],
)  # fmt: skip
def test_what_is_no_data_set(
    s3: S3Server, path: str, kind: type[Exception], code: str, text: str
) -> None:
    with pytest.raises(kind, match=text) as caught:
        opened(s3, path)
    assert getattr(caught.value, "code") == code  # noqa: B009
    assert "hush" not in str(caught.value)


def test_a_bucket_that_may_not_be_read(
    s3: S3Server, upload: Upload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_FIRST_PAUSE", 0.0)
    address = upload(grey_folder(tmp_path, ("a",), 1))
    with pytest.raises(InputError, match=r"does not exist\. Expected .* Check the name"):
        opened(s3, f"{address}/none")
    s3.answer = lambda *_: (403, "AccessDenied")
    with pytest.raises(InputError, match="cannot be read: AWS Error ACCESS_DENIED") as caught:
        opened(s3, address)
    assert caught.value.code == "DATASET_UNREADABLE"
    assert "Check the credentials in the environment" in caught.value.message
    s3.answer = lambda method, _: (403, "AccessDenied") if method == "GET" else None
    with pytest.raises(InputError, match="ACCESS_DENIED"):
        opened(s3, address).describe()
