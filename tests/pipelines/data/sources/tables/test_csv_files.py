"""CSV files as people have them; pandas is the reference for their cells."""

from __future__ import annotations

import csv
import datetime
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.class_map import align_classes
from snellen.pipelines.data.sources.registry import open_source
from tests.contracts.source_contract import collected
from tests.pipelines.data.listed import Listed
from tests.pipelines.making import write_image

HEADER = ["path", "label", "note"]
ROWS = [
    ["0.png", "NA", "a, b"],
    ["1.png", "nan", 'say "hi"'],
    ["2.png", "null", "two\nlines"],
    ["3.png", "None", ""],
    ["4.png", "café", "x"],
    ["5.png", "007", " y "],
]
LABELS = {"NA", "nan", "null", "None", "café", "007"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(6):
        write_image(tmp_path / f"{number}.png")
    return tmp_path


def written(root: Path, content: str | bytes, name: str = "set.csv") -> Path:
    (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return root / name


def text_of(delimiter: str = ",", line_end: str = "\n", **options: Any) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=line_end, **options)
    writer.writerows([HEADER, *ROWS])
    return stream.getvalue()


def rejection(path: Path, **config: Any) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        Listed(path, **config)
    return caught.value.code, caught.value.message


FILES: dict[str, tuple[bytes, str, str]] = {
    "O-comma": (text_of().encode(), "set.csv", ","),
    "O-semicolon": (text_of(";").encode(), "set.csv", ";"),
    "O-tab": (text_of("\t").encode(), "set.csv", "\t"),
    "O-bar": (text_of("|").encode(), "set.csv", "|"),
    "O-tsv": (text_of("\t").encode(), "set.tsv", "\t"),
    "O-upper-case-suffix": (text_of().encode(), "set.CSV", ","),
    "O-mark": (text_of().encode("utf-8-sig"), "set.csv", ","),
    "O-utf16": (text_of().encode("utf-16"), "set.csv", ","),
    "O-utf16-big-endian": (("\ufeff" + text_of()).encode("utf-16-be"), "set.csv", ","),
    "O-windows-line-ends": (text_of(line_end="\r\n").encode(), "set.csv", ","),
    "O-all-quoted": (text_of(quoting=csv.QUOTE_ALL).encode(), "set.csv", ","),
    "O-blank-lines": (b"\n\n" + text_of().encode() + b"\n\n", "set.csv", ","),
}


@pytest.mark.parametrize(("content", "name", "delimiter"), FILES.values(), ids=FILES)
def test_cells_are_those_that_pandas_reads(
    root: Path, content: bytes, name: str, delimiter: str
) -> None:
    pandas = pytest.importorskip("pandas")
    path = written(root, content, name)
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    frame = pandas.read_csv(
        path, sep=delimiter, dtype=str, keep_default_na=False, encoding=encoding
    )
    found = Listed(path)
    assert found.ids == frame["path"].tolist() == [row[0] for row in ROWS]
    assert found.column("label") == frame["label"].tolist() == [row[1] for row in ROWS]
    assert [note or "" for note in found.column("meta_note")] == frame["note"].tolist()
    assert set(found.info.classes or ()) == LABELS
    assert set(found.report["classes"].values()) == {1}


def test_only_an_empty_cell_is_a_missing_label(root: Path) -> None:
    found = Listed(written(root, 'path,label\n0.png,NA\n1.png,\n2.png,""\n3.png, cat \n'))
    assert found.info.classes == ("", "cat", "NA")
    assert found.column("label") == ["NA", None, "", "cat"]


@pytest.mark.parametrize(
    ("early", "late", "kind", "expected"),
    [
        ("1", "x", pa.string(), ["1", "x"]),
        ("1", "2.5", pa.float64(), [1.0, 2.5]),
        ("1", "2", pa.int64(), [1, 2]),
        ("1", "NA", pa.int64(), [1, None]),
        ("1", "007", pa.string(), ["1", "007"]),
        ("1.5", "NA", pa.float64(), [1.5, None]),
        ("red", "NA", pa.string(), ["red", "NA"]),
        ("true", "false", pa.bool_(), [True, False]),
        ("true", "1", pa.string(), ["true", "1"]),
        ("2026-01-02", "2026-01-03", pa.date32(), [datetime.date(2026, 1, n) for n in (2, 3)]),
        ("2026-01-02", "soon", pa.string(), ["2026-01-02", "soon"]),
        ("2026-01-02 10:00", "2026-01-02T10:00:01", pa.timestamp("s"),
         [datetime.datetime(2026, 1, 2, 10, 0, n) for n in (0, 1)]),
        ("", "5", pa.int64(), [None, 5]),
        ("", "", pa.string(), [None, None]),
    ],
)  # fmt: skip
def test_the_type_of_a_column_is_that_of_the_whole_file(
    root: Path, early: str, late: str, kind: pa.DataType, expected: list[Any]
) -> None:
    # The last cell lies behind the first megabyte, by which types are usually guessed.
    lines = [f"{'./' * 30}0.png,{early},{number}" for number in range(20_000)]
    lines[-1] = f"0.png,{late},x"
    path = written(root, "\n".join(["path,value,image_id", *lines]))
    assert path.stat().st_size > 1 << 20
    found = Listed(path)
    (field,) = found.info.meta_fields
    assert (field.name, field.type) == ("meta_value", kind)
    values = found.column("meta_value")
    assert [values[0], values[-1]] == expected


NAMES = {
    "path": [
        "path", "Path", "filepath", "file_path", "file", "filename", "file_name", "image",
        "IMAGE", "img_path", "image_path", "Image Path", "location", "ImageID",
    ],
    "label": ["label", "Label", "class", "class_name", "Category", "target", "y"],
}  # fmt: skip


@pytest.mark.parametrize("path_name", NAMES["path"])
@pytest.mark.parametrize("label_name", NAMES["label"])
def test_columns_go_by_their_usual_names(root: Path, path_name: str, label_name: str) -> None:
    found = Listed(written(root, f"{label_name};{path_name}\ncat;0.png\ndog;1.png\n"))
    assert found.labels == {"0.png": "cat", "1.png": "dog"}
    assert found.info.meta_fields == ()


def test_columns_by_the_configuration(root: Path) -> None:
    path = written(root, "key,photo,path,label,y\na,0.png,old/0.png,cat,7\n")
    assert rejection(path) == (
        "DATASET_COLUMNS",
        f"dataset.path: '{path}' has the columns label and y, each of which may be the label. "
        "Expected one. Set dataset.columns={label: label}.",
    )
    found = Listed(path, columns={"path": "photo", "label": "y", "id": "key"})
    assert found.labels == {"a": "7"}
    assert [field.name for field in found.info.meta_fields] == ["meta_path", "meta_label"]


HEADERS: dict[str, tuple[str, dict[str, str], str]] = {
    "O-two-paths": ("path,file,label\n", {}, "has the columns path and file, each of which may be"),
    "O-two-cases": ("Path,path\n", {}, "has the columns Path and path, each of which may be"),
    "O-duplicate-column": ("path,label,label\n", {}, r"has the column 'label' 2 times\. Expected"),
    "O-duplicate-meta": ("path,a,a,a\n", {}, "has the column 'a' 3 times"),
    "O-no-path": ("a,b\n", {}, r"has the columns a, b, none of which is a path\. Expected"),
    "O-no-header": ("0.png,cat\n1.png,dog\n", {}, "has no header: its first line is 0.png, cat"),
    "O-no-header-folders": ("x/0,cat\nx/1,dog\n", {}, r"Add the first line path,label\."),
    "O-no-such-column": ("path,label\n", {"label": "lable"}, "did you mean label"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "columns", "message"), HEADERS.values(), ids=HEADERS)
def test_a_header_that_leaves_a_doubt_is_rejected(
    root: Path, text: str, columns: dict[str, str], message: str
) -> None:
    path = written(root, text)
    with pytest.raises(InputError, match=message) as caught:
        Listed(path, columns=columns)
    assert caught.value.code == "DATASET_COLUMNS"


BROKEN: dict[str, tuple[bytes, str]] = {
    "O-latin1": (
        "path,label\n0.png,cat\n1.png,café\n".encode("latin-1"),
        r"line 3 has the byte 0xE9\. Expected UTF-8.*the line is '1.png,café'.*iconv -f WINDOWS",
    ),
    "O-utf16-without-mark": ("path,label\n0.png,a\n".encode("utf-16-le"), "it has NUL bytes, as U"),
    "O-empty": (b"", r"it is empty\. Expected Parquet or CSV"),
    "O-too-many-cells": (b"path,label\n0.png,a\n1.png,b,c\n", "Expected 2 columns, got 3"),
    "O-too-few-cells": (b"path,label\n0.png,a\n1.png\n", "Expected 2 columns, got 1"),
    "O-open-quote-of-a-label": (
        b'path,label\n0.png,"a\n1.png,b\n2.png,c\n',
        "begins with 'a' has a line break: its quote is",
    ),
    "O-open-quote-of-a-path": (b'path,label\n"0.png,a\n1.png",b\n', "begins with '0.png,a' has a"),
    "O-open-quote-of-a-note": (
        b'path,label,note\n0.png,a,"x\n1.png,b,y\n',
        "begins with 'x' has a line break",
    ),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_read_whole_is_rejected(
    root: Path, content: bytes, message: str
) -> None:
    path = written(root, content)
    with pytest.raises(InputError, match=message) as caught:
        Listed(path)
    assert caught.value.code == "DATASET_UNREADABLE"
    assert str(path) in caught.value.message


def test_a_column_without_a_name_is_the_index_of_a_data_frame(root: Path) -> None:
    found = Listed(written(root, ",path,label\n0,0.png,cat\n1,1.png,dog\n"))
    assert found.labels == {"0.png": "cat", "1.png": "dog"}
    assert found.info.meta_fields == ()


def test_rows_without_a_path_and_paths_that_lead_nowhere(root: Path) -> None:
    assert rejection(written(root, "path,label\n0.png,a\n,b\n")) == (
        "DATASET_COLUMNS",
        f"dataset.path: '{root}/set.csv' has a row without a path. Expected one image per row. "
        "Remove the row.",
    )
    path = written(root, "path,label\nold/0.png,a\nold/1.png,b\n")
    code, message = rejection(path)
    assert code == "DATASET_IMAGES_NOT_FOUND"
    assert f"none of the first 2 images of '{path}' exists; the first is '{root}/old/0.png'" in (
        message
    )
    (root / "old").symlink_to(".")
    assert Listed(path).ids == ["old/0.png", "old/1.png"]


def test_two_spellings_of_a_path_are_duplicates(root: Path) -> None:
    path = written(root, "path,label\n./0.png,a\n0.png,b\n")
    assert rejection(path)[0] == "DATASET_DUPLICATE_IDS"
    assert Listed(written(root, "path,label\n./0.png,a\n././1.png,b\n")).ids == ["0.png", "1.png"]


def test_a_quoted_empty_label_is_a_class_name(tmp_path: Path) -> None:
    """O: only an empty cell without quotes has no label."""
    file = tmp_path / "set.csv"
    file.write_text('path,label\na.png,""\nb.png,x\nc.png,\n')
    for name in "abc":
        write_image(tmp_path / f"{name}.png")
    source = open_source(DatasetConfig(path=str(file)))
    info = source.describe()
    assert info.classes == ("", "x")
    assert collected(source, info)["label"] == ["", "x", None]
    assert align_classes(info.classes, ("x", "")).class_id("") == 1
