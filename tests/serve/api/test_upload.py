"""Multipart bodies are read in memory, within limits, however they are cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from snellen.serve.api.admission import Admission
from snellen.serve.api.problems import Problem
from snellen.serve.api.upload import Form, read_form
from snellen.serve.config import LimitsConfig

BOUNDARY = "xyz"
KNOWN = ("training_job_id", "checkpoint")


def part(name: str, data: bytes, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
IMAGE = bytes(range(256)) * 5 + b"\r\n--xy" + b"\r\n" * 3
BODY = (
    part("training_job_id", b"7") + part("image", IMAGE, "a b.png") + part("checkpoint", b"") + END
)


def read(
    chunks: Sequence[bytes], *, content_type: str | None = None, length: int | str | None = None,
    admission: Admission | None = None, delay: float = 0.0, **limits: Any,
) -> Form:  # fmt: skip
    """What ``read_form`` makes of a body that comes in these pieces."""
    config = LimitsConfig.model_validate(limits)
    admission = admission or Admission(config)
    kind = content_type or f"multipart/form-data; boundary={BOUNDARY}"
    headers = [(b"content-type", kind.encode())]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}

    async def messages() -> AsyncIterator[dict[str, Any]]:
        for chunk in chunks:
            await asyncio.sleep(delay)
            yield {"type": "http.request", "body": chunk, "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}

    async def run() -> Form:
        stream = messages()
        request = Request(scope, stream.__anext__)
        with admission.request() as holding:
            return await read_form(
                request, file_field="image", known=KNOWN, limits=config, holding=holding
            )

    try:
        return asyncio.run(run())
    finally:
        assert (admission.buffered, admission.open) == (0, 0)


def refused(*arguments: Any, **options: Any) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        read(*arguments, **options)
    return caught.value.status, caught.value.code


@given(st.lists(st.integers(0, len(BODY)), max_size=12))
def test_however_it_is_cut_it_is_the_same_form(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(BODY)]
    chunks = [BODY[a:b] for a, b in pairwise(edges)]
    form = read(chunks)
    assert form.file is not None
    assert (form.file.name, bytes(form.file.data)) == ("a b.png", IMAGE)
    assert form.fields == {"training_job_id": "7", "checkpoint": ""}


@given(st.binary(max_size=300))
def test_any_bytes_are_a_form_or_a_problem(data: bytes) -> None:
    for body in (data, part("image", data, "a"), BODY[: len(data)] + data):
        try:
            read([body])
        except Problem as problem:
            assert problem.status in {400, 413, 422}


def test_what_is_no_form() -> None:
    assert refused([BODY[:-10]]) == (400, "MULTIPART")
    assert refused([b""]) == (400, "MULTIPART")
    assert refused([BODY], content_type="application/json") == (400, "MULTIPART")
    assert refused([BODY], content_type="multipart/form-data") == (400, "MULTIPART")
    long = "multipart/form-data; boundary=" + "x" * 80
    assert refused([BODY], content_type=long) == (400, "MULTIPART")
    nameless = f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nx\r\n".encode() + END
    assert refused([nameless]) == (400, "MULTIPART")
    many = f"--{BOUNDARY}\r\n".encode() + b"A: b\r\n" * 100 + b"\r\nx\r\n" + END
    assert refused([many]) == (400, "MULTIPART")


def test_fields_that_are_not_expected() -> None:
    two = part("image", b"a", "a") + part("image", b"b", "b") + END
    assert refused([two]) == (422, "FORM_FILES")
    assert refused([part("colour", b"red") + END]) == (422, "FORM_FIELD")
    assert refused([part("checkpoint", b"a") * 2 + END]) == (422, "FORM_FIELD")
    assert refused([part("checkpoint", b"a" * 5000) + END]) == (413, "BYTE_LIMIT")
    with pytest.raises(Problem, match="unknown field 'colour'; it takes checkpoint, image"):
        read([part("colour", b"red") + END])


def test_a_body_over_the_limit_is_refused_while_it_arrives() -> None:
    pieces = [part("image", b"", "a")[:-2], *[b"x" * 1000] * 300]
    assert refused(pieces, max_image_bytes=100_000) == (413, "BYTE_LIMIT")
    assert refused([BODY], length=10**12) == (413, "BYTE_LIMIT")
    assert refused([BODY], length="9" * 5000) == (413, "BYTE_LIMIT")
    # Not only the image: a form of many headers is bounded, too.
    assert refused([b"--xyz\r\n" + b"a" * 300_000], max_image_bytes=1)[0] in {400, 413}


def test_a_slow_body_is_408() -> None:
    slow = [BODY[i : i + 1] for i in range(50)]
    assert refused(slow, delay=0.02, body_timeout_s=0.1) == (408, "BODY_TIMEOUT")


def test_memory_for_uploads_is_bounded_over_all_requests() -> None:
    admission = Admission(LimitsConfig.model_validate({"max_buffered_bytes": 3000}))
    with admission.request() as other:
        other.add(2500)
        with pytest.raises(Problem) as caught, admission.request() as holding:
            holding.add(501)
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})
        assert admission.buffered == 2500
    assert admission.buffered == 0
