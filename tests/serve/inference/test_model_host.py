"""The host's answers are the adapter's, whoever shares the batch."""

from __future__ import annotations

import asyncio
import gc
import warnings
import weakref
from dataclasses import replace
from typing import Any

import pytest

from snellen.adapters.errors import ErrorCode, InputError
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import AdapterSpec, Box, ImageStatus, InferenceResult
from snellen.serve.config import ServeConfig
from snellen.serve.inference.load_failures import KnownFailures
from snellen.serve.inference.messages import ModelRef, Query
from snellen.serve.inference.model_host import ModelHost
from tests.serve.conftest import picture
from tests.serve.local import FIXTURES, TASKS, host_settings

pytestmark = pytest.mark.anyio


def spec_of(task: str) -> AdapterSpec:
    return AdapterSpec("ultralytics", checkpoint=str(FIXTURES / f"tiny-{task}.pt"))


def told(result: InferenceResult | None) -> InferenceResult:
    """A result without what differs from call to call."""
    assert result is not None
    times = {"inference_time_ms": 0.0, "preprocessing_time_ms": 0.0, "postprocessing_time_ms": 0.0}
    return replace(result, image_path="", image_name="", **times)


def boxes_of(result: InferenceResult | None) -> list[Box]:
    return told(result).predicted_boxes or []


@pytest.mark.parametrize("task", TASKS)
async def test_answers_are_those_of_infer_single(task: str) -> None:
    spec = spec_of(task)
    adapter = load_adapter_class("ultralytics").from_spec(spec, device="cpu")
    host = ModelHost(host_settings(ServeConfig()))
    model = await host.load(spec)
    data = picture()
    answer = await host.answer(model, Query(ModelRef("k", spec), data, "a.png", visualize=True))
    assert told(answer.result) == told(adapter.infer_single(data))
    assert answer.sha256 == adapter.info.checkpoint_sha256
    assert answer.picture is not None
    assert answer.picture[:2] == b"\xff\xd8"
    names = adapter.info.class_names
    assert names is not None
    boxes = told(answer.result).predicted_boxes or []
    assert answer.labels == {box["class_id"]: names[box["class_id"]] for box in boxes}
    await host.close()


async def test_a_corrupt_upload_fails_alone() -> None:
    spec = spec_of("detect")
    host = ModelHost(host_settings(ServeConfig()))
    model = await host.load(spec)
    good = picture()
    uploads = [good, good[:200], b"", b"no image", good, picture("JPEG")]
    ref = ModelRef("k", spec)
    answers = await asyncio.gather(
        *(host.answer(model, Query(ref, data, "a.png")) for data in uploads)
    )
    results = [answer.result for answer in answers]
    codes = [result.error_code if result else None for result in results]
    assert codes == [
        None, ErrorCode.TRUNCATED, ErrorCode.EMPTY, ErrorCode.UNSUPPORTED, None, None
    ]  # fmt: skip
    alone = await host.answer(model, Query(ref, good, "a.png"))
    for result in (results[0], results[4]):
        for ours, its in zip(boxes_of(result), boxes_of(alone.result), strict=True):
            assert ours == pytest.approx(its, abs=1e-4)
    await host.close()


async def test_limits_of_images_are_the_configurations() -> None:
    config = ServeConfig.model_validate({"limits": {"max_pixels": 100, "max_image_bytes": 10_000}})
    host = ModelHost(host_settings(config))
    spec = spec_of("classify")
    model = await host.load(spec)
    answer = await host.answer(model, Query(ModelRef("k", spec), picture(), "a.png"))
    assert answer.result is not None
    assert answer.result.status is ImageStatus.FAILED
    assert answer.result.error_code is ErrorCode.PIXEL_LIMIT
    await host.close()


async def test_masks_of_one_image_do_not_keep_everybody_waiting() -> None:
    """At confidence 0 a large image has 300 masks of 64 megapixels: minutes of the one thread."""
    spec, data = spec_of("segment"), picture()
    ref = ModelRef("k", spec)
    found = []
    for most in (10**9, 2 * 150 * 110 + 1):
        config = ServeConfig.model_validate({"limits": {"max_mask_pixels": most}})
        host = ModelHost(host_settings(config))
        answer = await host.answer(await host.load(spec), Query(ref, data, "a", confidence=0.01))
        found.append(told(answer.result))
        await host.close()
    every, few = found
    assert len(every.predicted_masks or ()) > 2
    assert few.predicted_boxes == (every.predicted_boxes or [])[:2]
    assert few.predicted_masks == (every.predicted_masks or [])[:2]
    assert "only the 2 most confident of" in few.extra_data["warnings"][-1]
    assert "warnings" not in every.extra_data


async def test_pixels_of_large_images_are_not_kept_while_they_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host, spec = ModelHost(host_settings(ServeConfig())), spec_of("detect")
    model = await host.load(spec)
    plain = Query(ModelRef("k", spec), picture(), "a.png")
    drawn = replace(plain, visualize=True)
    assert host._prepare(model.adapter, plain)[0] is None
    assert host._prepare(model.adapter, drawn)[0] is not None
    small = await host.answer(model, drawn)
    monkeypatch.setattr("snellen.serve.inference.model_host._KEPT_PIXELS", 1)
    assert host._prepare(model.adapter, drawn)[0] is None
    large = await host.answer(model, drawn)
    assert large.picture == small.picture is not None
    await host.close()


async def test_a_model_that_makes_room_is_freed_at_once() -> None:
    """Not when Python next looks for cycles: until then two models would be in memory."""
    host = ModelHost(host_settings(ServeConfig()))
    spec = spec_of("classify")
    model = await host.load(spec)
    await host.answer(model, Query(ModelRef("k", spec), picture(), "a.png"))
    adapter = weakref.ref(model.adapter)
    gc.collect()
    gc.disable()
    try:
        del model
        assert adapter() is None
    finally:
        gc.enable()
    await host.close()


async def test_a_model_that_cannot_be_loaded_says_why() -> None:
    host = ModelHost(host_settings(ServeConfig()))
    with pytest.raises(InputError, match=r"nothing\.pt"):
        await host.load(AdapterSpec("ultralytics", checkpoint="/nothing.pt"))
    await host.close()


async def test_warnings_of_decoders_are_not_collected() -> None:
    host = ModelHost(host_settings(ServeConfig()))
    seen: dict[str, Any] = {}
    for number in range(3):
        text = f"Corrupt EXIF data. Expecting to read {number} bytes"
        warnings.warn_explicit(text, UserWarning, "f.py", 1, "PIL.TiffImagePlugin", seen)
    assert [key for key in seen if key != "version"] == []
    await host.close()


def test_a_failure_is_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownFailures()
    known.check("a")
    known.add("a", InputError("X", "broken"))
    with pytest.raises(InputError, match="broken"):
        known.check("a")
    known.check("b")
    monkeypatch.setattr("snellen.serve.inference.load_failures.SECONDS", 0.0)
    known.check("a")


async def test_many_who_ask_for_a_broken_model_load_it_once() -> None:
    known, one_at_a_time, tries = KnownFailures(), asyncio.Lock(), []

    async def load() -> int:
        tries.append(1)
        await asyncio.sleep(0.01)
        raise InputError("X", "broken")

    async def ask() -> int:
        async with one_at_a_time:
            return await known.load("a", load)

    answers = await asyncio.gather(*(ask() for _ in range(20)), return_exceptions=True)
    assert [str(one) for one in answers] == ["broken"] * 20
    assert len(tries) == 1


def test_a_remembered_failure_holds_no_request() -> None:
    class Query:
        """In the frame of a traceback that the remembered error would have."""

    known, held = KnownFailures(), []

    def ask() -> None:
        query = Query()
        held.append(weakref.ref(query))
        known.check("a")

    try:
        raise InputError("X", "broken")
    except InputError as error:
        known.add("a", error)
    for _ in range(3):
        with pytest.raises(InputError, match="broken"):
            ask()
    assert [one() for one in held] == [None] * 3
