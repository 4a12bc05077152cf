"""Tasks are told apart in one registry per package, and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from snellen.adapters.types import TaskType
from snellen.analysis import tasks as analysis_tasks
from snellen.metrics import tasks as metrics_tasks
from snellen.pipelines.tasks import registry as pipelines_tasks
from snellen.serve.api.open_inference import tasks as serve_tasks

ROOT = Path(__file__).parents[2]
PACKAGES = ("metrics", "store", "pipelines", "analysis", "serve", "snellen")
REGISTRIES = {
    Path("metrics/tasks.py"),
    Path("pipelines/tasks/registry.py"),
    Path("analysis/tasks.py"),
    Path("serve/api/open_inference/tasks.py"),
}
NAMES = {str(task) for task in TaskType}


def modules() -> Iterator[Path]:
    """The modules of the packages, each once: the links in ``snellen/`` are not followed."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if not any((ROOT / parent).is_symlink() for parent in relative.parents):
                yield relative


def names_a_task(node: ast.expr) -> bool:
    """A member of `TaskType`, or the string that is its value; also in a literal collection."""
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name) and node.value.id == "TaskType"
    if isinstance(node, ast.Constant):
        return node.value in NAMES
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(names_a_task(element) for element in node.elts)
    return False


def compared(node: ast.AST) -> list[ast.expr]:
    """The expressions by which a node tells values apart."""
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.Dict):
        return [key for key in node.keys if key is not None]
    if isinstance(node, ast.MatchValue):
        return [node.value]
    return []


def comparisons(source: str) -> list[int]:
    """The lines in which a task is compared, matched, or the key of a dictionary."""
    found = {
        node.lineno
        for parent in ast.walk(ast.parse(source))
        for node in compared(parent)
        if names_a_task(node)
    }
    return sorted(found)


def test_only_the_registries_tell_tasks_apart() -> None:
    offenders = [
        f"{path}:{line}"
        for path in modules()
        if path not in REGISTRIES
        for line in comparisons((ROOT / path).read_text())
    ]
    assert offenders == []


def test_every_registry_has_every_task() -> None:
    for registry in (metrics_tasks, pipelines_tasks, analysis_tasks, serve_tasks):
        assert set(registry.TASKS) == set(TaskType)
        assert comparisons(Path(registry.__file__ or "").read_text())


def test_the_search_finds_every_form_of_a_comparison() -> None:
    source = """
if task is TaskType.POSE_ESTIMATION: pass
if TaskType.POSE_ESTIMATION != task: pass
if task in (TaskType.POSE_ESTIMATION, other): pass
if task == "pose_estimation": pass
known = {TaskType.POSE_ESTIMATION: 1}
match task:
    case TaskType.POSE_ESTIMATION: pass
    case "pose_estimation": pass
row = make(task=TaskType.POSE_ESTIMATION)
"""
    assert comparisons(source) == [2, 3, 4, 5, 6, 8, 9]
