"""A mapping defines the classes of a run for the dataset and for the outputs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.pipelines.data.class_map import align_classes
from snellen.pipelines.data.output_restriction import restrict_outputs

VEHICLE = {"car": "vehicle", "truck": "vehicle"}
RULE: dict[str, tuple[list[str], list[str], dict[str, Any], dict[str, list[str]], dict[str, Any]]]
RULE = {
    # dataset, checkpoint, map; evaluation class -> outputs; dataset class -> evaluation class
    "I-dataset-side": (
        ["car", "truck"], ["vehicle", "bus"], VEHICLE,
        {"vehicle": ["vehicle"], "bus": ["bus"]}, {"car": "vehicle", "truck": "vehicle"},
    ),
    "I-checkpoint-side": (
        ["vehicle", "bus"], ["car", "bus", "truck"], VEHICLE,
        {"vehicle": ["car", "truck"], "bus": ["bus"]}, {"vehicle": "vehicle", "bus": "bus"},
    ),
    "I-both-sides": (
        ["car", "truck"], ["bus", "car", "truck"], VEHICLE,
        {"bus": ["bus"], "vehicle": ["car", "truck"]}, {"car": "vehicle", "truck": "vehicle"},
    ),
    "I-into-a-class-of-both": (
        ["car", "truck"], ["car", "truck"], {"truck": "car"},
        {"car": ["car", "truck"]}, {"car": "car", "truck": "car"},
    ),
    "I-into-a-class-of-the-checkpoint": (
        ["car"], ["car", "truck"], {"truck": "car"},
        {"car": ["car", "truck"]}, {"car": "car"},
    ),
    "I-renamed-output": (
        ["auto"], ["car", "bus"], {"car": "auto"},
        {"auto": ["car"], "bus": ["bus"]}, {"auto": "auto"},
    ),
    "I-renaming": (
        ["auto", "bus"], ["car", "bus"], {"auto": "car"},
        {"car": ["car"], "bus": ["bus"]}, {"auto": "car", "bus": "bus"},
    ),
    "I-swap": (
        ["a", "b"], ["a", "b"], {"a": "b", "b": "a"},
        {"a": ["a"], "b": ["b"]}, {"a": "b", "b": "a"},
    ),
    "I-excluded": (
        ["car", "sign"], ["car", "sign"], {"sign": None},
        {"car": ["car"], "sign": ["sign"]}, {"car": "car", "sign": None},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RULE)
def test_the_rule(case: str) -> None:
    dataset, checkpoint, mapping, outputs, targets = RULE[case]
    found = align_classes(dataset, checkpoint, mapping)
    named = {
        name: [checkpoint[output] for output in group]
        for name, group in zip(found.names, found.groups, strict=True)
    }
    assert named == outputs
    assert {
        name: None if number is None else found.names[number] for name, number in found.ids.items()
    } == targets
    assert (found.outputs is None) == (list(found.names) == checkpoint)
    assert found.checkpoint_names == tuple(checkpoint)
    assert json.loads(json.dumps(found.to_json())) == found.to_json()


def test_every_merge_is_said() -> None:
    dataset, checkpoint, mapping, *_ = RULE["I-both-sides"]
    notes = align_classes(dataset, checkpoint, mapping).notes
    assert notes == ("the checkpoint's car, truck count as vehicle",)
    dataset, checkpoint, mapping, *_ = RULE["I-renamed-output"]
    assert align_classes(dataset, checkpoint, mapping).notes == (
        "the checkpoint's car counts as auto",)  # fmt: skip


@pytest.mark.parametrize(
    ("dataset", "mapping", "code", "message"),
    [
        (["car"], {"van": "car"}, "CLASS_MAP_UNKNOWN", "'van' is no class of the dataset or"),
        (["car"], {"car": "vehicl"}, None, ""),
        (["auto"], {"auto": "vehicle"}, "CLASS_MAP_UNKNOWN", "'vehicle' is no class of the check"),
        (["car"], {"truck": None}, "CLASS_MAP_UNKNOWN", "'truck' is excluded with null and is no"),
        (["vehicle"], {"car": "auto"}, "CLASS_MAP_MISMATCH", "no checkpoint class for 'vehicle'"),
        (["x"], {"car": "auto", "x": "car"}, "CLASS_MAP_MISMATCH", "'x' counts as 'car', which is"),
    ],
)
def test_maps_that_leave_something_open(
    dataset: list[str], mapping: dict[str, Any], code: str | None, message: str
) -> None:
    if code is None:
        assert align_classes(dataset, ["car", "truck"], mapping).names == ("vehicl", "truck")
        return
    with pytest.raises(InputError) as caught:
        align_classes(dataset, ["car", "truck"], mapping)
    assert caught.value.code == code
    assert message in caught.value.message


def test_outputs_are_restricted_to_the_classes_of_the_dataset() -> None:
    whole = align_classes(["car", "truck"], ["bus", "car", "van", "truck"], VEHICLE)
    found = restrict_outputs(whole, None)
    assert found.names == ("bus", "vehicle", "van")
    assert found.groups == ((), (1, 3), ())
    assert found.notes[-1] == "the outputs are restricted to 1 of 3 classes"
    assert restrict_outputs(whole, ["bus", "vehicle"]).groups == ((0,), (1, 3), ())
    assert restrict_outputs(whole, ["bus", "vehicle", "van"]) == whole


def test_restricting_needs_known_classes() -> None:
    ids = align_classes(["0"], ["a", "b"], "ids")
    with pytest.raises(ConfigError, match=r"Set metrics\.classes") as caught:
        restrict_outputs(ids, None)
    assert caught.value.code == "RESTRICT_LOGITS"
    assert restrict_outputs(ids, ["b"]).groups == ((), (1,))
    with pytest.raises(ConfigError, match=r"metrics\.classes c: the run has no such class"):
        restrict_outputs(ids, ["c"])


def test_names_are_compared_in_one_unicode_form() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    drinks = {composed: "drink", "tea": "drink"}
    found = align_classes([decomposed, "tea"], [composed, "tea", "bread"], drinks)
    assert found.names == ("drink", "bread")
    assert found.groups == ((0, 1), (2,))
    assert dict(found.ids) == {decomposed: 0, "tea": 0}
