"""The 1000 ImageNet classes: names in the order of every model's outputs, and other spellings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

# torchvision's categories are timm's names but for these two, which make its list unique.
_TORCHVISION = {"crane bird": "n02012849", "maillot tank suit": "n03710721"}


@lru_cache(maxsize=1)
def imagenet_class_names() -> tuple[str, ...]:
    """Return 1000 unique names, from timm's table of WordNet lemmas.

    The name of a class is its first lemma ("tench, Tinca tinca" is ``tench``). If two classes
    share it, both carry their synset id: ``crane (n02012849)`` is the bird, ``crane (n03126707)``
    the machine.
    """
    synsets, first = imagenet_synsets(), _first_lemmas()
    count = Counter(first)
    return tuple(
        name if count[name] == 1 else f"{name} ({synset})"
        for name, synset in zip(first, synsets, strict=True)
    )


@lru_cache(maxsize=1)
def imagenet_synsets() -> tuple[str, ...]:
    """Return the 1000 WordNet ids (``n01440764``), which name the folders of the dataset."""
    from timm.data.imagenet_info import ImageNetInfo

    return tuple(ImageNetInfo().label_names())


@lru_cache(maxsize=1)
def imagenet_spellings() -> Mapping[str, tuple[int, ...]]:
    """Return the class ids of each name that datasets and libraries use.

    These are the WordNet id, the unique name, its first lemma, all lemmas as one text, and
    torchvision's category. ``crane`` and ``maillot`` name two classes each.
    """
    found: dict[str, list[int]] = {}
    names, lemmas = imagenet_class_names(), _first_lemmas()
    for number, synset in enumerate(imagenet_synsets()):
        for name in {synset, names[number], lemmas[number], _descriptions()[number]}:
            found.setdefault(name, []).append(number)
    for name, synset in _TORCHVISION.items():
        found[name] = [imagenet_synsets().index(synset)]
    return {name: tuple(ids) for name, ids in found.items()}


def are_imagenet(names: Sequence[str]) -> bool:
    """Return True for the names of all classes in the order of the outputs, in any spelling."""
    if len(names) != len(imagenet_synsets()):
        return False
    spellings = imagenet_spellings()
    return all(number in spellings.get(name, ()) for number, name in enumerate(names))


@lru_cache(maxsize=1)
def _descriptions() -> tuple[str, ...]:
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    return tuple(info.label_name_to_description(synset) for synset in imagenet_synsets())


def _first_lemmas() -> list[str]:
    return [description.split(",")[0].strip() for description in _descriptions()]
