"""The host gives the same results as the adapter, whatever shares the batch."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
import weakref
from dataclasses import replace
from typing import Any

import pytest

from snellen.adapters.base import Adapter
from snellen.adapters.errors import ErrorCode, InputError
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import AdapterSpec, Box, ImageStatus, InferenceResult
from snellen.serve.config import ServeConfig
from snellen.serve.inference.load_failures import LoadFailures
from snellen.serve.inference.messages import InferenceRequest, ModelRef
from snellen.serve.inference.model_host import ModelHost
from tests.serve.conftest import picture
from tests.serve.local_service import FIXTURES, TASKS, host_settings

pytestmark = pytest.mark.anyio


def spec_of(task: str) -> AdapterSpec:
    return AdapterSpec("ultralytics", checkpoint=str(FIXTURES / f"tiny-{task}.pt"))


def comparable(result: InferenceResult | None) -> InferenceResult:
    """Return a result without names and times."""
    assert result is not None
    return replace(
        result,
        image_path="",
        image_name="",
        inference_time_ms=0.0,
        preprocessing_time_ms=0.0,
        postprocessing_time_ms=0.0,
    )


def boxes_of(result: InferenceResult | None) -> list[Box]:
    return comparable(result).predicted_boxes or []


@pytest.mark.parametrize("task", TASKS)
async def test_results_equal_infer_single(task: str) -> None:
    spec = spec_of(task)
    adapter = load_adapter_class("ultralytics").from_spec(spec, device="cpu")
    host = ModelHost(host_settings(ServeConfig()))
    model = await host.load(spec)
    data = picture()
    response = await host.infer(
        model, InferenceRequest(ModelRef("k", spec), data, "a.png", visualize=True)
    )
    assert comparable(response.result) == comparable(adapter.infer_single(data))
    assert response.sha256 == adapter.info.checkpoint_sha256
    assert response.picture is not None
    assert response.picture[:2] == b"\xff\xd8"
    names = adapter.info.class_names
    assert names is not None
    boxes = comparable(response.result).predicted_boxes or []
    assert response.labels == {box["class_id"]: names[box["class_id"]] for box in boxes}
    await host.close()


@pytest.mark.parametrize(("seconds", "sizes"), [(10.0, [1, 1, 8]), (0.0, [1, 1])])
async def test_loading_warms_up_with_the_largest_batch_if_that_is_cheap(
    seconds: float, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def warm_up(_: Adapter, size: int) -> None:
        seen.append(size)

    monkeypatch.setattr(Adapter, "warmup", warm_up)
    monkeypatch.setattr("snellen.serve.inference.model_host._MAX_WARMUP_S", seconds)
    host = ModelHost(host_settings(ServeConfig()))
    await host.load(spec_of("classify"))
    assert seen == sizes
    await host.close()


async def test_a_corrupt_upload_fails_alone() -> None:
    spec = spec_of("detect")
    host = ModelHost(host_settings(ServeConfig()))
    model = await host.load(spec)
    good = picture()
    uploads = [good, good[:200], b"", b"no image", good, picture("JPEG")]
    ref = ModelRef("k", spec)
    responses = await asyncio.gather(
        *(host.infer(model, InferenceRequest(ref, data, "a.png")) for data in uploads)
    )
    results = [response.result for response in responses]
    codes = [result.error_code if result else None for result in results]
    assert codes == [
        None, ErrorCode.TRUNCATED, ErrorCode.EMPTY, ErrorCode.UNSUPPORTED, None, None
    ]  # fmt: skip
    alone = await host.infer(model, InferenceRequest(ref, good, "a.png"))
    for result in (results[0], results[4]):
        for ours, its in zip(boxes_of(result), boxes_of(alone.result), strict=True):
            assert ours == pytest.approx(its, abs=1e-4)
    await host.close()


async def test_image_limits_come_from_the_configuration() -> None:
    config = ServeConfig.model_validate({"limits": {"max_pixels": 100, "max_image_bytes": 10_000}})
    host = ModelHost(host_settings(config))
    spec = spec_of("classify")
    model = await host.load(spec)
    response = await host.infer(model, InferenceRequest(ModelRef("k", spec), picture(), "a.png"))
    assert response.result is not None
    assert response.result.status is ImageStatus.FAILED
    assert response.result.error_code is ErrorCode.PIXEL_LIMIT
    await host.close()


async def test_the_mask_limit_drops_the_least_confident_masks() -> None:
    """At confidence 0 a large image has 300 masks of 64 megapixels: minutes of compute."""
    spec, data = spec_of("segment"), picture()
    ref = ModelRef("k", spec)
    found = []
    for most in (10**9, 2 * 150 * 110 + 1):
        config = ServeConfig.model_validate({"limits": {"max_mask_pixels": most}})
        host = ModelHost(host_settings(config))
        response = await host.infer(
            await host.load(spec), InferenceRequest(ref, data, "a", confidence=0.01)
        )
        found.append(comparable(response.result))
        await host.close()
    every, few = found
    assert len(every.predicted_masks or ()) > 2
    assert few.predicted_boxes == (every.predicted_boxes or [])[:2]
    assert few.predicted_masks == (every.predicted_masks or [])[:2]
    assert "only the 2 most confident of" in few.extra_data["warnings"][-1]
    assert "warnings" not in every.extra_data


async def test_pixels_of_large_images_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host, spec = ModelHost(host_settings(ServeConfig())), spec_of("detect")
    model = await host.load(spec)
    plain = InferenceRequest(ModelRef("k", spec), picture(), "a.png")
    drawn = replace(plain, visualize=True)
    assert host._prepare(model.adapter, plain)[0] is None
    assert host._prepare(model.adapter, drawn)[0] is not None
    small = await host.infer(model, drawn)
    monkeypatch.setattr("snellen.serve.inference.model_host._MAX_KEPT_PIXELS", 1)
    assert host._prepare(model.adapter, drawn)[0] is None
    large = await host.infer(model, drawn)
    assert large.picture == small.picture is not None
    await host.close()


async def test_an_unloaded_model_is_freed_immediately() -> None:
    """Not at the next garbage collection: until then two models would be in memory."""
    host = ModelHost(host_settings(ServeConfig()))
    spec = spec_of("classify")
    model = await host.load(spec)
    await host.infer(model, InferenceRequest(ModelRef("k", spec), picture(), "a.png"))
    adapter = weakref.ref(model.adapter)
    gc.collect()
    gc.disable()
    try:
        del model
        assert adapter() is None
    finally:
        gc.enable()
    await host.close()


async def test_a_model_that_cannot_be_loaded_is_an_input_error() -> None:
    host = ModelHost(host_settings(ServeConfig()))
    with pytest.raises(InputError, match=r"nothing\.pt"):
        await host.load(AdapterSpec("ultralytics", checkpoint="/nothing.pt"))
    await host.close()


async def test_warnings_of_decoders_are_not_collected() -> None:
    host = ModelHost(host_settings(ServeConfig()))
    seen: dict[Any, Any] = {}
    for number in range(3):
        text = f"Corrupt EXIF data. Expecting to read {number} bytes"
        warnings.warn_explicit(text, UserWarning, "f.py", 1, "PIL.TiffImagePlugin", seen)
    assert [key for key in seen if key != "version"] == []
    await host.close()


def test_a_load_failure_expires() -> None:
    failures = LoadFailures(ttl_s=0.2)
    failures.check("a")
    failures.add("a", InputError("X", "broken"))
    with pytest.raises(InputError, match="broken"):
        failures.check("a")
    failures.check("b")
    time.sleep(0.25)
    failures.check("a")


async def test_many_requests_for_a_broken_model_load_it_once() -> None:
    failures, lock, attempts = LoadFailures(), asyncio.Lock(), []

    async def load() -> int:
        attempts.append(1)
        await asyncio.sleep(0.01)
        raise InputError("X", "broken")

    async def request() -> int:
        async with lock:
            return await failures.load("a", load)

    responses = await asyncio.gather(*(request() for _ in range(20)), return_exceptions=True)
    assert [str(one) for one in responses] == ["broken"] * 20
    assert len(attempts) == 1


def test_a_remembered_failure_keeps_no_request_alive() -> None:
    class Upload:
        """A local variable in a frame that a remembered traceback would keep alive."""

    failures, held = LoadFailures(), []

    def request() -> None:
        upload = Upload()
        held.append(weakref.ref(upload))
        failures.check("a")

    try:
        raise InputError("X", "broken")
    except InputError as error:
        failures.add("a", error)
    for _ in range(3):
        with pytest.raises(InputError, match="broken"):
            request()
    assert [one() for one in held] == [None] * 3
