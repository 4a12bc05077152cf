"""Reading images from object storage: the checks of local files, two requests per image."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.images.decode import MAX_BYTES
from snellen.pipelines.data.image_reader import ImageAccess, ImageFile, read_image
from snellen.pipelines.storage import clients
from snellen.pipelines.storage.address import frozen_options
from snellen.pipelines.storage.clients import ATTEMPTS
from snellen.pipelines.storage.remote_path import RemotePath
from tests.s3_server import S3Server

DATA = b"some bytes of an image" * 40
_names = itertools.count()


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """A bucket for one test, since the server outlives it."""
    return s3.put(f"read-{next(_names)}", {"set/a.png": DATA, "set/empty.png": b""})


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_FIRST_PAUSE", 0.0)


def read(s3: S3Server, address: str, **options: Any) -> bytes:
    place = RemotePath(address.rpartition("/set/")[0] + "/set")
    access = ImageAccess(place, storage=frozen_options(s3.options))
    return read_image(ImageFile(address, **options), access)


def error(s3: S3Server, address: str, **options: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read(s3, address, **options)
    assert caught.value.stage is ErrorStage.READ
    for secret in ("test-secret-key", "test-access-key", str(s3.port)):
        assert secret not in caught.value.message
    return caught.value


def test_an_image_takes_two_requests(s3: S3Server, bucket: str) -> None:
    stat = RemotePath(f"{bucket}/set/a.png", frozen_options(s3.options)).stat()
    s3.requests.clear()
    data = read(s3, f"{bucket}/set/a.png", size=stat.st_size, mtime_ns=stat.st_mtime_ns)
    assert data == DATA
    assert [method for method, _, _ in s3.requests] == ["HEAD", "GET"]
    s3.requests.clear()
    part = read(s3, f"{bucket}/set/a.png", size=len(DATA), member=(5, 10))
    assert part == DATA[5:15]
    assert len(s3.requests) == 2


def test_what_is_wrong_with_an_object(s3: S3Server, bucket: str) -> None:
    file = f"{bucket}/set/a.png"
    assert error(s3, f"{bucket}/set/gone.png").code is ErrorCode.NOT_FOUND
    assert error(s3, "s3://no-such-bucket/set/a.png").code is ErrorCode.NOT_FOUND
    assert error(s3, f"{bucket}/set/empty.png").code is ErrorCode.EMPTY
    assert error(s3, file, size=len(DATA) + 1).code is ErrorCode.CHANGED
    stat = RemotePath(file, frozen_options(s3.options)).stat()
    assert stat.st_mtime_ns is not None
    later = {"size": len(DATA), "mtime_ns": stat.st_mtime_ns - 10**9}
    assert error(s3, file, **later).code is ErrorCode.CHANGED
    assert error(s3, file, member=(len(DATA) - 3, 10)).code is ErrorCode.CHANGED


def test_a_key_with_dots_is_never_asked_for(s3: S3Server, bucket: str) -> None:
    for key in ("set/../set/a.png", "../other/set/a.png"):
        assert error(s3, f"{bucket}/{key}").code is ErrorCode.PATH_ESCAPE
    assert s3.requests == []


def test_what_is_over_the_limit_is_not_downloaded(s3: S3Server) -> None:
    name = f"read-{next(_names)}"
    address = s3.put(name, {"set/big.png": bytes(MAX_BYTES + 1)})
    assert error(s3, f"{address}/set/big.png").code is ErrorCode.BYTE_LIMIT
    assert [method for method, _, _ in s3.requests] == ["HEAD"]


def test_throttling_is_sat_out(s3: S3Server, bucket: str) -> None:
    for verb in ("HEAD", "GET"):
        left = itertools.count()
        s3.answer = lambda method, _, v=verb, n=left: (
            (503, "SlowDown") if method == v and next(n) < 2 else None
        )
        assert read(s3, f"{bucket}/set/a.png") == DATA


def test_a_server_that_stays_busy_is_an_error_after_bounded_tries(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "ATTEMPTS", 2)
    s3.answer = lambda *_: (503, "SlowDown")
    failed = error(s3, f"{bucket}/set/a.png")
    assert failed.code is ErrorCode.IO
    assert "503" in failed.message
    assert len(s3.requests) <= 2 * 2
    assert ATTEMPTS <= 3


def test_a_permanent_failure_is_not_retried(s3: S3Server, bucket: str) -> None:
    s3.answer = lambda *_: (403, "AccessDenied")
    failed = error(s3, f"{bucket}/set/a.png")
    assert (failed.code, failed.message) == (
        ErrorCode.IO,
        "AWS Error ACCESS_DENIED during HeadObject operation: No response body.",
    )
    assert len(s3.requests) == 1


def test_reads_overlap_in_threads(s3: S3Server, bucket: str) -> None:
    read(s3, f"{bucket}/set/a.png")
    s3.delay = 0.1
    with ThreadPoolExecutor(8) as pool:
        started = time.perf_counter()
        found = list(pool.map(lambda _: read(s3, f"{bucket}/set/a.png"), range(16)))
    # One after the other they would wait for 3.2 s.
    assert time.perf_counter() - started < 1.6
    assert set(found) == {DATA}


def test_one_client_serves_a_bucket(s3: S3Server, bucket: str) -> None:
    options = frozen_options(s3.options)
    one, _ = clients.client_of(f"{bucket}/a", options)
    assert clients.client_of(f"{bucket}/set/b", options)[0] is one
    assert clients.client_of("s3://another/b", options)[0] is not one


def test_storage_without_a_client_of_pyarrows_goes_through_fsspec(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/set/a.png", DATA)
    access = ImageAccess(RemotePath("memory://bucket/set"))
    plain = ImageFile("memory://bucket/set/a.png", size=len(DATA))
    assert read_image(plain, access) == DATA
    for changed, code in (
        (replace(plain, size=3), ErrorCode.CHANGED),
        (replace(plain, member=(0, 0)), ErrorCode.EMPTY),
    ):
        with pytest.raises(ImageError) as caught:
            read_image(changed, access)
        assert caught.value.code is code
    memory.rm("/bucket/set/a.png")
    with pytest.raises(ImageError) as caught:
        read_image(plain, access)
    assert caught.value.code is ErrorCode.NOT_FOUND
