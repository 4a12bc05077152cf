"""The commands ``runs``, ``show``, ``images``, ``rescore`` and ``verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    FormatOption,
    JsonOption,
    LimitOption,
    OffsetOption,
    OverridesArgument,
    RunArgument,
    ThresholdsOption,
    one_of,
    open_database,
    open_run,
)
from snellen.cli.output import show
from snellen.cli.progress import make_reporter
from snellen.cli.results.narrowing import KindOption, ListedOption, WhereOption, narrowed
from snellen.cli.selection import (
    CorrectOption,
    DescOption,
    ErrorCodeOption,
    ImageSelection,
    ImageStatusOption,
    MaxConfidenceOption,
    MinConfidenceOption,
    PredictedOption,
    SortOption,
    TrueClassOption,
)
from snellen.cli.verified import print_verified

if TYPE_CHECKING:
    from snellen.store.runs import RunFilter
    from snellen.store.sql.database import Database


def _run_statuses() -> tuple[str, ...]:
    from snellen.store.sql.models import STATUSES

    return STATUSES


def runs_command(
    status: Annotated[
        str | None,
        typer.Option(
            callback=one_of(_run_statuses),
            help="Status: pending, running, completed, failed, interrupted or cancelled.",
        ),
    ] = None,
    job: Annotated[
        str | None, typer.Option(help="Id or name of the training job of the runs.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name or path of the dataset of the runs.")
    ] = None,
    limit: LimitOption = 50,
    offset: OffsetOption = 0,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """List test runs, newest first.

    Example: snellen runs --status completed --limit 10
    """
    from snellen.analysis.documents import run_documents
    from snellen.store.jobs import get_training_job
    from snellen.store.runs import list_test_runs

    db = open_database(database)
    where = _of_dataset(db, dataset)
    where["status"] = status
    where["training_job_id"] = get_training_job(db, job).id if job is not None else None
    found = list_test_runs(db, limit=limit, offset=offset, **where)
    documents = run_documents(db, found)
    from snellen.cli.results.tables import runs_table

    show(documents, lambda: [runs_table(documents)], as_json=as_json)


def _of_dataset(db: Database, dataset: str | None) -> RunFilter:
    """Return the conditions of the runs of a dataset, which is given by its name or its path.

    Runs of a registered dataset have its split and its annotations, too.
    """
    if dataset is None or "://" in dataset:
        return {"dataset_path": dataset}
    from pathlib import Path

    from snellen.pipelines.config.loader import absolute_path
    from snellen.store.datasets import find_dataset, get_dataset

    path = Path(dataset).expanduser()
    known = find_dataset(db, dataset)
    if known is None and not path.exists() and "/" not in dataset:
        known = get_dataset(db, dataset)  # raises the error
    if known is None:
        return {"dataset_path": absolute_path(path)}
    split = known.config.get("split")
    return {
        "dataset_path": str(known.config["path"]),
        "dataset_split": None if split == "auto" else split,
        "annotations": known.config.get("annotations"),
    }


def show_command(
    run: RunArgument,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Also show the metrics of each class.")
    ] = False,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="Also show the confusion matrix.")
    ] = False,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Show the metrics and settings of one test run.

    Example: snellen show latest --per-class --confusion
    """
    from snellen.analysis.documents import run_document

    db, found = open_run(database, run)
    document = run_document(found, db)
    from snellen.cli.results.tables import run_tables

    show(
        document,
        lambda: run_tables(document, per_class=per_class, confusion=confusion, details=True),
        as_json=as_json,
    )


def images_command(
    run: RunArgument,
    true_class: TrueClassOption = None,
    predicted: PredictedOption = None,
    correct: CorrectOption = None,
    min_confidence: MinConfidenceOption = None,
    max_confidence: MaxConfidenceOption = None,
    status: ImageStatusOption = None,
    error_code: ErrorCodeOption = None,
    where: WhereOption = None,
    listed: ListedOption = None,
    kind: KindOption = None,
    sort: SortOption = "image_index",
    desc: DescOption = False,
    limit: LimitOption = 20,
    offset: OffsetOption = 0,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """List, filter and sort the images of a test run.

    Example: snellen images latest --incorrect --sort confidence --desc
    """
    from snellen.analysis.documents import images_document
    from snellen.analysis.reader import open_results
    from snellen.pipelines.runs.reading.operating import operating_point

    selection = ImageSelection(
        true_class, predicted, correct, min_confidence, max_confidence, status, error_code
    )
    db, found = open_run(database, run)
    results = open_results(db, found)
    rows = narrowed(results.filter(**selection.filter(found)), results, where, listed, kind)
    page = results.page(rows, sort=sort, descending=desc, offset=offset, limit=limit)
    from snellen.cli.results.image_list import images_table

    show(
        images_document(page),
        lambda: [images_table(page, offset, operating_point(found), found.class_names or [])],
        as_json=as_json,
    )


def rescore_command(
    run: RunArgument,
    overrides: OverridesArgument = None,
    thresholds: ThresholdsOption = None,
    annotations: Annotated[
        str | None,
        typer.Option(
            metavar="FILE_OR_DATASET",
            help="Corrected labels of the same images: COCO JSON, or a dataset.",
        ),
    ] = None,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Compute the metrics of a test run again, without inference.

    Reads the stored result files and stores a new run with the changed metric settings, or with
    corrected labels.

    Example: snellen rescore latest metrics.operating_confidence=0.5

    Example: snellen rescore latest --annotations corrected.json
    """
    from snellen.analysis.documents import run_document
    from snellen.analysis.rescore import rescore_run

    words = [*(overrides or []), *_frozen_words(thresholds)]
    db, found = open_run(database, run)
    with make_reporter(debug=debug) as reporter:
        new = rescore_run(db, found, words, reporter, annotations)
    document = run_document(new, db)
    from snellen.cli.results.tables import run_tables

    show(document, lambda: run_tables(document), as_json=as_json)


def _frozen_words(file: str | None) -> list[str]:
    """Return the override that a file of chosen thresholds holds."""
    if file is None:
        return []
    import json

    from snellen.analysis.operating_points.frozen import KEY, read_frozen

    return [f"{KEY}={json.dumps(read_frozen(file).applied())}"]


def verify_command(
    run: RunArgument,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Verify the result files of a test run against the ledger.

    Exit code 1 if a file is missing, truncated or changed.

    Example: snellen verify latest
    """
    from snellen.analysis.reader import verify_run

    db, found = open_run(database, run)
    with make_reporter(debug=debug) as reporter:
        reporter.status("Hashing result files")
        checked, problems = verify_run(db, found)
    print_verified("run", found.id, checked, problems, as_json=as_json)
