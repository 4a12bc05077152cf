"""``export-model`` and ``parity``."""

from __future__ import annotations

from typing import Annotated

import typer

from snellen.cli.options import DatabaseOption, DebugOption, JsonOption, TrustOption, one_of
from snellen.cli.output import print_json, stdout_console
from snellen.cli.progress import make_reporter


def _formats() -> tuple[str, ...]:
    from snellen.adapters.exported.writer import FORMATS

    return tuple(FORMATS)


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
        from snellen.pipelines.model_tools.export import ExportSettings, export_model

        settings = ExportSettings(file_format, checkpoint, output, imgsz, nms, overwrite)
        document = export_model(job, settings, database=database, reporter=reporter)
    if as_json:
        print_json(document)
        return
    from snellen.cli.models.tables import export_table

    stdout_console().print(export_table(document))


def parity_command(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A checkpoint file, a training job (id, name or run directory), JOB:CHECKPOINT, "
            "or a YAML configuration with the model.",
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one, likewise.")],
    dataset: Annotated[str, typer.Option(metavar="PATH", help="The images; labels are used.")],
    dataset_format: Annotated[
        str, typer.Option("--format", help="Of the data set, as dataset.format.")
    ] = "auto",
    limit: Annotated[
        int | None, typer.Option(min=1, help="So many images, spread evenly over the set.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=1e-9, help="Largest difference of a confidence.")
    ] = 1e-4,
    pixels: Annotated[
        float, typer.Option(min=1e-9, help="Largest difference of a box or keypoint, pixels.")
    ] = 1e-2,
    confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Detections below it, in both, are not compared.")
    ] = 0.25,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in one forward pass.")] = 16,
    device: Annotated[
        str, typer.Option(help="cpu, or cuda, which may round more than the tolerance.")
    ] = "cpu",
    worst: Annotated[int, typer.Option(min=0, max=1000, help="Images that are listed.")] = 10,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write a JSON line an image."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
    trust: TrustOption = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Compare two models' answers on the same images: exit code 0 equivalent, 1 different."""
    with make_reporter(debug=debug) as reporter:
        from snellen.metrics.parity.differences import Tolerance
        from snellen.pipelines.model_tools.parity import compare_models
        from snellen.pipelines.model_tools.parity_check import EQUIVALENT, ParitySettings

        settings = ParitySettings(
            dataset={"path": dataset, "format": dataset_format, "limit": limit},
            tolerance=Tolerance(tolerance, pixels, compared_from=confidence),
            batch_size=batch_size,
            device=device,
            worst=worst,
            output=output,
            overwrite=overwrite,
            trust=trust,
        )
        document = compare_models(a, b, settings, database=database, reporter=reporter)
    if as_json:
        print_json(document)
    else:
        from snellen.cli.models.tables import parity_tables

        for table in parity_tables(document):
            stdout_console().print(table)
    if document["verdict"] != EQUIVALENT:
        raise typer.Exit(1)
