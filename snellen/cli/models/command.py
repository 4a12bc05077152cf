"""The commands ``export-model`` and ``parity``."""

from __future__ import annotations

from typing import Annotated

import typer

from snellen.cli.options import DatabaseOption, DebugOption, JsonOption, TrustOption, one_of
from snellen.cli.output import show
from snellen.cli.progress import make_reporter


def _formats() -> tuple[str, ...]:
    from snellen.adapters.exported.writer import FORMATS

    return tuple(FORMATS)


def export_command(
    job: Annotated[
        str,
        typer.Argument(
            metavar="JOB",
            help="Id or name of a training job, run directory, checkpoint file, or YAML "
            "configuration with a model section.",
        ),
    ],
    file_format: Annotated[
        str,
        typer.Option("--format", callback=one_of(_formats), help="File format: onnx, torchscript."),
    ],
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="best|last|N",
            help="Checkpoint of the job: best, last or an epoch number.",
            show_default="best",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write.",
            show_default="next to the checkpoint",
        ),
    ] = None,
    imgsz: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Side of the square input, in pixels.",
            show_default="as the checkpoint was trained",
        ),
    ] = None,
    nms: Annotated[
        bool | None,
        typer.Option(
            "--nms/--no-nms",
            help="Export the head with or without NMS of a YOLO model that has both.",
            show_default="--nms",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Export a checkpoint to ONNX or TorchScript.

    Compares the file with the checkpoint and registers it as a training job.

    Example: snellen export-model mine --format onnx
    """
    with make_reporter(debug=debug) as reporter:
        from snellen.pipelines.model_tools.export import ExportSettings, export_model

        settings = ExportSettings(file_format, checkpoint, output, imgsz, nms, overwrite)
        document = export_model(job, settings, database=database, reporter=reporter)
    from snellen.cli.models.tables import export_table

    show(document, lambda: [export_table(document)], as_json=as_json)


def parity_command(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="First model: checkpoint file, training job (id, name or run directory), "
            "JOB:CHECKPOINT, or YAML configuration with a model section.",
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="Second model, in any of the same forms.")],
    dataset: Annotated[
        str, typer.Option(metavar="PATH", help="Dataset with the images; labels are optional.")
    ],
    dataset_format: Annotated[
        str, typer.Option("--format", help="Format of the dataset, as in dataset.format.")
    ] = "auto",
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Maximum number of images, evenly spaced over the dataset.",
            show_default="all",
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=1e-9, help="Maximum difference between confidences.")
    ] = 1e-4,
    pixels: Annotated[
        float,
        typer.Option(
            min=1e-9, help="Maximum difference between box sides or keypoints, in pixels."
        ),
    ] = 1e-2,
    confidence: Annotated[
        float,
        typer.Option(min=0, max=1, help="Ignore detections below this confidence in both models."),
    ] = 0.25,
    batch_size: Annotated[int, typer.Option(min=1, help="Number of images per forward pass.")] = 16,
    device: Annotated[
        str, typer.Option(help="cpu or cuda; rounding on cuda may exceed the tolerance.")
    ] = "cpu",
    worst: Annotated[
        int,
        typer.Option(min=0, max=1000, help="Number of images to list, largest difference first."),
    ] = 10,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write, with one JSON line per image."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
    trust: TrustOption = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Compare the predictions of two models image by image.

    Exit code 0: equivalent within the tolerance; 1: different.

    Example: snellen parity mine mine-onnx --dataset val/
    """
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
    from snellen.cli.models.tables import parity_tables

    show(document, lambda: parity_tables(document), as_json=as_json)
    if document["verdict"] != EQUIVALENT:
        raise typer.Exit(1)
