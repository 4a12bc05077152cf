"""Bytes of requests and responses: JSON, with binary tensors after it if both sides use them."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from snellen.serve.api.open_inference.bodies import (
    INPUT,
    InferBody,
    InferInput,
    InferResponse,
    OutputTensor,
)
from snellen.serve.api.open_inference.outputs import BYTES, Output, Tensor
from snellen.serve.api.problems import Problem, validation_problem
from snellen.serve.config import LimitsConfig

LENGTH_HEADER = "Inference-Header-Content-Length"
_SIZE = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class InferCall:
    """A parsed request: its JSON, and the files of the images."""

    body: InferBody
    images: list[bytes]


def parse_request(content: bytes, json_length: str | None, limits: LimitsConfig) -> InferCall:
    """Parse the body of a request.

    Args:
        content: the whole body.
        json_length: value of ``Inference-Header-Content-Length``; None without binary data.
        limits: number and size of the images.

    Raises:
        Problem: 400 malformed, 413 an image is too large.
    """
    view = memoryview(content)
    split = len(view) if json_length is None else _json_length(json_length, len(view))
    try:
        body = InferBody.model_validate_json(bytes(view[:split]))
    except ValidationError as error:
        problem = validation_problem(list(error.errors(include_url=False, include_input=False)))
        raise Problem(400, problem.code, str(problem.detail)) from None
    one = body.inputs[0]
    count = _count(one, limits)
    if one.parameters.binary_data_size is None:
        if split != len(view):
            raise _malformed(f"{len(view) - split} bytes follow the JSON, and no input is binary")
        images = _from_json(one, count)
    else:
        if one.data is not None:
            raise _malformed(f"input '{INPUT}' has both data and binary_data_size")
        images = _from_binary(view[split:], one.parameters.binary_data_size, count)
    for number, image in enumerate(images):
        if not image:
            raise Problem(400, "EMPTY", f"Image {number} is empty (0 bytes).")
        if len(image) > limits.max_image_bytes:
            limit = limits.max_image_bytes
            raise Problem(413, "BYTE_LIMIT", f"Image {number} is larger than {limit} bytes.")
    return InferCall(body, images)


def _malformed(what: str) -> Problem:
    return Problem(400, "TENSOR", f"{what[:1].upper()}{what[1:]}.")


def _json_length(text: str, size: int) -> int:
    if not text.isdecimal() or len(text) > 18 or int(text) > size:
        raise _malformed(
            f"{LENGTH_HEADER} is {text[:40]!r}. Expected the size of the JSON in bytes, at most "
            f"that of the body, {size}"
        )
    return int(text)


def _count(one: InferInput, limits: LimitsConfig) -> int:
    """Return the number of images of an input."""
    if one.name != INPUT:
        raise _malformed(f"unknown input {one.name[:40]!r}. Expected '{INPUT}'")
    if one.datatype != BYTES:
        raise _malformed(
            f"input '{INPUT}' has datatype {one.datatype[:40]!r}. Expected {BYTES}: each element "
            "is the content of an image file"
        )
    if len(one.shape) not in {1, 2} or one.shape[1:] not in ([], [1]) or one.shape[0] < 1:
        raise _malformed(
            f"input '{INPUT}' has shape {one.shape}. Expected [N] or [N, 1] for N images"
        )
    most = min(limits.max_images, limits.max_queued)
    if one.shape[0] > most:
        raise Problem(
            400,
            "TOO_MANY_IMAGES",
            f"The request has {one.shape[0]} images. Expected at most {most}.",
        )
    return one.shape[0]


def _from_json(one: InferInput, count: int) -> list[bytes]:
    if one.data is None:
        raise _malformed(f"input '{INPUT}' has neither data nor binary_data_size")
    nested = len(one.shape) == 2
    texts: list[Any] = []
    for entry in one.data:
        # Tensors may be nested like their shape, or flat.
        texts += entry if nested and isinstance(entry, list) else [entry]
        if len(texts) > count:
            break
    if len(texts) != count:
        found = f"more than {count}" if len(texts) > count else str(len(texts))
        raise _malformed(
            f"input '{INPUT}' has {found} elements. Expected {count}, for shape {one.shape}"
        )
    return [_decoded(text, number) for number, text in enumerate(texts)]


def _decoded(text: Any, number: int) -> bytes:
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise _malformed(
        f"element {number} of input '{INPUT}' is no base64 text. Expected the content of an image "
        "file in base64, or binary data"
    )


def _from_binary(data: memoryview, size: int, count: int) -> list[bytes]:
    if size != len(data):
        raise _malformed(
            f"{len(data)} bytes follow the JSON. Expected {size}, the binary_data_size of input "
            f"'{INPUT}'"
        )
    images: list[bytes] = []
    start = 0
    while start < size and len(images) <= count:
        end = start + _SIZE.size
        length: int = _SIZE.unpack_from(data, start)[0] if end <= size else size
        if end + length > size:
            raise _malformed(f"element {len(images)} of input '{INPUT}' ends after the data")
        images.append(bytes(data[end : end + length]))
        start = end + length
    if len(images) != count:
        found = f"more than {count}" if len(images) > count else str(len(images))
        raise _malformed(f"input '{INPUT}' has {found} elements. Expected {count}, from its shape")
    return images


def requested_outputs(body: InferBody, known: Sequence[Output]) -> list[tuple[Output, bool]]:
    """Return the outputs of a request in their order, and whether each is to be binary.

    Raises:
        Problem: 400, an output is unknown or named twice.
    """
    usual = body.parameters.binary_data_output
    if body.outputs is None:
        return [(output, usual) for output in known]
    by_name = {output.name: output for output in known}
    chosen: dict[str, tuple[Output, bool]] = {}
    for one in body.outputs:
        if one.name not in by_name or one.name in chosen:
            what = "Duplicate" if one.name in chosen else "Unknown"
            raise Problem(
                400,
                "TENSOR",
                f"{what} output {one.name[:40]!r}. Expected: {', '.join(by_name)}.",
            )
        binary = one.parameters.binary_data
        chosen[one.name] = (by_name[one.name], usual if binary is None else binary)
    return list(chosen.values())


def response_of(body: InferResponse, tensors: Sequence[tuple[Output, bool, Tensor]]) -> Response:
    """Return a response: ``body`` with the outputs, and the binary ones after it."""
    binary: list[bytes] = []
    for output, as_binary, tensor in tensors:
        entry = OutputTensor(name=output.name, datatype=output.datatype, shape=tensor.shape)
        if as_binary:
            content = _binary(tensor)
            entry.parameters = {"binary_data_size": len(content)}
            binary.append(content)
        else:
            entry.data = _json_values(tensor)
        body.outputs.append(entry)
    text = json.dumps(body.model_dump(exclude_none=True), separators=(",", ":")).encode()
    if not any(as_binary for _, as_binary, _ in tensors):
        return Response(text, media_type="application/json")
    headers = {LENGTH_HEADER: str(len(text))}
    return Response(
        b"".join((text, *binary)), media_type="application/octet-stream", headers=headers
    )


def _binary(tensor: Tensor) -> bytes:
    if isinstance(tensor.values, list):
        return b"".join(_SIZE.pack(len(one)) + one for one in tensor.values)
    return tensor.values.astype(tensor.values.dtype.newbyteorder("<"), copy=False).tobytes()


def _json_values(tensor: Tensor) -> list[Any]:
    if isinstance(tensor.values, list):
        return [one.decode() for one in tensor.values]
    values: list[Any] = tensor.values.ravel().tolist()
    return values
