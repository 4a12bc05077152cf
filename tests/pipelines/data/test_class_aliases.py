"""Classes that a dataset names in another way than the checkpoint."""

from __future__ import annotations

import unicodedata

import pytest

from snellen.adapters.errors import InputError
from snellen.adapters.timm.imagenet import imagenet_class_names, imagenet_synsets
from snellen.pipelines.data.class_map import align_classes

NFC, NFD = "caf\u00e9", "cafe\u0301"
NAMES = imagenet_class_names()
SYNSETS = imagenet_synsets()
PLAIN = tuple(name.split(" (n")[0] for name in NAMES)
"""timm's and Keras' lists: "crane" and "maillot" twice."""


def rejection(*arguments: object) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        align_classes(*arguments)  # type: ignore[arg-type]
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(("ours", "theirs"), [(NFC, NFD), (NFD, NFC)], ids=["O-nfd", "O-nfc"])
def test_unicode_forms_are_equal_and_keep_their_bytes(ours: str, theirs: str) -> None:
    classes = align_classes(["a", ours], [theirs, "a"])
    assert dict(classes.ids) == {"a": 1, ours: 0}
    assert classes.names == (theirs, "a")
    mapped = align_classes(
        ["kitten", ours, "b"], [theirs, "a"], {"kitten": ours, theirs: "a", "b": None}
    )
    assert dict(mapped.ids) == {"kitten": 0, ours: 1, "b": None}


def test_two_forms_of_one_name_in_a_checkpoint_are_duplicates() -> None:
    assert unicodedata.normalize("NFC", NFD) == NFC != NFD
    assert rejection(["a"], [NFC, NFD])[0] == "CLASS_NAMES_DUPLICATE"


def test_two_forms_in_a_dataset_are_one_class() -> None:
    assert dict(align_classes([NFC, NFD], [NFC]).ids) == {NFC: 0, NFD: 0}


@pytest.mark.parametrize("names", [NAMES, PLAIN, SYNSETS], ids=["P-snellen", "P-timm", "P-synsets"])
def test_synsets_are_imagenets_classes(names: tuple[str, ...]) -> None:
    classes = align_classes(sorted(SYNSETS, reverse=True), names)
    assert [classes.class_id(synset) for synset in SYNSETS] == list(range(1000))


def test_equal_names_are_told_apart_by_their_synsets() -> None:
    assert len(set(PLAIN)) == 998
    classes = align_classes(SYNSETS, PLAIN)
    assert [classes.names[number] for number in (134, 517)] == [
        "crane (n02012849)", "crane (n03126707)"]  # fmt: skip
    assert classes.notes == (
        "1000 classes were matched to ImageNet's by WordNet id or another spelling, such as "
        "'n01440764' to 'tench'",
    )


def test_a_subset_of_synsets_needs_the_setting_subset() -> None:
    some = ("n02012849", "n03126707", "n01440764")
    code, message = rejection(some, NAMES)
    assert code == "CLASS_MAP_MISMATCH"
    assert "set model.class_map: subset" in message
    assert "Only in the dataset" not in message
    classes = align_classes(some, NAMES, "subset")
    assert dict(classes.ids) == {"n02012849": 134, "n03126707": 517, "n01440764": 0}


def test_torchvisions_names_are_imagenets_classes() -> None:
    models = pytest.importorskip("torchvision.models")
    categories = models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    for dataset, names in ((categories, NAMES), (SYNSETS, categories), (NAMES, categories)):
        classes = align_classes(dataset, names)
        assert list(classes.ids.values()) == list(range(1000))


def test_a_name_of_two_classes_is_rejected_with_both() -> None:
    code, message = rejection(["tench", "crane"], NAMES, "subset")
    assert code == "CLASS_MAP_MISMATCH"
    assert "('crane' may be 'crane (n02012849)' or 'crane (n03126707)')" in message
    mapped = align_classes(["tench", "crane"], NAMES, {"crane": "crane (n02012849)"})
    assert dict(mapped.ids) == {"tench": 0, "crane": 134}
    # torchvision calls the other one "crane bird".
    both = align_classes(["crane", "crane bird", "maillot", "maillot tank suit"], NAMES, "subset")
    assert list(both.ids.values()) == [517, 134, 638, 639]


def test_numbers_are_imagenets_class_ids_if_all_are_numbers() -> None:
    folders = [str(number) for number in range(1000)]
    classes = align_classes(sorted(folders), NAMES)
    assert [classes.class_id(name) for name in folders] == list(range(1000))
    assert "they were taken as ImageNet's class ids" in classes.notes[0]
    assert rejection([*folders[1:], "1000"], NAMES)[0] == "CLASS_MAP_MISMATCH"
    assert rejection([*folders[1:], "cat"], NAMES)[0] == "CLASS_MAP_MISMATCH"
    # Numbers of another model are names like any other.
    assert rejection(["0", "1"], ["cat", "dog"])[0] == "CLASS_MAP_MISMATCH"


def test_names_of_another_model_are_not_imagenets() -> None:
    others = tuple(f"class {number}" for number in range(1000))
    assert rejection(SYNSETS, others)[0] == "CLASS_MAP_MISMATCH"
