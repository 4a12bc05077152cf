"""The command ``import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from snellen.cli.options import DatabaseOption, DebugOption, JsonOption, OverridesArgument, one_of
from snellen.cli.progress import make_reporter
from snellen.cli.run.printed import print_run

_SECTIONS = ("dataset.", "metrics.", "output.", "model.class_map", "name", "task", "run.seed")


def _formats() -> tuple[str, ...]:
    from snellen.pipelines.imports.prediction_file import READERS

    return ("auto", *READERS)


def _keys() -> tuple[str, ...]:
    from snellen.pipelines.imports.import_request import KEYS

    return KEYS


def import_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File or folder of predictions.")],
    dataset: Annotated[
        str, typer.Option(metavar="PATH", help="Labelled dataset that was predicted.")
    ],
    overrides: OverridesArgument = None,
    split: Annotated[str | None, typer.Option(help="Split of the dataset.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    job: Annotated[
        str | None, typer.Option(metavar="NAME", help="Training job that the run belongs to.")
    ] = None,
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            callback=one_of(_formats),
            help="coco, yolo, table (CSV or Parquet), or auto.",
        ),
    ] = "auto",
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Class names of the predictions: a,b,c or a text file. Default: the dataset's.",
        ),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="COCO file that image and category ids refer to."),
    ] = None,
    first_class: Annotated[
        int | None, typer.Option(min=0, max=1, help="Number of the first class: 0 or 1.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="KEY=NAME,...", help="Columns of a table: image=, label=, confidence=."
        ),
    ] = None,
    image_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            callback=one_of(_keys),
            help="Part of an image that names it: id (COCO), path, name or stem.",
        ),
    ] = None,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Import predictions of any framework as a test run.

    The run has metrics, result rows and a ledger as any other. Predictions that are not used are
    counted in its dataset report.

    Example: snellen import predictions.json --dataset data.yaml

    Example: snellen import runs/predict/labels --dataset data.yaml --split val

    Example: snellen import probabilities.csv --dataset photos/ --name baseline
    """
    with make_reporter(debug=debug) as reporter:
        reporter.status("Reading configuration")
        from snellen.pipelines.imports.import_request import ImportRequest
        from snellen.pipelines.imports.import_run import import_predictions

        settings = {"dataset.path": dataset, "dataset.split": split, "name": name}
        names = _names(classes)
        config = _configuration(file, names, settings, overrides or [], database)
        request = ImportRequest(
            path=file,
            format=format_name,
            classes=names,
            annotations=annotations,
            first_class=first_class,
            columns=_columns(columns),
            image_key=image_key,
            task=config.task,
        )
        run = import_predictions(request, config, reporter, job=job)
    print_run(run, config.database, as_json=as_json)


def _configuration(
    file: Path,
    names: tuple[str, ...] | None,
    settings: dict[str, Any],
    words: list[str],
    database: str | None,
) -> Any:
    from snellen.adapters.errors import ConfigError
    from snellen.pipelines.config.evaluate import EvaluateConfig
    from snellen.pipelines.config.loader import build_as, merged
    from snellen.store.views import IMPORTED

    for word in words:
        if not word.startswith(_SECTIONS):
            raise ConfigError(
                "IMPORT_SETTING",
                f"'{word}' does not apply to predictions that were made elsewhere. Expected keys "
                "of dataset, metrics and output, model.class_map, task or name.",
            )
    # every prediction of the file counts, whatever its confidence
    model = {"adapter": IMPORTED, "checkpoint": str(file.absolute()), "min_confidence": 0.0}
    if names is not None:
        model["class_names"] = list(names)
    run = {"engine": "inline"}
    data, where = merged({"model": model, "run": run}, {**settings, "database": database}, words)
    return build_as(EvaluateConfig, data, where=where)


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    path = Path(text).expanduser()
    if path.is_file():
        from snellen.adapters.text_files import read_class_names

        return read_class_names(path)
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise typer.BadParameter(
            f"--classes {text!r} has an empty name. Expected names separated by commas, or a text "
            "file with one name per line"
        )
    return names


def _columns(text: str | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in (text or "").split(","):
        key, sign, column = part.partition("=")
        if part and not (sign and key.strip() and column.strip()):
            raise typer.BadParameter(
                f"--columns {text!r} is no list of columns. Expected image=NAME, label=NAME or "
                "confidence=NAME, separated by commas"
            )
        if part:
            found[key.strip()] = column.strip()
    return found
