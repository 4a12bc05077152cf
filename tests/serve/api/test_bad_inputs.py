"""Broken inputs, and the status and code of each response."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sqlalchemy.exc import OperationalError

from snellen.adapters.errors import RunError
from snellen.serve.api.recording.recorder import Recorder
from snellen.store.jobs import get_training_job
from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local_service import FIXTURES, add_job, served

pytestmark = pytest.mark.anyio
Jobs = dict[str, JobView]


def claiming(width: int, height: int) -> bytes:
    """Create a small PNG whose header claims this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


FRAMES = [Image.new("P", (30, 20), color) for color in (0, 5, 9)]
IMAGES: list[tuple[str, bytes, int, str | None]] = [
    ("empty", b"", 400, "EMPTY"),
    ("text", b"this is no image at all", 415, "UNSUPPORTED"),
    ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "UNSUPPORTED"),
    ("eps", b"%!PS-Adobe-3.0 EPSF-3.0\n", 415, "UNSUPPORTED"),
    ("pdf", b"%PDF-1.7\n", 415, "UNSUPPORTED"),
    ("psd", b"8BPS\0\1" + bytes(20), 415, "UNSUPPORTED"),
    ("fits", b"SIMPLE  =                    T" + bytes(3000), 415, "UNSUPPORTED"),
    ("truncated", picture("JPEG")[:600], 422, "TRUNCATED"),
    ("bomb", claiming(10_000, 10_000), 413, "PIXEL_LIMIT"),
    ("no pixels", claiming(0, 5), 422, "DIMENSION"),
    ("exif", saved(Image.new("RGB", (40, 20)), "JPEG", exif=b"Exif\0\0broken"), 200, None),
    ("icc", saved(Image.new("RGB", (40, 20)), "JPEG", icc_profile=b"broken"), 200, None),
    ("frames", saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), 200, None),
    ("1x30000", saved(Image.new("RGB", (1, 30_000)), "PNG"), 200, None),
    ("16 bit", saved(Image.fromarray(np.full((20, 30), 40_000, np.uint16)), "PNG"), 200, None),
    ("cmyk", saved(Image.new("CMYK", (30, 20)), "JPEG"), 200, None),
    ("palette", saved(Image.new("P", (30, 20)), "GIF"), 200, None),
    ("alpha", saved(Image.new("RGBA", (30, 20)), "PNG"), 200, None),
    ("one pixel", saved(Image.new("RGB", (1, 1)), "PNG"), 200, None),
    ("polyglot", picture() + b"<?php system('id'); ?>", 200, None),
]


@pytest.mark.parametrize("case", [row[1:] for row in IMAGES], ids=[row[0] for row in IMAGES])
async def test_images(
    case: tuple[bytes, int, str | None], db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    data, status, code = case
    async with served(db, tmp_path) as service:
        response = await service.single(data, jobs["detect"].id, "a.png")
    assert response.status_code == status, response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "0x" not in response.text
    if code is not None:
        assert response.json()["code"] == code
        assert response.headers["content-type"] == "application/problem+json"


async def test_an_image_with_an_orientation_equals_its_upright_twin(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    upright = Image.open(io.BytesIO(picture()))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    turned = saved(upright.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    async with served(db, tmp_path) as service:
        job = jobs["detect"].id
        one, two = [(await service.single(data, job)).json() for data in (picture(), turned)]
    assert one["predicted_boxes"]
    assert one["predicted_boxes"] == two["predicted_boxes"]


async def test_a_file_over_the_limit(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    async with served(db, tmp_path, limits={"max_image_bytes": 10_000}) as service:
        response = await service.single(picture() + bytes(20_000), jobs["detect"].id)
        assert (response.status_code, response.json()["code"]) == (413, "BYTE_LIMIT")

        async def endless() -> Any:
            yield b"--x\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n"
            for _ in range(100):
                yield bytes(10_000)

        kind = {"content-type": "multipart/form-data; boundary=x"}
        chunked = await service.client.post("/inference/single", content=endless(), headers=kind)
        assert (chunked.status_code, chunked.json()["code"]) == (413, "BYTE_LIMIT")
        assert service.state.admission.buffered == 0


async def test_file_names_are_displayed_and_never_opened(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    async with served(db, tmp_path) as service:
        for name, shown in (
            ("../../../etc/passwd", "passwd"),
            ("<script>", "<script>"),
            ("=cmd|a", "=cmd|a"),
            ("e\u0301.png", "e\u0301.png"),  # decomposed, as macOS has it
            ("\u00e9.png", "\u00e9.png"),
            ("n" * 300 + ".png", "n" * 196 + ".png"),
        ):
            response = await service.single(picture(), jobs["classify"].id, name)
            assert response.status_code == 200, response.text
            assert response.json()["image_name"] == shown
            assert "text/html" not in response.headers["content-type"]


class Payload:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("payload-ran",)


CHECKPOINTS: list[tuple[str, Callable[[Path], object]]] = [
    ("empty", lambda path: path.write_bytes(b"")),
    ("truncated", lambda path: path.write_bytes((FIXTURES / "tiny-detect.pt").read_bytes()[:999])),
    ("jpeg", lambda path: path.write_bytes(picture("JPEG"))),
    ("list", lambda path: torch.save([1, 2], path)),
    ("int", lambda path: torch.save(3, path)),
    ("none", lambda path: torch.save(None, path)),
    ("payload", lambda path: torch.save({"model": Payload()}, path)),
    ("bomb", lambda path: torch.save({"model": torch.zeros(1).expand(10**11)}, path)),
]


@pytest.mark.parametrize("write", [row[1] for row in CHECKPOINTS], ids=[r[0] for r in CHECKPOINTS])
async def test_checkpoints(
    write: Callable[[Path], object], db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "best.pt"
    write(file)
    job = add_job(db, "bad", file)
    async with served(db, tmp_path) as service:
        response = await service.single(picture(), job.id)
    assert response.status_code == 422, response.text
    assert response.json()["code"].startswith("CHECKPOINT_")
    assert str(tmp_path) not in response.text
    assert not (tmp_path / "payload-ran").exists()


async def test_class_names_that_do_not_match_the_checkpoint(db: Database, tmp_path: Path) -> None:
    """No prediction gets a shifted name, and a service that preloads such a model is not ready."""
    checkpoint = FIXTURES / "tiny-detect.pt"
    job = add_job(db, "two", checkpoint, class_names=["a", "b"], num_classes=2)
    async with served(db, tmp_path, model={"preload": [{"job": "two"}]}) as service:
        response = await service.single(picture(), job.id)
        while service.state.preload_failure is None:
            await asyncio.sleep(0.01)
        ready = await service.client.get("/health/ready")
    assert (response.status_code, response.json()["code"]) == (409, "CLASS_COUNT")
    assert (ready.status_code, ready.json()["code"]) == (503, "PRELOAD_FAILED")
    assert ready.json()["detail"] == "model.preload[0] cannot be loaded: CLASS_COUNT."


async def test_an_onnx_file_with_external_data(db: Database, tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../../etc/passwd")
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 8, 8])
    node = helper.make_node("Add", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [image], [out], initializer=[outside])
    file = tmp_path / "model.onnx"
    file.write_bytes(helper.make_model(graph).SerializeToString())
    job = add_job(
        db,
        "odd",
        file,
        framework="onnx",
        task_type="image_classification",
        model_name="resnet18",
        class_names=["a", "b", "c"],
        num_classes=3,
    )
    async with served(db, tmp_path) as service:
        response = await service.single(picture(), job.id)
    assert response.status_code == 422
    assert response.json()["code"].startswith("CHECKPOINT_")
    assert str(tmp_path) not in response.text


async def test_a_model_with_output_that_is_not_finite(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    async with served(db, tmp_path) as service:
        await service.single(picture(), jobs["classify"].id)
        (model,) = service.backend.loaded.values()
        for parameter in model.adapter._model.parameters():  # type: ignore[attr-defined]
            parameter.data.fill_(float("nan"))
        response = await service.single(picture(), jobs["classify"].id)
    assert (response.status_code, response.json()["code"]) == (500, "MODEL_NONFINITE")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("DISK_FULL", 507),
        ("DATABASE_LOCKED", 503),
        ("DATABASE_CONNECTION", 503),
        ("DATABASE_READONLY", 503),
        ("OUTPUT_NOT_WRITABLE", 503),
    ],
)
@pytest.mark.usefixtures("jobs")
async def test_recording_that_fails(
    code: str, status: int, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RunError(code, "/secret/runs.db, postgres://secret")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Recorder, "record", fail)
    async with served(db, tmp_path) as service:
        job = get_training_job(db, "tiny-classify").id
        response = await service.single(picture(), job, record="true")
        live = await service.client.get("/health/live")
        plain = await service.single(picture(), job)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "secret" not in response.text
    assert ("retry-after" in response.headers) == (status == 503)
    assert live.status_code == plain.status_code == 200


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, (507, "DISK_FULL")),
        (errno.EROFS, (503, "OUTPUT_NOT_WRITABLE")),
        (errno.EIO, (503, "OUTPUT_NOT_WRITABLE")),
    ],
)
@pytest.mark.usefixtures("jobs")
async def test_a_failed_write_leaves_no_annotated_image(
    number: int,
    expected: tuple[int, str],
    db: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    async with served(db, tmp_path / "runs") as service:
        job = get_training_job(db, "tiny-detect").id
        await service.single(picture(), job)
        monkeypatch.setattr("snellen.store.atomic_file.os.fsync", fail)
        response = await service.single(picture(), job, record="true", visualize="true")
    assert (response.status_code, response.json()["code"]) == expected
    assert [path for path in (tmp_path / "runs").rglob("*") if path.is_file()] == []


async def test_an_unreachable_database(
    db: Database, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(db, tmp_path) as service:

        def lost(*_: object) -> None:
            raise OperationalError("SELECT", {}, Exception("unable to open database file"))

        monkeypatch.setattr("sqlalchemy.orm.Session.execute", lost)
        monkeypatch.setattr("sqlalchemy.orm.Session.scalar", lost)
        response = await service.single(picture(), jobs["classify"].id)
        ready = await service.client.get("/health/ready")
    assert (response.status_code, response.json()["code"]) == (503, "DATABASE_UNREACHABLE")
    assert ready.status_code == 503
