"""The commands ``cancel``, ``tag``, ``rename`` and ``delete``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from snellen.cli.options import DatabaseOption, DebugOption, JsonOption, open_database
from snellen.cli.output import print_json, stderr_console, stdout_console

if TYPE_CHECKING:
    from snellen.pipelines.runs.deletion import Deletion
    from snellen.store.sql.database import Database

RunReference = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="Id, tag or name of a test run, or 'latest'.")
]
InferenceOption = Annotated[
    str | None,
    typer.Option("--inference", metavar="JOB", help="Id or name of an inference job, or 'latest'."),
]
TrainingJobOption = Annotated[
    str | None,
    typer.Option("--training-job", metavar="JOB", help="Id or name of a training job."),
]


def cancel_command(
    run: RunReference = None,
    inference: InferenceOption = None,
    timeout: Annotated[
        float, typer.Option(min=0, help="Maximum time to wait for the run to stop, in seconds.")
    ] = 60.0,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Cancel a running or pending test run or inference job.

    The run may belong to another process. It keeps its committed units and can be resumed.

    Examples: snellen cancel latest; snellen cancel --inference 3
    """
    from snellen.pipelines.runs.cancel import cancel_run
    from snellen.pipelines.runs.evaluation import EVALUATION
    from snellen.pipelines.runs.prediction import PREDICTION

    _exactly_one(run, inference)
    kind = EVALUATION if run is not None else PREDICTION
    db = open_database(database)
    try:
        found = cancel_run(
            db,
            kind,
            run or inference or "",
            timeout=timeout,
            waiting=lambda: stderr_console().print("Waiting for the run to stop ..."),
        )
    finally:
        db.close()
    if as_json:
        print_json({"id": found.id, "name": found.name, "status": found.status})
    else:
        text = f"{kind.words.noun} {found.id} is {found.status}."
        if found.status == "cancelled":
            text += f" Resume with: {kind.words.resume.format(found.id)}"
        elif found.status == "running":
            text += " It has been asked to stop and will stop as soon as it can."
        stdout_console().print(text, soft_wrap=True)


def tag_command(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[RUN] NAME", help="Id, tag or name of a test run, and the tag."),
    ],
    inference: InferenceOption = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the tag NAME.")] = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Point a tag such as 'baseline' to a run; a tag that exists is moved.

    A tag works wherever the name of a run does.

    Examples: snellen tag latest baseline; snellen tag --remove baseline
    """
    from snellen.store.kinds import INFERENCE_JOB, TEST_RUN
    from snellen.store.runs import get_inference_job, get_test_run
    from snellen.store.tags import remove_tag, set_tag

    expected = 1 if remove or inference is not None else 2
    if len(words) != expected:
        raise typer.BadParameter(
            f"got {len(words)} words. Expected RUN NAME, --inference JOB NAME or --remove NAME, "
            "for example: snellen tag latest baseline"
        )
    kind = TEST_RUN if inference is None else INFERENCE_JOB
    name, before = words[-1], None
    db = open_database(database)
    try:
        if remove:
            run_id = remove_tag(db, kind, name)
        else:
            found = (
                get_test_run(db, words[0])
                if inference is None
                else get_inference_job(db, inference)
            )
            run_id = found.id
            before = set_tag(db, kind, run_id, name)
    finally:
        db.close()
    if as_json:
        print_json({"tag": name, "id": run_id, "before": before, "removed": remove})
    elif remove:
        stdout_console().print(f"Removed {name} from {run_id}.")
    else:
        moved = f", moved from {before}" if before not in (None, run_id) else ""
        stdout_console().print(f"{name} is {run_id} now{moved}.")


def rename_command(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[RUN] NAME", help="Id or name of a test run, and the new name."),
    ],
    inference: InferenceOption = None,
    training_job: TrainingJobOption = None,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Rename a test run, an inference job or a training job.

    Examples: snellen rename 4 baseline; snellen rename --training-job digits mnist
    """
    from snellen.store.jobs import get_training_job, rename_training_job
    from snellen.store.kinds import INFERENCE_JOB
    from snellen.store.runs import get_inference_job, get_test_run, rename_run

    expected = 2 if inference is None and training_job is None else 1
    if len(words) != expected or (inference is not None and training_job is not None):
        raise typer.BadParameter(
            f"got {len(words)} words. Expected RUN NAME, --inference JOB NAME or "
            "--training-job JOB NAME, for example: snellen rename 4 baseline"
        )
    name = words[-1]
    db = open_database(database)
    try:
        if training_job is not None:
            found = get_training_job(db, training_job).id
            rename_training_job(db, found, name)
        elif inference is not None:
            found = get_inference_job(db, inference).id
            rename_run(db, found, name, kind=INFERENCE_JOB)
        else:
            found = get_test_run(db, words[0]).id
            rename_run(db, found, name)
    finally:
        db.close()
    if as_json:
        print_json({"id": found, "name": name})
    else:
        stdout_console().print(f"Renamed {found} to {name}.")


def delete_command(
    run: RunReference = None,
    inference: InferenceOption = None,
    training_job: TrainingJobOption = None,
    cascade: Annotated[
        bool,
        typer.Option(
            "--cascade", help="Delete it although it has a tag, with the runs that read its files."
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Delete without asking for confirmation.")
    ] = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Delete a test run, an inference job or a training job.

    Removes database rows and result files. Deleting a training job also deletes its runs; its
    checkpoints stay.

    Examples: snellen delete 4; snellen delete --training-job digits --yes
    """
    _exactly_one(run, inference, training_job)
    db = open_database(database)
    try:
        deletion = _planned(db, run, inference, training_job, cascade)
        listed = _listed(deletion)
        if not yes:
            _ask(listed)
        deletion.carry_out(db)
    finally:
        db.close()
    if as_json:
        print_json(listed)
    else:
        stdout_console().print(f"Deleted {_spoken(listed)}.", soft_wrap=True)


def _planned(
    db: Database,
    run: str | None,
    inference: str | None,
    training_job: str | None,
    cascade: bool,
) -> Deletion:
    from snellen.pipelines.runs.deletion import (
        deletion_of_inference_job,
        deletion_of_run,
        deletion_of_training_job,
    )
    from snellen.store.jobs import get_training_job
    from snellen.store.runs import get_inference_job, get_test_run

    if run is not None:
        return deletion_of_run(db, get_test_run(db, run), cascade=cascade)
    if inference is not None:
        return deletion_of_inference_job(db, get_inference_job(db, inference), cascade=cascade)
    return deletion_of_training_job(db, get_training_job(db, training_job or ""), cascade=cascade)


def _listed(deletion: Deletion) -> dict[str, Any]:
    from snellen.store.kinds import TEST_RUN

    job = deletion.job
    return {
        "runs": [run.id for kind, run in deletion.runs if kind.name == TEST_RUN],
        "inference_jobs": [run.id for kind, run in deletion.runs if kind.name != TEST_RUN],
        "training_job": None if job is None else job.name,
        "folders": [str(folder) for folder in deletion.folders],
    }


def _spoken(listed: dict[str, Any]) -> str:
    parts = []
    if listed["training_job"] is not None:
        parts.append(f"training job {listed['training_job']}")
    for key, noun in (("runs", "run"), ("inference_jobs", "inference job")):
        if listed[key]:
            ids = ", ".join(str(run_id) for run_id in listed[key])
            parts.append(f"{noun}{'s' if len(listed[key]) > 1 else ''} {ids}")
    count = len(listed["folders"])
    parts.append(f"{count} results folder{'' if count == 1 else 's'}")
    return ", ".join(parts)


def _ask(listed: dict[str, Any]) -> None:
    console = stderr_console()
    console.print(f"This deletes {_spoken(listed)}:", soft_wrap=True)
    for folder in listed["folders"]:
        console.print(f"  {folder}", soft_wrap=True)
    typer.confirm("Delete?", abort=True, err=True)


def _exactly_one(*given: str | None) -> None:
    count = sum(one is not None for one in given)
    if count != 1:
        choices = "RUN, --inference JOB" + (", --training-job JOB" if len(given) > 2 else "")
        raise typer.BadParameter(
            f"{count} of {choices} given. Expected exactly one, for example the id of a run."
        )
