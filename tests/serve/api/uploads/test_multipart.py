"""Multipart bodies are read in memory and within limits, however they are chunked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from snellen.serve.api.middleware.admission import Admission
from snellen.serve.api.problems import Problem
from snellen.serve.api.uploads.multipart import Form, FormSpec, read_form
from snellen.serve.config import LimitsConfig

BOUNDARY = "xyz"
EXPECTED = FormSpec("image", ("training_job_id", "checkpoint"))


def part(name: str, data: bytes, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
IMAGE = bytes(range(256)) * 5 + b"\r\n--xy" + b"\r\n" * 3
BODY = (
    part("training_job_id", b"7") + part("image", IMAGE, "a b.png") + part("checkpoint", b"") + END
)


@dataclass(frozen=True)
class Sent:
    """A way of sending a body."""

    content_type: str = f"multipart/form-data; boundary={BOUNDARY}"
    length: int | str | None = None
    delay_s: float = 0.0


def read(
    chunks: Sequence[bytes],
    sent: Sent | None = None,
    *,
    admission: Admission | None = None,
    **limits: Any,
) -> Form:
    """Read a body that arrives in these chunks."""
    sent = sent or Sent()
    config = LimitsConfig.model_validate(limits)
    admission = admission or Admission(config)
    headers = [(b"content-type", sent.content_type.encode())]
    if sent.length is not None:
        headers.append((b"content-length", str(sent.length).encode()))
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}

    async def messages() -> AsyncIterator[dict[str, Any]]:
        for chunk in chunks:
            await asyncio.sleep(sent.delay_s)
            yield {"type": "http.request", "body": chunk, "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}

    async def run() -> Form:
        stream = messages()
        request = Request(scope, stream.__anext__)
        with admission.request() as reservation:
            return await read_form(request, EXPECTED, config, reservation)

    try:
        return asyncio.run(run())
    finally:
        assert (admission.buffered, admission.open) == (0, 0)


def rejected(*arguments: Any, **options: Any) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        read(*arguments, **options)
    return caught.value.status, caught.value.code


@given(st.lists(st.integers(0, len(BODY)), max_size=12))
def test_the_form_does_not_depend_on_the_chunks(cuts: list[int]) -> None:
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


def test_malformed_bodies_are_rejected() -> None:
    assert rejected([BODY[:-10]]) == (400, "MULTIPART")
    assert rejected([b""]) == (400, "MULTIPART")
    assert rejected([BODY], Sent("application/json")) == (400, "MULTIPART")
    assert rejected([BODY], Sent("multipart/form-data")) == (400, "MULTIPART")
    long = "multipart/form-data; boundary=" + "x" * 80
    assert rejected([BODY], Sent(long)) == (400, "MULTIPART")
    nameless = f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nx\r\n".encode() + END
    assert rejected([nameless]) == (400, "MULTIPART")
    many = f"--{BOUNDARY}\r\n".encode() + b"A: b\r\n" * 100 + b"\r\nx\r\n" + END
    assert rejected([many]) == (400, "MULTIPART")


def test_unexpected_fields_are_rejected() -> None:
    two = part("image", b"a", "a") + part("image", b"b", "b") + END
    assert rejected([two]) == (422, "FORM_FILES")
    assert rejected([part("colour", b"red") + END]) == (422, "FORM_FIELD")
    assert rejected([part("checkpoint", b"a") * 2 + END]) == (422, "FORM_FIELD")
    assert rejected([part("checkpoint", b"a" * 5000) + END]) == (413, "BYTE_LIMIT")
    with pytest.raises(Problem, match=r"Unknown form field 'colour'\. Expected: checkpoint, image"):
        read([part("colour", b"red") + END])


def test_a_body_over_the_limit_is_rejected_while_it_arrives() -> None:
    pieces = [part("image", b"", "a")[:-2], *[b"x" * 1000] * 300]
    assert rejected(pieces, max_image_bytes=100_000) == (413, "BYTE_LIMIT")
    assert rejected([BODY], Sent(length=10**12)) == (413, "BYTE_LIMIT")
    assert rejected([BODY], Sent(length="9" * 5000)) == (413, "BYTE_LIMIT")
    # Not only the image is limited, but also a form with many headers.
    assert rejected([b"--xyz\r\n" + b"a" * 300_000], max_image_bytes=1)[0] in {400, 413}


def test_a_slow_body_is_408() -> None:
    slow = [BODY[i : i + 1] for i in range(50)]
    assert rejected(slow, Sent(delay_s=0.02), body_timeout_s=0.1) == (408, "BODY_TIMEOUT")


def test_memory_for_uploads_is_bounded_over_all_requests() -> None:
    admission = Admission(LimitsConfig.model_validate({"max_buffered_bytes": 3000}))
    with admission.request() as other:
        other.add(2500)
        with pytest.raises(Problem) as caught, admission.request() as reservation:
            reservation.add(501)
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})
        assert admission.buffered == 2500
    assert admission.buffered == 0
