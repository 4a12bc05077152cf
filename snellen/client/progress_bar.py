"""The progress bar of `RemoteRun.wait`, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from snellen.serve.api.bodies.run_bodies import ProgressResponse

Progress = Callable[[ProgressResponse], None]


@contextmanager
def following(progress: Progress | bool | None, noun: str) -> Iterator[Progress | None]:
    """Yield the function that is called with each progress of a run; None for none.

    Args:
        progress: a function; True for a progress bar; None for one in a terminal or notebook.
        noun: of the run, for the label of the bar.
    """
    if callable(progress) or progress is False:
        yield progress or None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(file=sys.stderr)
    if progress is None and not (console.is_terminal or console.is_jupyter):
        yield None
        return
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TimeRemainingColumn(), TextColumn("{task.fields[info]}")),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task(noun, total=None, info="")

        def show(found: ProgressResponse) -> None:
            bar.update(task, **_shown(found, noun))

        yield show


def _shown(found: ProgressResponse, noun: str) -> dict[str, Any]:
    parts = [f"{found.failed_images:,} failed"] if found.failed_images else []
    if found.metric_name is not None and found.metric_value is not None:
        parts.append(f"{found.metric_name} {found.metric_value:.4f}")
    return {
        "description": f"{noun}: {found.status}",
        "completed": found.done_images,
        "total": found.total_images or None,
        "info": ", ".join(parts),
    }
