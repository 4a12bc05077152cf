"""Clients of the Open Inference Protocol: `tritonclient` on a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from snellen.store.sql.database import Database
from tests.serve.api.open_inference.test_routes import encoded
from tests.serve.conftest import picture
from tests.serve.listening import listening
from tests.serve.local_service import fixture_job

IMAGES = [picture(), picture("JPEG", (200, 120)), picture(size=(40, 40))]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("triton")
    db = Database.open(f"sqlite:///{root / 'runs.db'}")
    for task in ("detect", "classify"):
        fixture_job(db, task)
    with listening(db, root) as url, triton.InferenceServerClient(urlsplit(url).netloc) as opened:
        yield opened
    db.close()


def binary_input(images: list[bytes], shape: list[int] | None = None) -> Any:
    one = triton.InferInput("image", shape or [len(images)], "BYTES")
    array = np.array(images, dtype=object).reshape(shape or [len(images)])
    one.set_data_from_numpy(array)
    return one


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny-detect")
    assert client.is_model_ready("tiny-detect", "last")
    assert not client.is_model_ready("nothing")
    assert client.get_server_metadata()["name"] == "snellen"
    metadata = client.get_model_metadata("tiny-classify", "best")
    assert [one["name"] for one in metadata["outputs"]] == [
        "class_ids", "class_names", "probabilities", "image_sizes"]  # fmt: skip


def test_binary_and_json_give_the_same_tensors(client: Any) -> None:
    text = triton.InferInput("image", [len(IMAGES)], "BYTES")
    text.set_data_from_numpy(np.array(encoded(*IMAGES), dtype=object), binary_data=False)
    sent = [binary_input(IMAGES), binary_input(IMAGES, [len(IMAGES), 1]), text]
    names = ["boxes", "scores", "class_ids", "class_names", "image_index", "image_sizes"]
    as_json = [triton.InferRequestedOutput(name, binary_data=False) for name in names]
    found = [
        client.infer("tiny-detect", [one], outputs=outputs, request_id="r-1")
        for one in sent
        for outputs in (None, as_json)
    ]
    first = found[0]
    assert first.get_response()["id"] == "r-1"
    assert first.get_output("boxes")["datatype"] == "FP32"
    assert len(first.as_numpy("boxes")) == len(first.as_numpy("scores")) > 2
    assert set(first.as_numpy("class_names")) <= {b"circle", b"square", b"triangle"}
    for other in found[1:]:
        for name in names:
            ours, its = first.as_numpy(name), other.as_numpy(name)
            if ours.dtype.kind in "OS":  # strings in JSON, bytes otherwise
                assert [as_text(one) for one in ours] == [as_text(one) for one in its], name
            else:  # the images may be batched in other ways
                assert ours == pytest.approx(its, abs=0.01), name


def as_text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def test_parameters_and_errors(client: Any) -> None:
    nothing = client.infer("tiny-detect", [binary_input(IMAGES)], parameters={"confidence": 1.0})
    assert nothing.as_numpy("boxes").size == 0
    top = client.infer(
        "tiny-classify", [binary_input(IMAGES)], model_version="best", parameters={"top_k": 1}
    )
    assert top.as_numpy("probabilities").shape == (3, 1)
    with pytest.raises(InferenceServerException, match="no such training job"):
        client.infer("nothing", [binary_input(IMAGES)])
    with pytest.raises(InferenceServerException, match=r"Image 1: .*content starts with"):
        client.infer("tiny-detect", [binary_input([IMAGES[0], b"no image"])])
