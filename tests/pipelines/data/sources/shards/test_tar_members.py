"""Every image of a tar shard is read, or counted with the reason why it is not."""

from __future__ import annotations

import bz2
import gzip
import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import ImagesConfig
from snellen.pipelines.data.sources.unlabelled import open_images
from tests.adapters.making import encode, picture
from tests.pipelines.data.listed import Listed

PNG = encode(picture())
HEIC = b"\0\0\0\x18ftypheic" + bytes(100)
WEBDATASET_KEY = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")
"""The rule of the package webdataset (``webdataset.tariterators.base_plus_ext``)."""

Content = bytes | tarfile.TarInfo


def tar_file(path: Path, members: Sequence[tuple[str, Content]]) -> Path:
    """Write members in their order; a name may occur twice."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            entry = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            entry.name = name
            data = b"" if isinstance(content, tarfile.TarInfo) else content
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo()
    entry.type, entry.linkname = kind, target
    return entry


def listed(tmp_path: Path, *members: tuple[str, Content]) -> Listed:
    return Listed(tar_file(tmp_path / "a.tar", members))


def of_shard(labels: dict[str, str | None]) -> dict[str, str | None]:
    return {image_id.removeprefix("a.tar/"): label for image_id, label in labels.items()}


LABELS: dict[str, tuple[list[tuple[str, Content]], dict[str, str | None]]] = {
    "N-dots-in-stem": (
        [("img.001.png", PNG), ("img.001.cls", b"0"), ("img.002.png", PNG), ("img.002.cls", b"1")],
        {"img.001.png": "0", "img.002.png": "1"},
    ),
    "N-key-of-webdataset": ([("a.b.png", PNG), ("a.cls", b"1")], {"a.b.png": "1"}),
    "N-views-of-a-sample": (
        [("x.left.png", PNG), ("x.right.png", PNG), ("x.cls", b"1")],
        {"x.left.png": "1", "x.right.png": "1"},
    ),
    "N-label-before-image": ([("1.cls", b"1"), ("1.png", PNG)], {"1.png": "1"}),
    "N-cls-wins-over-json-and-txt": (
        [("1.json", b'{"label": 5}'), ("1.cls", b"1"), ("1.txt", b"a cat"), ("1.png", PNG)],
        {"1.png": "1"},
    ),
    "N-json-wins-over-caption": (
        [("1.png", PNG), ("1.txt", b"a cat"), ("1.json", b'{"label": "cat"}')],
        {"1.png": "cat"},
    ),
    "N-json-of-metadata-alone": (
        [("1.png", PNG), ("1.txt", b"cat"), ("1.json", b'{"url": "x"}')],
        {"1.png": "cat"},
    ),
    "N-mark-in-label": ([("1.png", PNG), ("1.cls", b"\xef\xbb\xbfcat\r\n")], {"1.png": "cat"}),
    "N-upper-case": ([("1.PNG", PNG), ("1.CLS", b"cat")], {"1.PNG": "cat"}),
    "N-folders-with-dots": (
        [("v1.0/1.png", PNG), ("v1.0/1.cls", b"a"), ("v2.0/1.png", PNG), ("v2.0/1.cls", b"b")],
        {"v1.0/1.png": "a", "v2.0/1.png": "b"},
    ),
    "N-names-with-dot-slash": ([("./1.png", PNG), ("./1.cls", b"a")], {"./1.png": "a"}),
    "N-unknown-suffix": ([("1.image", PNG), ("1.cls", b"a")], {"1.image": "a"}),
    "N-no-suffix": ([("1", PNG), ("1.cls", b"a")], {"1": "a"}),
    "N-links-to-members": (
        [("0/1.png", PNG), ("0/1.cls", b"a"), ("2.png", link("0/1.png", tarfile.LNKTYPE)),
         ("2.cls", link("0/1.cls", tarfile.LNKTYPE)), ("0/3.png", link("1.png")),
         ("0/3.cls", b"b")],
        {"0/1.png": "a", "2.png": "a", "0/3.png": "b"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("members", "expected"), LABELS.values(), ids=LABELS)
def test_every_image_has_its_label(
    tmp_path: Path, members: list[tuple[str, Content]], expected: dict[str, str | None]
) -> None:
    found = listed(tmp_path, *members)
    assert of_shard(found.labels) == expected
    assert found.passed == {}
    data = (tmp_path / "a.tar").read_bytes()
    for offset, length in zip(found.column("offset"), found.column("length"), strict=True):
        assert data[offset : offset + length] == PNG


PASSED: dict[str, tuple[list[tuple[str, Content]], dict[str, int]]] = {
    "N-hidden-and-macos": (
        [("._1.png", PNG), (".DS_Store", b"x"), ("__MACOSX/2.png", PNG), (".git/3.png", PNG)],
        {"hidden": 4},
    ),
    "N-no-images": (
        [("readme.md", b"x"), ("Thumbs.db", b"x"), ("x.bin", b"x"), ("empty.npy", b"")],
        {"not_an_image": 4},
    ),
    "N-format-that-is-not-supported": ([("2.heic", HEIC), ("3.image", HEIC)],
                                       {"unsupported_format": 2}),
    "N-duplicate-member": ([("1.png", PNG), ("1.png", PNG)], {"duplicate": 2}),
    "N-field-of-a-sample": ([("1.seg.png", PNG), ("1.depth.png", PNG)], {"further_field": 2}),
    "N-link-to-nothing": ([("2.png", link("gone.png"))], {"unreadable": 1}),
}  # fmt: skip


@pytest.mark.parametrize(("members", "passed"), PASSED.values(), ids=PASSED)
def test_what_is_no_image_is_counted_by_reason(
    tmp_path: Path, members: list[tuple[str, Content]], passed: dict[str, int]
) -> None:
    found = listed(tmp_path, ("1.png", PNG), ("1.cls", b"7"), *members)
    assert of_shard(found.labels) == {"1.png": "7"}
    assert found.passed == passed
    (reason,) = passed
    examples = found.report["passed_over"][reason]["examples"]
    assert sorted(examples) == sorted(f"a.tar/{name}" for name, _ in members)


def test_of_two_members_with_one_name_the_last_is_read_as_in_unpacking(tmp_path: Path) -> None:
    other = encode(picture(seed=5))
    listed(tmp_path, ("1.png", PNG), ("1.cls", b"0"), ("1.png", other), ("1.cls", b"1"))
    found = Listed(tmp_path / "a.tar")
    assert found.labels == {"a.tar/1.png": "1"}
    (offset,), (length,) = found.column("offset"), found.column("length")
    assert (tmp_path / "a.tar").read_bytes()[offset : offset + length] == other
    with tarfile.open(tmp_path / "a.tar") as tar:
        unpacked = tar.extractfile("1.png")
        assert unpacked is not None
        assert unpacked.read() == other
    assert found.report["annotations"]["ignored"] == {"duplicate_label": 1}


def test_labels_that_are_shared_or_without_an_image_are_counted(tmp_path: Path) -> None:
    found = listed(
        tmp_path, ("x.1.png", PNG), ("x.2.png", PNG), ("x.cls", b"0"), ("x.3.cls", b"1"),
        ("y.json", b"{}"), ("x.meta.json", b"{}"),
    )  # fmt: skip
    assert found.report["annotations"] == {
        "used": 2,
        "ignored": {"label_without_image": 2},
        "repaired": {"label_shared_by_images_of_one_key": 2},
    }


def test_an_image_without_a_label_is_listed_without_one(tmp_path: Path) -> None:
    found = listed(tmp_path, ("1.png", PNG), ("1.cls", b"0"), ("2.seg.png", PNG), ("3.png", PNG))
    assert of_shard(found.labels) == {"1.png": "0", "2.seg.png": None, "3.png": None}
    # For a detector they have no ground truth, which is not the same as no objects.
    assert found.column("true_boxes") == [None, None, None]


def test_a_document_with_boxes_wins(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    box = b'{"boxes": [{"class_id": 1, "x1": 1, "y1": 1, "x2": 3, "y2": 3}]}'
    found = listed(tmp_path, ("1.png", PNG), ("1.cls", b"0"), ("1.json", box))
    assert found.column("label") == [None]
    assert found.report["classes"] == {"cat": 0, "dog": 1}


def test_the_images_are_those_of_webdataset_and_those_that_it_merges(tmp_path: Path) -> None:
    names = ["1.png", "d.e/2.png", "img.001.png", "img.002.png", "./3.png", "x.left.png"]
    found = listed(tmp_path, *((name, PNG) for name in names))
    keys: dict[str, list[str]] = {}
    for name in names:
        match = WEBDATASET_KEY.match(name)
        assert match is not None
        keys.setdefault(match[1], []).append(name)
    assert list(keys) == ["1", "d.e/2", "img", "./3", "x"]
    assert sorted(of_shard(found.labels)) == sorted(n for same in keys.values() for n in same)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tar.gz", gzip.compress, "is compressed with gzip. Expected a plain tar file"),
        ("a.tgz", gzip.compress, "is compressed with gzip"),
        ("a.tar", gzip.compress, "is compressed with gzip"),
        ("a.tar.bz2", bz2.compress, "is compressed with bzip2"),
        ("a.tar", lambda tar: tar + tar, r"more data follows the end of the archive at byte 2,"),
        ("a.tar", lambda tar: tar[:1024] + b"\1" * 512 + tar[1536:], "header at byte 1,024 is dam"),
        ("a.tar", lambda tar: tar[:900], "unexpected end of data. Expected a tar file"),
        ("a.tar", lambda tar: tar[:1200], "header at byte 1,024 is damaged"),
        ("a.tar", lambda tar: b"", "empty file. Expected a tar file"),
    ],
    ids=[
        "N-tar-gz", "N-tgz", "N-gzip-named-tar", "N-tar-bz2", "N-joined", "N-damaged-header",
        "N-cut-in-a-member", "N-cut-in-a-header", "N-empty",
    ],
)  # fmt: skip
def test_a_shard_that_cannot_be_read_whole_is_rejected(
    tmp_path: Path, name: str, content: object, message: str
) -> None:
    whole = tar_file(tmp_path / "whole", [(f"{n}.png", b"x" * 500) for n in range(2)]).read_bytes()
    assert callable(content)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(content(whole))
    with pytest.raises(InputError, match=message) as caught:
        Listed(tmp_path / "data")
    assert caught.value.code == "DATASET_UNREADABLE"
    assert name in caught.value.message


def test_a_shard_without_its_end_is_read_with_a_warning(tmp_path: Path) -> None:
    path = tar_file(tmp_path / "a.tar", [("1.png", PNG), ("1.cls", b"0")])
    path.write_bytes(path.read_bytes().rstrip(b"\0").ljust(len(PNG) // 512 * 512 + 2048, b"\0"))
    found = Listed(path)
    assert found.report["used"] == 1
    assert found.report["warnings"] == [
        "a.tar has no end-of-archive block: it may have been cut off"
    ]


def test_a_sparse_member_is_counted_as_unreadable(tmp_path: Path) -> None:
    source = tmp_path / "hole.png"
    with source.open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(PNG)
    tar = shutil.which("tar")
    assert tar is not None
    subprocess.run([tar, "-S", "-cf", "a.tar", "hole.png"], cwd=tmp_path, check=True)
    with pytest.raises(InputError, match=r"has no images.*could not be read \(a.tar/hole.png\)"):
        Listed(tmp_path / "a.tar")


def test_shards_in_upper_case_and_beside_hidden_ones(tmp_path: Path) -> None:
    data = tmp_path / "data [1]"
    data.mkdir()
    tar_file(data / "A.TAR", [("1.png", PNG)])
    tar_file(data / "b.tar", [("1.png", PNG)])
    (data / "._b.tar").write_bytes(b"no tar")
    assert Listed(data).ids == ["A.TAR/1.png", "b.tar/1.png"]


def test_names_that_are_numbers_and_not_their_ids_are_rejected(tmp_path: Path) -> None:
    path = tar_file(tmp_path / "a.tar", [("1.png", PNG), ("1.cls", b"1")])
    (tmp_path / "classes.txt").write_text("0\n1\n")
    assert Listed(path).labels == {"a.tar/1.png": "1"}
    (tmp_path / "classes.txt").write_text("1\n2\n")
    with pytest.raises(InputError, match=r"the class '1' has the id 0, so that a label 1 can be"):
        Listed(path)
    (tmp_path / "classes.txt").write_text("cat\n\ndog\n")
    with pytest.raises(InputError, match="line 2 is blank"):
        Listed(path)


def test_class_ids_from_1_are_rejected_or_shifted_as_the_configuration_says(tmp_path: Path) -> None:
    members = [(f"{n}.png", PNG) for n in (1, 2)] + [(f"{n}.cls", b"%d" % n) for n in (1, 2)]
    path = tar_file(tmp_path / "a.tar", members)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    with pytest.raises(
        InputError, match=r"labels are 1 to 2, and none is 0\. Expected 0 to 1"
    ) as e:
        Listed(path)
    assert e.value.code == "CLASS_IDS_SHIFTED"
    assert of_shard(Listed(path, first_label=1).labels) == {"1.png": "cat", "2.png": "dog"}


def test_images_to_predict_need_no_class_names(tmp_path: Path) -> None:
    tar_file(tmp_path / "a.tar", [("1.png", PNG), ("1.cls", b"1")])
    (tmp_path / "classes.txt").write_text("1\n\n")
    source = open_images(ImagesConfig(path=str(tmp_path)))
    (batch,) = source.batches(source.describe())
    assert batch["image_id"] == ["a.tar/1.png"]
    assert "label" not in batch
