"""Spellings of the ImageNet classes in timm and torchvision."""

from __future__ import annotations

from collections import Counter

import pytest

from snellen.adapters.timm.imagenet import (
    are_imagenet,
    imagenet_class_names,
    imagenet_spellings,
    imagenet_synsets,
)

CRANES, MAILLOTS = (134, 517), (638, 639)


def test_every_spelling_leads_to_its_class() -> None:
    timm_data = pytest.importorskip("timm.data")
    models = pytest.importorskip("torchvision.models")
    info = timm_data.ImageNetInfo()
    categories = models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    spellings = imagenet_spellings()
    for number, synset in enumerate(info.label_names()):
        assert spellings[synset] == (number,)
        assert spellings[imagenet_class_names()[number]] == (number,)
        for name in (info.label_name_to_description(synset), categories[number]):
            assert number in spellings[name]
    doubtful = {name: ids for name, ids in spellings.items() if len(ids) > 1}
    assert doubtful == {"crane": CRANES, "maillot": MAILLOTS}


def test_lists_of_all_classes_are_recognised() -> None:
    models = pytest.importorskip("torchvision.models")
    categories = models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    names = imagenet_class_names()
    first = [name.split(" (n")[0] for name in names]
    assert [name for name, count in Counter(first).items() if count > 1] == ["crane", "maillot"]
    for spelled in (names, first, categories, imagenet_synsets()):
        assert are_imagenet(spelled)
    assert not are_imagenet(names[:-1])
    assert not are_imagenet((names[1], names[0], *names[2:]))
