"""Contract of an adapter of any framework.

Subclass ``AdapterContract`` in the test of an adapter and give the fixture ``spec``; pytest then
runs every test here against it.
"""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snellen.adapters.adapter_options import parse_options
from snellen.adapters.base import Adapter
from snellen.adapters.errors import ConfigError, ImageError, InputError
from snellen.adapters.images.decode import decode_image
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import (
    AdapterSpec,
    ImageStatus,
    InferenceResult,
    Preprocessed,
    TaskType,
)
from tests.adapters.making import encode, picture, pixels

TOLERANCE = 1e-4
_TIMES = ("inference_time_ms", "preprocessing_time_ms", "postprocessing_time_ms")


def answer(result: InferenceResult) -> dict[str, Any]:
    """Return a result without the fields that may differ in a repetition: times and path."""
    found = asdict(result)
    for name in (*_TIMES, "image_path", "image_name"):
        del found[name]
    return found


def assert_alike(first: InferenceResult, second: InferenceResult) -> None:
    """Compare predictions; confidences may differ by rounding in batches of another size."""
    assert first.predicted_label_id == second.predicted_label_id
    assert first.status == second.status
    assert first.confidence == pytest.approx(second.confidence, abs=TOLERANCE)
    assert len(first.predicted_boxes or []) == len(second.predicted_boxes or [])


class AdapterContract:
    """The contract; the subclass has a fixture ``spec`` that returns an ``AdapterSpec``."""

    @pytest.fixture
    def adapter(self, spec: AdapterSpec) -> Adapter:
        return load_adapter_class(spec.adapter).from_spec(spec, device="cpu")

    @pytest.fixture
    def items(self, adapter: Adapter) -> list[Preprocessed]:
        return [adapter.preprocess_image(pixels(40 + n, 60, seed=n)) for n in range(7)]

    def test_info_describes_the_model(self, adapter: Adapter, spec: AdapterSpec) -> None:
        info = adapter.info
        assert info.framework == adapter.framework
        assert info.num_classes >= 1
        assert info.class_names is None or len(info.class_names) == info.num_classes
        json.dumps(asdict(info))
        assert pickle.loads(pickle.dumps(info)) == info
        assert pickle.loads(pickle.dumps(spec)) == spec

    def test_the_class_declares_what_it_supports(
        self, adapter: Adapter, spec: AdapterSpec, tmp_path: Path
    ) -> None:
        kind = type(adapter)
        assert adapter.info.task_type in kind.tasks <= frozenset(TaskType)
        parse_options(kind.options, spec.options, kind.framework)
        if kind.options.model_config.get("extra") == "forbid":
            with pytest.raises(ConfigError) as caught:
                kind.from_spec(replace(spec, options={**spec.options, "no_such_option": 1}), "cpu")
            assert caught.value.code == "OPTION_INVALID"
            assert "no_such_option" in caught.value.message
        foreign = tmp_path / "picture.png"
        foreign.write_bytes(encode(picture()))
        assert not kind.recognises(foreign)
        assert not kind.recognises(tmp_path / "none")

    def test_its_options_repeat_no_setting_of_every_adapter(self, spec: AdapterSpec) -> None:
        """Presets set ``min_confidence``, ``multi_label`` and others of the spec alone."""
        options = load_adapter_class(spec.adapter).options
        assert not set(options.model_fields) & {field.name for field in fields(AdapterSpec)}

    def test_it_can_be_exported_if_it_says_so(self, adapter: Adapter) -> None:
        if adapter.exportable:
            model = adapter.as_exportable().model
            assert (model.task, model.input_shape) == (
                adapter.info.task_type, adapter.info.input_shape
            )  # fmt: skip
        else:
            with pytest.raises(ConfigError) as caught:
                adapter.as_exportable()
            assert caught.value.code == "EXPORT_UNSUPPORTED"

    def test_a_checkpoint_is_required_if_it_says_so(
        self, adapter: Adapter, spec: AdapterSpec
    ) -> None:
        if adapter.needs_checkpoint:
            with pytest.raises(InputError) as caught:
                type(adapter).from_spec(replace(spec, checkpoint=None), device="cpu")
            assert caught.value.code == "CHECKPOINT_MISSING"

    def test_preprocessing_gives_uint8_of_one_shape(
        self, adapter: Adapter, items: list[Preprocessed]
    ) -> None:
        for item in items:
            assert item.array.dtype == np.uint8
            assert item.array.shape == adapter.info.input_shape
        assert [item.width for item in items] == [40 + n for n in range(7)]
        assert {item.height for item in items} == {60}

    def test_preprocessing_needs_no_model(self, adapter: Adapter, spec: AdapterSpec) -> None:
        decoded = decode_image(encode(picture()))
        light = type(adapter).preprocessor(spec, adapter.info).preprocess(decoded)
        assert np.array_equal(light.array, adapter.preprocess(decoded).array)

    def test_single_is_batch_of_one(self, adapter: Adapter) -> None:
        single, batch = adapter.infer_single(pixels()), adapter.infer_batch([pixels()])[0]
        assert answer(single) == answer(batch)

    def test_order_is_kept_whatever_the_batch_size(
        self, adapter: Adapter, items: list[Preprocessed]
    ) -> None:
        alone = [adapter.infer_preprocessed([item], batch_size=1)[0] for item in items]
        for size in (1, 3, 7, 100):
            results = adapter.infer_preprocessed(items, batch_size=size)
            assert [result.width for result in results] == [item.width for item in items]
            for expected, result in zip(alone, results, strict=True):
                assert_alike(expected, result)

    def test_every_kind_of_image_is_the_same_image(self, adapter: Adapter, tmp_path: Path) -> None:
        data = encode(picture())
        path = tmp_path / "a.png"
        path.write_bytes(data)
        given: list[Any] = [path, str(path), data, pixels(), picture(), decode_image(data)]
        results = adapter.infer_batch(given)
        assert [result.image_name for result in results] == ["a.png", "a.png", "", "", "", ""]
        for result in results:
            assert_alike(results[0], result)

    def test_a_bad_image_fails_alone(self, adapter: Adapter, tmp_path: Path) -> None:
        good = encode(picture())
        bad: list[Any] = [b"", b"text", good[:60], tmp_path / "none.png", tmp_path,
                          np.zeros((4, 4), dtype=np.uint8)]  # fmt: skip
        results = adapter.infer_batch([good, *bad, good], batch_size=3)
        assert [r.status for r in results] == ["ok", *["failed"] * len(bad), "ok"]
        codes = ["EMPTY", "UNSUPPORTED", "TRUNCATED", "NOT_FOUND", "IO", "UNSUPPORTED"]
        assert [result.error_code for result in results[1:-1]] == codes
        assert all(result.confidence is None for result in results[1:-1])
        assert_alike(results[0], results[-1])
        with pytest.raises(ImageError) as caught:
            adapter.infer_single(b"text")
        assert caught.value.code == results[2].error_code

    def test_threads_get_the_same_answers(
        self, adapter: Adapter, items: list[Preprocessed]
    ) -> None:
        expected = [answer(r) for r in adapter.infer_preprocessed(items, batch_size=3)]
        with ThreadPoolExecutor(4) as pool:
            runs = [pool.submit(adapter.infer_preprocessed, items, batch_size=3) for _ in range(12)]
            for run in runs:
                assert [answer(result) for result in run.result()] == expected

    def test_the_same_spec_makes_the_same_model(self, adapter: Adapter, spec: AdapterSpec) -> None:
        again = type(adapter).from_spec(spec, device="cpu")
        assert again.info == adapter.info
        assert answer(again.infer_single(pixels())) == answer(adapter.infer_single(pixels()))

    def test_nothing_in_nothing_out(self, adapter: Adapter) -> None:
        assert adapter.infer_batch([]) == []
        assert adapter.infer_preprocessed([], batch_size=8) == []

    def test_results_leave_path_and_name_to_the_caller(
        self, adapter: Adapter, items: list[Preprocessed]
    ) -> None:
        for result in adapter.infer_preprocessed(items, batch_size=4):
            assert (result.image_path, result.image_name) == ("", "")
            assert result.status is ImageStatus.OK
            assert result.task_type == adapter.info.task_type
