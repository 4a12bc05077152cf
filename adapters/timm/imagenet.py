"""The names of the 1000 ImageNet classes, in the order of every ImageNet-1k model's outputs."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache


@lru_cache(maxsize=1)
def imagenet_class_names() -> tuple[str, ...]:
    """Return 1000 unique names, from timm's table of WordNet lemmas.

    The name of a class is its first lemma ("tench, Tinca tinca" is ``tench``). If two classes
    share it, both carry their synset id: ``crane (n02012849)`` is the bird, ``crane (n03126707)``
    the machine.
    """
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    synsets: list[str] = info.label_names()
    first = [info.label_name_to_description(synset).split(",")[0].strip() for synset in synsets]
    count = Counter(first)
    return tuple(
        name if count[name] == 1 else f"{name} ({synset})"
        for name, synset in zip(first, synsets, strict=True)
    )
