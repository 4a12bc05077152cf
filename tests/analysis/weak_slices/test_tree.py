"""Slices chosen and tested on made-up images whose errors are known."""

from __future__ import annotations

import numpy as np

from snellen.analysis.weak_slices.find import ImageValues, found_slices
from snellen.analysis.weak_slices.tree import Features, candidate_slices

COUNT = 4000


def features(random: np.random.Generator, count: int = COUNT) -> Features:
    return Features(
        {
            "brightness": random.random(count),
            "image_size": random.integers(1, 9, count).astype(np.float64),
        },
        {
            "meta_camera": random.choice(["front", "left", "rear"], count),
            "meta_night": random.choice(["false", "true"], count),
        },
    )


def found(values: np.ndarray, of: Features, **more: bool) -> dict[tuple[str, ...], float]:
    images = ImageValues(values, [f"{number}.png" for number in range(len(values))], of)
    slices = found_slices(images, **more)
    return {tuple(map(str, one.chosen.conditions)): one.q for one in slices}


def test_a_planted_slice_of_two_conditions_is_found() -> None:
    random = np.random.default_rng(0)
    of = features(random)
    bad = (of.names["meta_camera"] == "rear") & (of.numbers["brightness"] < 0.3)
    values = (random.random(COUNT) < np.where(bad, 0.6, 0.1)).astype(float)
    slices = found(values, of)
    (first, q) = next(iter(slices.items()))
    assert q < 1e-6
    names = {condition.split("<")[0].split("=")[0] for condition in first}
    assert names == {"meta_camera", "brightness"}
    assert "meta_camera=rear" in first


def test_without_a_weak_slice_few_are_called_weak() -> None:
    called = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        values = (random.random(600) < 0.2).astype(float)
        called += any(q < 0.05 for q in found(values, features(random, 600)).values())
    assert called / 60 < 0.12, "5 % and three standard errors"


def test_images_of_one_group_are_in_one_half() -> None:
    """Patients with their own error rates make no camera weak, if they are taken together."""
    called = {"grouped": 0, "alone": 0}
    for seed in range(40):
        random = np.random.default_rng(seed)
        patient = np.repeat(np.arange(24), 40)
        chance = random.beta(0.6, 2.0, 24)
        values = (random.random(960) < chance[patient]).astype(float)
        of = Features({}, {"meta_scanner": np.array(["a", "b", "c", "d"])[patient % 4]})
        for name, groups in (
            ("grouped", [f"patient {one}" for one in patient]),
            ("alone", [str(one) for one in range(960)]),
        ):
            slices = found_slices(ImageValues(values, groups, of))
            called[name] += any(one.q < 0.05 for one in slices)
    assert called["grouped"] < 10 < 20 < called["alone"]


def test_differences_are_found_in_both_directions() -> None:
    random = np.random.default_rng(3)
    of = features(random)
    worse, better = of.numbers["brightness"] < 0.2, of.names["meta_camera"] == "rear"
    values = random.choice([-1.0, 0.0, 1.0], COUNT, p=[0.1, 0.8, 0.1])
    values[better & (random.random(COUNT) < 0.4)] = -1.0
    values[worse & (random.random(COUNT) < 0.6)] = 1.0
    images = ImageValues(values, [str(number) for number in range(COUNT)], of)
    slices = found_slices(images, of_difference=True)
    signs = {
        str(one.chosen.conditions[0]): np.sign(one.difference.value)
        for one in slices
        if one.q < 0.001 and len(one.chosen.conditions) == 1
    }
    dark = [sign for text, sign in signs.items() if text.startswith("brightness<0.")]
    assert dark == [1]
    assert signs["meta_camera=rear"] == -1


def test_slices_have_a_smallest_size() -> None:
    random = np.random.default_rng(4)
    of = features(random, 200)
    used = np.arange(200) < 100
    values = random.random(200)
    for one in candidate_slices(of, values, used, 30):
        inside = int((one.images & used).sum())
        assert 30 <= inside <= 70
        assert len({condition.name for condition in one.conditions}) == len(one.conditions)
    assert candidate_slices(of, values, used, 51) == []
    few = ImageValues(values[:4], list("abcd"), features(random, 4))
    assert found_slices(few) == []
    none = ImageValues(np.zeros(0), [], Features({}, {}))
    assert found_slices(none) == []
