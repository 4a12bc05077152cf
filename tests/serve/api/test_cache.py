"""Cache of predictions: bounded memory, and replies that callers cannot change."""

from __future__ import annotations

from typing import Any

from snellen.adapters.types import AdapterSpec, InferenceResult, TaskType
from snellen.serve.api.cache import ReplyCache
from snellen.serve.inference.messages import InferenceReply, InferenceRequest, ModelRef


def request(data: bytes = b"x", key: str = "m", **options: Any) -> InferenceRequest:
    return InferenceRequest(ModelRef(key, AdapterSpec("noop")), data, "a", **options)


def reply(label: str, padding: int = 0) -> InferenceReply:
    result = InferenceResult("a", "a", TaskType.IMAGE_CLASSIFICATION, predicted_label=label)
    return InferenceReply(result=result, picture=bytes(padding))


def key(number: int) -> bytes:
    return bytes([number]) * 32


def test_a_cache_without_memory_stores_nothing() -> None:
    cache = ReplyCache(0)
    assert not cache.enabled
    cache.put(key(0), reply("cat"))
    assert cache.get(key(0)) is None


def test_keys_differ_by_everything_that_a_reply_depends_on() -> None:
    keys = {
        ReplyCache.key(one)
        for one in (
            request(),
            request(b"y"),
            request(key="n"),
            request(confidence=0.1),
            request(visualize=True),
        )
    }
    assert len(keys) == 5
    assert ReplyCache.key(request()) == ReplyCache.key(request())


def test_least_recently_used_replies_are_evicted_and_memory_stays_bounded() -> None:
    cache = ReplyCache(40_000)
    for number in range(3):
        cache.put(key(number), reply(str(number), 11_000))
    assert cache.get(key(0)) is not None
    cache.put(key(3), reply("3", 11_000))
    assert cache.get(key(1)) is None
    assert cache.get(key(0)) is not None
    assert 33_000 < cache.size <= 40_000
    cache.put(key(4), reply("large", 50_000))
    assert cache.get(key(4)) is None
    assert cache.get(key(0)) is not None


def test_callers_cannot_change_a_cached_reply() -> None:
    cache = ReplyCache(40_000)
    cache.put(key(0), reply("cat"))
    first = cache.get(key(0))
    assert first is not None
    assert first.result is not None
    first.result.predicted_label = "dog"
    second = cache.get(key(0))
    assert second is not None
    assert second.result is not None
    assert second.result.predicted_label == "cat"
