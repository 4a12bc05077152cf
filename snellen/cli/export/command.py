"""The command ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    JsonOption,
    one_of,
    open_database,
)
from snellen.cli.output import print_json, stdout_console
from snellen.cli.progress import make_reporter

if TYPE_CHECKING:
    from snellen.store.sql.database import Database
    from snellen.store.views import AnyRun


def _image_statuses() -> tuple[str, ...]:
    from snellen.adapters.types import ImageStatus

    return tuple(ImageStatus)


def export_command(
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Format: parquet, csv, ndjson, json, coco, yolo, label-studio, cvat, manifest, "
            "zip, model-index, mlflow or wandb.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE_OR_DIR", help="File or folder to write."),
    ],
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Id, tag or name of a test run, or 'latest'."),
    ] = None,
    inference: Annotated[
        str | None,
        typer.Option(
            metavar="JOB", help="Id or name of an inference job, or 'latest', instead of a run."
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Minimum confidence of the image's most confident prediction, from 0 to 1; coco "
            "and yolo also omit less confident objects.",
        ),
    ] = None,
    correct: Annotated[
        bool | None,
        typer.Option("--correct/--incorrect", help="Only correct or only incorrect images."),
    ] = None,
    true_class: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Name of the true class.")
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(callback=one_of(_image_statuses), help="Status of the images: ok or failed."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file or export folder.")
    ] = False,
    attach: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="File to store with the run (mlflow, wandb)."),
    ] = None,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Export the rows of a run, or some of them, in another format.

    Example: snellen export latest --format csv -o rows.csv

    Example: snellen export latest --incorrect --format manifest -o hard.parquet
    """
    from snellen.analysis.export.run_export import ExportTarget, export_run
    from snellen.metrics.class_filter import choose_class
    from snellen.store.parquet.results import RowFilter

    _check_labelled_options(inference, correct, true_class)
    with make_reporter(debug=debug) as reporter:
        db = open_database(database)
        found = _find(db, run, inference)
        chosen = RowFilter(min_confidence=min_confidence, correct=correct, status=status)
        if true_class is not None:
            names = found.class_names or []
            chosen["true_class"] = choose_class(true_class, names, where="--class")
        reporter.status(f"Exporting to {output}")
        files = tuple(path.expanduser().absolute() for path in attach or ())
        target = ExportTarget(format_name, output, overwrite, files)
        document = export_run(db, found, target, chosen)
    if as_json:
        print_json(document)
        return
    console = stdout_console()
    images = "1 image" if document["images"] == 1 else f"{document['images']:,} images"
    console.print(f"{images} exported to {document['path']}", soft_wrap=True, markup=False)
    for reason, count in document["left_out"].items():
        console.print(f"not exported: {count:,} {reason.replace('_', ' ')}")
    for note in document["notes"]:
        console.print(note, soft_wrap=True, markup=False)


def _find(db: Database, run: str | None, inference: str | None) -> AnyRun:
    from snellen.store.runs import get_inference_job, get_test_run

    if run is not None and inference is None:
        return get_test_run(db, run)
    if inference is not None and run is None:
        return get_inference_job(db, inference)
    given = "RUN and --inference" if run is not None else "no run"
    raise typer.BadParameter(
        f"{given} given. Expected a test run or an inference job, for example: snellen export "
        "latest --format csv -o rows.csv"
    )


def _check_labelled_options(
    inference: str | None, correct: bool | None, true_class: str | None
) -> None:
    """Reject conditions on the ground truth, which the images of an inference job lack."""
    if inference is None:
        return
    for name, value in (("--class", true_class), ("--correct/--incorrect", correct)):
        if value is not None:
            raise typer.BadParameter(
                f"{name} with --inference, whose images have no ground truth. Expected "
                "--min-confidence or --status. Remove it"
            )
