"""The registry of tasks: the only place in the analysis that tells tasks apart.

A new task is one module with a `snellen.analysis.record.AnalysisRecord` and one line in `TASKS`.
"""

from __future__ import annotations

from snellen.adapters.types import TaskType
from snellen.analysis.classification import CLASSIFICATION
from snellen.analysis.detection import DETECTION
from snellen.analysis.record import AnalysisRecord

TASKS: dict[TaskType, AnalysisRecord] = {
    TaskType.IMAGE_CLASSIFICATION: CLASSIFICATION,
    TaskType.OBJECT_DETECTION: DETECTION,
    TaskType.INSTANCE_SEGMENTATION: DETECTION,
    TaskType.POSE_ESTIMATION: DETECTION,
}


def task_of(task: TaskType | str) -> AnalysisRecord:
    """Return the record of a task.

    Raises:
        ValueError: ``task`` is not the name of a task.
    """
    return TASKS[TaskType(task)]
