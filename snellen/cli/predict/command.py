"""The commands ``predict`` and ``predictions``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    FormatOption,
    JsonOption,
    LimitOption,
    OffsetOption,
    RetryOption,
    open_database,
)
from snellen.cli.output import show, stderr_console
from snellen.cli.planned import print_plan
from snellen.cli.predict.explaining import check_before, explain_after
from snellen.cli.progress import make_reporter
from snellen.cli.selection import ExplainOption
from snellen.cli.verified import print_verified

if TYPE_CHECKING:
    from snellen.store.sql.database import Database
    from snellen.store.views import InferenceJobView

_OVERRIDE = re.compile(r"[A-Za-z_]+(\.[A-Za-z_]+)*=")
_LISTED = 20


def predict_command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG] [IMAGES]... [KEY.SUB=VALUE]...",
            help="YAML file with the configuration; images, folders, a manifest or shards; "
            "configuration keys to override, as key.sub=value.",
        ),
    ] = None,
    job: Annotated[str | None, typer.Option(help="Id or name of a training job.")] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="Checkpoint file; with --job: best, last or an epoch number."),
    ] = None,
    adapter: Annotated[
        str | None, typer.Option(help="Adapter for a checkpoint file, such as ultralytics.")
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(help="Minimum confidence of a detection, from 0 to 1.", show_default="0.25"),
    ] = None,
    visualize: Annotated[
        str | None,
        typer.Option(
            help="Images to save with annotations: none, failed, all or a number.",
            show_default="none",
        ),
    ] = None,
    masks: Annotated[
        bool, typer.Option("--masks", help="Save instance masks as PNG files.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder for results.", show_default="runs/"
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the inference job.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="JOB", help="Resume an inference job, by id or name, or 'latest'."),
    ] = None,
    retry_failed: RetryOption = None,
    explain: ExplainOption = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the plan without starting the job.")
    ] = False,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Predict images without labels.

    Stores an inference job with one result row per image.

    Example: snellen predict --job mine photos/ --visualize all
    """
    settings = {
        "model.job": job,
        "model.checkpoint": _number_or_word(checkpoint),
        "model.adapter": adapter,
        "model.min_confidence": confidence,
        "output.visualize": _number_or_word(visualize),
        "output.masks": "png" if masks else None,
        "output.dir": output,
        "name": name,
    }
    config, images, overrides = sort_words(words or [])
    with make_reporter(debug=debug, doing="Predicting") as reporter:
        reporter.status("Reading configuration")
        from snellen.pipelines.config.predict import predict_config_of
        from snellen.pipelines.runs.runner import InferenceRunner

        where = database
        if resume is not None:
            given = [key for key, value in settings.items() if value is not None]
            given += [word for word, on in (("--plan", plan), ("--explain", explain)) if on]
            _refuse_beside_resume([*([config] if config else []), *images, *given])
            runner = InferenceRunner(database=database, reporter=reporter)
            found = runner.resume(resume, overrides, retry_failed=retry_failed or False)
        elif retry_failed is not None:
            raise _retry_without_resume()
        else:
            parsed = predict_config_of(
                config, images or None, settings=settings, overrides=overrides
            )
            where = database or parsed.database
            runner = InferenceRunner(parsed, database=database, reporter=reporter)
            if plan:
                planned = runner.plan_inference()
            else:
                check_before(explain, parsed, where)
                found = runner.run_inference()
                explain_after(explain, found, where, reporter)
    if plan:
        print_plan(planned, as_json=as_json)
        return
    _print_job(found, where, as_json=as_json)


def _retry_without_resume() -> Exception:
    return typer.BadParameter(
        "--retry-failed without --resume. Expected a stored job, for example: snellen predict "
        "--resume latest --retry-failed"
    )


def sort_words(words: Sequence[str]) -> tuple[str | None, list[str], list[str]]:
    """Sort the arguments of ``predict`` by kind.

    Returns:
        The configuration file (the first argument, if it ends in .yaml or .yml), the images, and
        the overrides (``key=value``, unless a file of that name exists).
    """
    overrides = [w for w in words if _OVERRIDE.match(w) and not Path(w).exists()]
    others = [word for word in words if word not in overrides]
    is_config = bool(others) and Path(others[0]).suffix.lower() in {".yaml", ".yml"}
    return (others[0], others[1:], overrides) if is_config else (None, others, overrides)


def _number_or_word(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdecimal() else text


def _refuse_beside_resume(words: Sequence[str]) -> None:
    from snellen.adapters.errors import ConfigError

    if words:
        raise ConfigError(
            "USAGE",
            f"'{words[0]}' cannot be combined with --resume, which takes model and images from "
            "the stored job. Expected only overrides, for example: snellen predict --resume "
            "latest run.threads=1",
        )


def predictions_command(
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="[JOB]",
            help="Id or name of an inference job, or 'latest'.",
            show_default="list all jobs",
        ),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(help="Status of the images (ok, failed) or of the jobs (completed, ...)."),
    ] = None,
    predicted: Annotated[str | None, typer.Option(help="Name of the predicted class.")] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(help="Minimum confidence of the image's most confident prediction."),
    ] = None,
    error_code: Annotated[
        str | None, typer.Option(help="Error code of failed images, such as TRUNCATED.")
    ] = None,
    sort: Annotated[str, typer.Option(help="Column to sort by.")] = "image_index",
    desc: Annotated[bool, typer.Option("--desc", help="Sort in descending order.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Verify the job's files against the ledger instead."),
    ] = False,
    limit: LimitOption = _LISTED,
    offset: OffsetOption = 0,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """List inference jobs, or show the images of one job.

    Example: snellen predictions 3 --predicted circle --min-confidence 0.5
    """
    from snellen.analysis.documents import inference_document, predictions_document
    from snellen.cli.predict.tables import job_tables, jobs_table
    from snellen.store.runs import get_inference_job, list_inference_jobs

    if job is None:
        if verify:
            raise typer.BadParameter(
                "--verify without a job. Expected an id, a name or 'latest', for example: "
                "snellen predictions latest --verify"
            )
        _check_status(status, jobs=True)
        db = open_database(database)
        jobs = list_inference_jobs(db, status=status, limit=limit, offset=offset)
        documents = [inference_document(one) for one in jobs]
        show(documents, lambda: [jobs_table(documents)], as_json=as_json)
        return
    _check_status(status, jobs=False)
    db = open_database(database)
    found = get_inference_job(db, job)
    if verify:
        _verify(db, found, as_json=as_json, debug=debug)
        return
    from snellen.analysis.reader import open_results
    from snellen.metrics.class_filter import choose_class

    results = open_results(db, found)
    names = found.class_names or []
    selection = results.filter(
        predicted_class=None
        if predicted is None
        else choose_class(predicted, names, where="--predicted"),
        min_confidence=min_confidence,
        status=status,
        error_code=error_code,
    )
    page = results.page(selection, sort=sort, descending=desc, offset=offset, limit=limit)
    document = predictions_document(inference_document(found, db), page)
    show(document, lambda: job_tables(document, offset=offset, details=True), as_json=as_json)


def _verify(db: Database, job: InferenceJobView, *, as_json: bool, debug: bool) -> None:
    from snellen.analysis.reader import verify_run

    with make_reporter(debug=debug) as reporter:
        reporter.status("Hashing result files")
        checked, problems = verify_run(db, job)
    print_verified("inference job", job.id, checked, problems, as_json=as_json)


def _check_status(status: str | None, *, jobs: bool) -> None:
    """Reject a status that is unknown for jobs, or else for images."""
    from snellen.adapters.plugins import nearest
    from snellen.adapters.types import ImageStatus
    from snellen.store.sql.models import STATUSES

    known: tuple[str, ...] = STATUSES if jobs else tuple(ImageStatus)
    if status is not None and status not in known:
        raise typer.BadParameter(
            f"--status: {status!r} is unknown. Expected one of {', '.join(known)}"
            f"{nearest(status, known) or '.'}"
        )


def _print_job(job: InferenceJobView, database: str | None, *, as_json: bool) -> None:
    from snellen.analysis.documents import inference_document, predictions_document
    from snellen.store.sql.database import Database

    db = Database.open(database, create=False)
    try:
        document: dict[str, Any] = inference_document(job, db)
        if not as_json:
            from snellen.analysis.reader import open_results

            results = open_results(db, job)
            page = results.page(results.lazy(), limit=_LISTED)
            document = predictions_document(document, page)
    finally:
        db.close()
    from snellen.cli.predict.tables import job_tables

    show(document, lambda: job_tables(document), as_json=as_json)
    if as_json:
        return
    if job.failed_images and document["total"] > 1:
        stderr_console().print(f"Next:  snellen predictions {job.id} --status failed")
    elif document["total"] > _LISTED:
        stderr_console().print(f"Next:  snellen predictions {job.id} --offset {_LISTED}")
