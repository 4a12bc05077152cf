"""One name means one thing: no two modules of a package tree are easily taken for each other."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from tests.structure.test_sizes import PACKAGES, ROOT, files, relative

ROLES = {
    "adapter": "the adapter of a framework",
    "base": "the base class of a package",
    "command": "the commands of one topic",
    "confusion": "the confusion matrix of one family of metrics",
    "engine": "an engine: the interface, and Ray's",
    "metrics": "the metrics of one family of tasks, and their settings",
    "registry": "the registry of one kind of plugin or of the tasks",
    "state": "the mergeable state of one family of metrics",
    "tables": "tables in the terminal for one topic",
    "transforms": "the transform that a framework evaluates with",
}
"""Names that several modules of a tree share, because they play the same part in each package."""
_ENDING = re.compile(r"(ations?|ions?|ings?|ers?|ors?|ed|es|s|e|y|ies)$")


def stem(name: str) -> str:
    return _ENDING.sub("", name)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_is_used_once_in_a_package_tree(package: str) -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in files(package):
        if path.name not in {"__init__.py", "__main__.py"}:
            places[path.stem].append(relative(path))
    repeated = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in repeated.items() if name not in ROLES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_siblings_differ_by_more_than_an_ending(package: str) -> None:
    siblings: dict[str, set[str]] = defaultdict(set)
    for path in files(package):
        if path.name != "__init__.py":
            siblings[relative(path.parent)].add(path.stem)
        elif path.parent != ROOT / package:
            siblings[relative(path.parent.parent)].add(path.parent.name)
    alike = [
        (folder, a, b)
        for folder, names in siblings.items()
        for a, b in combinations(sorted(names), 2)
        if stem(a) == stem(b)
    ]
    assert alike == []


def test_every_shared_name_is_shared() -> None:
    counts = [Counter(path.stem for path in files(package)) for package in PACKAGES]
    assert [role for role in ROLES if all(count[role] < 2 for count in counts)] == []
