"""Classes are matched by name; a mismatch stops the run with advice."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError, InputError
from snellen.pipelines.data.class_map import ClassMap, align_classes


def failure(classes: ClassMap, label: str | None) -> tuple[ErrorStage, ErrorCode, str]:
    with pytest.raises(ImageError) as caught:
        classes.class_id(label)
    return caught.value.stage, caught.value.code, caught.value.message


def rejection(*arguments: object) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        align_classes(*arguments)  # type: ignore[arg-type]
    return caught.value.code, caught.value.message


def test_the_same_names_in_the_same_order() -> None:
    classes = align_classes(["a", "b"], ["a", "b"])
    assert (classes.mode, dict(classes.ids), classes.notes) == ("name", {"a": 0, "b": 1}, ())


def test_another_order_is_matched_by_name_and_noted() -> None:
    classes = align_classes(["1", "2", "10"], ["1", "10", "2"])
    assert [classes.class_id(name) for name in ("1", "2", "10")] == [0, 2, 1]
    assert classes.notes == (
        "the dataset orders its classes differently; they were matched by name",)  # fmt: skip


@given(st.permutations(list("abcdefgh")))
def test_any_order_gives_the_checkpoints_ids(names: list[str]) -> None:
    checkpoint = list("abcdefgh")
    classes = align_classes(names, checkpoint)
    assert all(checkpoint[classes.class_id(name)] == name for name in names)


def test_a_missing_class_stops_the_run_and_says_how_to_go_on() -> None:
    assert rejection(["a"], ["a", "b"]) == (
        "CLASS_MAP_MISMATCH",
        "the 1 classes of the dataset do not match the 2 of the checkpoint by name. Expected "
        "equal names. Only in the checkpoint: 'b'. If the dataset may lack them, set "
        "model.class_map: subset.",
    )


def test_an_extra_class_stops_the_run_and_names_the_nearest() -> None:
    assert rejection(["cat", "dogs"], ["cat", "dog"]) == (
        "CLASS_MAP_MISMATCH",
        "the 2 classes of the dataset do not match the 2 of the checkpoint by name. Expected "
        "equal names. Only in the dataset: 'dogs' (is 'dogs' the checkpoint's 'dog'?). Only in "
        "the checkpoint: 'dog'. Set model.class_map: {DATASET CLASS: CHECKPOINT CLASS, ...}; null "
        "excludes a class. (If these are splits or other folders, set dataset.split.)",
    )


def test_subset_allows_missing_classes_but_no_extra_ones() -> None:
    classes = align_classes(["c", "a"], ["a", "b", "c"], "subset")
    assert (classes.class_id("c"), classes.class_id("a")) == (2, 0)
    assert "1 of the checkpoint's 3 classes have no images" in classes.notes
    assert rejection(["z"], ["a"], "subset")[0] == "CLASS_MAP_MISMATCH"


def test_long_lists_are_cut() -> None:
    _, message = rejection(["a"], ["a", *(f"n{i}" for i in range(25))])
    assert message.count("'n") == 10
    assert "and 15 more" in message


def test_a_mapping_renames_and_null_leaves_out() -> None:
    classes = align_classes(
        ["kitten", "dog", "junk"], ["cat", "dog"], {"kitten": "cat", "junk": None}
    )
    assert (classes.class_id("kitten"), classes.class_id("dog")) == (0, 1)
    assert classes.excluded() == {"junk"}
    assert classes.notes == ("excluded by model.class_map: 'junk'",)


def test_several_classes_may_become_one() -> None:
    classes = align_classes(["kitten", "cat"], ["cat", "dog"], {"kitten": "cat"})
    assert dict(classes.ids) == {"kitten": 0, "cat": 0}


@pytest.mark.parametrize(
    ("mapping", "code", "message"),
    [
        (
            {"kiten": "cat"},
            "CLASS_MAP_UNKNOWN",
            "model.class_map: 'kiten' is no class of the dataset or of the checkpoint. Did you "
            "mean 'kitten'?",
        ),
        (
            {"kitten": "cats"},
            "CLASS_MAP_UNKNOWN",
            "model.class_map: 'cats' is no class of the checkpoint, and no class of the checkpoint "
            "maps to it. Did you mean 'cat'?",
        ),
        (
            {},
            "CLASS_MAP_MISMATCH",
            "model.class_map has no checkpoint class for 'kitten'. Expected one for every class of "
            "the dataset. Map each to a class, or to null to exclude it.",
        ),
    ],
)
def test_mappings_that_are_wrong(mapping: dict[str, str], code: str, message: str) -> None:
    assert rejection(["kitten", "dog"], ["cat", "dog"], mapping) == (code, message)


def test_duplicate_names_are_rejected_with_any_map() -> None:
    for class_map in ("auto", "ids"):
        code, message = rejection(["a"], ["a", "b", "a"], class_map)
        assert code == "CLASS_NAMES_DUPLICATE"
        assert "duplicate names 'a'" in message


def test_ids_are_the_checkpoints_and_checked_image_by_image() -> None:
    classes = align_classes(["0", "7"], ["x", "y"], "ids")
    assert (classes.class_id("1"), classes.excluded()) == (1, frozenset())
    stage = ErrorStage.LABEL
    assert failure(classes, "2") == (stage, ErrorCode.LABEL_RANGE, "label 2 is outside of 0..1")
    assert failure(classes, "-1")[1] is ErrorCode.LABEL_RANGE
    assert failure(classes, "one") == (
        stage, ErrorCode.LABEL_INVALID, "label 'one' is not a class id")  # fmt: skip


@pytest.mark.parametrize("label", [None, ""])
def test_no_label(label: str | None) -> None:
    classes = align_classes(["a"], ["a"])
    assert failure(classes, label) == (
        ErrorStage.LABEL, ErrorCode.LABEL_MISSING, "the image has no label")  # fmt: skip


def test_a_label_that_is_no_class() -> None:
    classes = align_classes(["a"], ["a"])
    assert failure(classes, "b")[1] is ErrorCode.LABEL_RANGE


def test_what_is_stored_is_json() -> None:
    stored = align_classes(["b", "a"], ["a", "b"]).to_json()
    assert json.loads(json.dumps(stored)) == stored
    assert (stored["mode"], stored["ids"]) == ("name", {"b": 1, "a": 0})


def test_integer_labels_suggest_class_ids() -> None:
    _, message = rejection(["0", "1"], ["cat", "dog"])
    assert message.endswith(
        "If the labels are class ids of the checkpoint, set model.class_map=ids."
    )
    _, message = rejection(["1", "2"], ["cat", "dog"])
    assert message.endswith("set model.class_map=ids, dataset.first_label=1.")


@pytest.mark.parametrize(
    ("labels", "first_label", "expected"),
    [
        (["0", "1", "2"], 0, [0, 1, 2]),
        (["1", "2"], 0, [1, 2]),
        (["1", "2", "3"], 1, [0, 1, 2]),
        (["2", "3"], 1, [1, 2]),
    ],
    ids=["P-from-0", "P-class-0-missing", "P-from-1", "P-from-1-class-1-missing"],
)
def test_class_ids_begin_where_the_configuration_says(
    labels: list[str], first_label: int, expected: list[int]
) -> None:
    classes = align_classes(labels, ["a", "b", "c"], "ids", first_label=first_label)
    assert [classes.class_id(label) for label in labels] == expected


@pytest.mark.parametrize(
    ("labels", "first_label", "message"),
    [
        (["1", "2", "3"], 0, "the labels are 1 to 3, and none is 0. Expected 0 to 2 for 3 classes. "
         "If label 1 is the first class, set dataset.first_label=1."),
        (["2", "3"], 0, "the labels are 2 to 3, and none is 0. Expected 0 to 2 for 3 classes. If "
         "label 1 is the first class, set dataset.first_label=1."),
        (["0", "1", "2"], 1, "dataset.first_label is 1, and there is a label 0. Expected 1 to 3. "
         "Remove dataset.first_label."),
    ],
    ids=["P-from-1", "P-from-1-class-1-missing", "P-first-label-and-0"],
)  # fmt: skip
def test_class_ids_that_are_shifted_are_rejected(
    labels: list[str], first_label: int, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        align_classes(labels, ["a", "b", "c"], "ids", first_label=first_label)
    assert (caught.value.code, caught.value.message) == ("CLASS_IDS_SHIFTED", message)


def test_a_label_out_of_range_names_the_range_of_the_labels() -> None:
    classes = align_classes(["1", "4"], ["a", "b", "c"], "ids", first_label=1)
    assert failure(classes, "4")[2] == "label 4 is outside of 1..3"
    assert failure(classes, "0")[2] == "label 0 is outside of 1..3"
