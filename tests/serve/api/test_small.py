"""Names of uploads, the cache of answers, and paths that stay inside the roots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.adapters.errors import InputError
from snellen.adapters.types import AdapterSpec, InferenceResult, TaskType
from snellen.serve.api.allowed_roots import check_files_inside, folder_inside
from snellen.serve.api.cache import AnswerCache
from snellen.serve.api.filenames import display_name
from snellen.serve.api.problems import Problem
from snellen.serve.inference.messages import Answer, ModelRef, Query


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("cat.jpg", "cat.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\cat.jpg", "cat.jpg"),
        ("a\0b\n.png", "ab.png"),
        ("", "image"),
        ("..", "image"),
        ("\u202egpj.exe", "gpj.exe"),
        ("<script>.png", "<script>.png"),
        ("é e\u0301.png", "é e\u0301.png"),
        ("x" * 300 + ".jpeg", "x" * 195 + ".jpeg"),
    ],
)
def test_names_are_made_safe_to_show(given_name: str, shown: str) -> None:
    assert display_name(given_name) == shown


@given(st.text(max_size=400))
def test_any_name_can_be_shown(text: str) -> None:
    name = display_name(text)
    assert 1 <= len(name) <= 200
    assert not set(name) & set("/\\\0\n\r")
    name.encode()


def query(data: bytes = b"x", key: str = "m", **options: object) -> Query:
    return Query(ModelRef(key, AdapterSpec("noop")), data, "a", **options)  # type: ignore[arg-type]


def answer(label: str, padding: int = 0) -> Answer:
    result = InferenceResult("a", "a", TaskType.IMAGE_CLASSIFICATION, predicted_label=label)
    return Answer(result=result, picture=bytes(padding))


def test_a_cache_without_memory_keeps_nothing() -> None:
    cache = AnswerCache(0)
    assert not cache.enabled
    cache.put(b"k", answer("cat"))
    assert cache.get(b"k") is None


def test_answers_differ_by_everything_that_makes_them() -> None:
    keys = {
        AnswerCache.key(one)
        for one in (
            query(), query(b"y"), query(key="n"), query(confidence=0.1), query(visualize=True)
        )
    }  # fmt: skip
    assert len(keys) == 5
    assert AnswerCache.key(query()) == AnswerCache.key(query())


def test_the_least_recently_used_answers_go_and_memory_stays_bounded() -> None:
    cache = AnswerCache(40_000)
    for number in range(3):
        cache.put(bytes([number]), answer(str(number), 11_000))
    assert cache.get(b"\0") is not None
    cache.put(b"\3", answer("3", 11_000))
    assert cache.get(b"\1") is None
    assert cache.get(b"\0") is not None
    assert cache.bytes <= 40_000
    cache.put(b"\4", answer("large", 50_000))
    assert cache.get(b"\4") is None


def test_nobody_changes_an_answer_that_others_get() -> None:
    cache = AnswerCache(40_000)
    cache.put(b"k", answer("cat"))
    first = cache.get(b"k")
    assert first is not None
    assert first.result is not None
    first.result.predicted_label = "dog"
    second = cache.get(b"k")
    assert second is not None
    assert second.result is not None
    assert second.result.predicted_label == "cat"


def test_paths_stay_inside_the_roots(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in" / "job", tmp_path / "out"
    inside.mkdir(parents=True)
    outside.mkdir()
    (tmp_path / "in" / "link").symlink_to(outside)
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in" / "loop")
    root = str(tmp_path / "in")
    assert folder_inside("job", [root]) == inside
    assert folder_inside(str(inside), ["/nowhere", root]) == inside
    assert folder_inside("job/../job", [root]) == inside
    for text in ("../out", str(outside), "link", "/etc", f"{root}ide", "loop"):
        with pytest.raises(Problem) as caught:
            folder_inside(text, [root])
        assert (caught.value.status, caught.value.code) == (403, "PATH_FORBIDDEN"), text
        assert str(tmp_path) not in caught.value.detail
    for text in ("none", "x" * 5000):
        with pytest.raises(Problem) as missing:
            folder_inside(text, [root])
        assert missing.value.status == 404
    with pytest.raises(Problem, match="no roots configured"):
        folder_inside("job", [])
    with pytest.raises(InputError) as refused:
        folder_inside("hf-hub:some/model", [root])
    assert refused.value.code == "REMOTE_REFUSED"
    assert os.sep in root


@pytest.mark.parametrize("place", ["last.pth.tar", "weights", "weights/best.pt", "checkpoints/a"])
def test_links_of_a_run_directory_stay_inside_too(place: str, tmp_path: Path) -> None:
    root, other, outside = tmp_path / "in", tmp_path / "in" / "other", tmp_path / "out"
    for folder in (other, outside, (root / "job" / place).parent):
        folder.mkdir(parents=True, exist_ok=True)
    roots = [str(root)]
    check_files_inside(root / "job", roots)
    (root / "job" / place).symlink_to(other)
    check_files_inside(root / "job", roots)
    (root / "job" / place).unlink()
    (root / "job" / place).symlink_to(outside)
    with pytest.raises(Problem) as caught:
        check_files_inside(root / "job", roots)
    assert (caught.value.status, caught.value.code) == (403, "PATH_FORBIDDEN")
