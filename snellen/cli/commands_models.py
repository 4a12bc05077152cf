"""``export-model`` and ``parity``."""

from __future__ import annotations

from typing import Annotated

import typer

from snellen.cli.options import DatabaseOption, DebugOption, JsonOption, one_of
from snellen.cli.output import print_json, stdout_console
from snellen.cli.progress import make_reporter


def _formats() -> tuple[str, ...]:
    from adapters.checkpoints.kinds import ENDINGS

    return tuple(ENDINGS.values())


def export_command(
    job: Annotated[
        str,
        typer.Argument(
            metavar="JOB",
            help="Id or name of a training job, its run directory, a checkpoint file, or a YAML "
            "configuration with the model.",
        ),
    ],
    file_format: Annotated[
        str, typer.Option("--format", callback=one_of(_formats), help="onnx or torchscript.")
    ],
    checkpoint: Annotated[
        str | None, typer.Option(metavar="best|last|N", help="Of a job; best where not given.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Else beside the checkpoint."),
    ] = None,
    imgsz: Annotated[
        int | None, typer.Option(min=1, help="Side of the square input; else the checkpoint's.")
    ] = None,
    nms: Annotated[
        bool | None,
        typer.Option(
            "--nms/--no-nms",
            help="--no-nms: the head that needs no suppression, of a YOLO model with two.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Export a checkpoint, compare the file with it, and register it as a job of its own."""
    with make_reporter(debug=debug) as reporter:
        from pipelines.export_model import ExportSettings, export_model

        settings = ExportSettings(file_format, checkpoint, output, imgsz, nms, overwrite)
        document = export_model(job, settings, database=database, reporter=reporter)
    if as_json:
        print_json(document)
        return
    from snellen.cli.tables_models import export_table

    stdout_console().print(export_table(document))
