"""The commands ``register``, ``jobs``, ``manifest`` and ``schema``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    FormatOption,
    JsonOption,
    OverridesArgument,
    TrustOption,
    one_of,
    open_database,
)
from snellen.cli.output import print_json, show, stdout_console
from snellen.cli.progress import make_reporter

if TYPE_CHECKING:
    from snellen.store.views import JobView


def register_command(
    directory: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="Run directory of timm or Ultralytics, or an exported model file."
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the job.", show_default="name of the folder")
    ] = None,
    class_names: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Text file with one class name per line, in output order."
        ),
    ] = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Register a training job from its run directory or exported model.

    Reads the checkpoints, the class names and the validation metrics of each epoch.

    Example: snellen register output/train/20260101-120000-resnet50-224 --name mine
    """
    from snellen.adapters.errors import ConfigError
    from snellen.adapters.text_files import read_class_names
    from snellen.pipelines.models.training_jobs import (
        describe_job,
        register_directory,
        register_file,
    )
    from snellen.store.jobs import validation_results
    from snellen.store.sql.database import Database

    names = None
    if class_names is not None:
        file = Path(class_names).expanduser()
        if not file.is_file():
            raise ConfigError(
                "CLASS_NAMES_NOT_FOUND",
                f"--class-names: '{file}' does not exist. Expected a text file with one class "
                "name per line, in the order of the model's outputs.",
            )
        names = read_class_names(file)
    db = Database.open(database)
    if Path(directory).expanduser().is_file():
        job = register_file(db, directory, name=name, class_names=names, trust=trust)
    else:
        job = register_directory(db, directory, name=name, class_names=names)
    document = describe_job(job)
    from snellen.cli.jobs.tables import job_table

    show(document, lambda: [job_table(document, validation_results(db, job.id))], as_json=as_json)


def jobs_command(
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """List registered training jobs, newest first.

    Example: snellen jobs --json
    """
    from snellen.pipelines.models.training_jobs import describe_job
    from snellen.store.jobs import list_training_jobs

    jobs = list_training_jobs(open_database(database))
    documents = [describe_job(job) for job in jobs]
    datasets = {job.id: _training_data(job) for job in jobs}
    from snellen.cli.jobs.tables import jobs_table

    show(documents, lambda: [jobs_table(documents, datasets)], as_json=as_json)


def _training_data(job: JobView) -> str | None:
    """Return the dataset that the arguments of a training name."""
    args = (job.config or {}).get("args") or {}
    named = args.get("data") or args.get("data_dir")
    return named if isinstance(named, str) else None


def manifest_command(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="YAML file with the configuration.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Parquet file to write.")
    ],
    overrides: OverridesArgument = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
    with_hashes: Annotated[
        bool, typer.Option("--hash", help="Also write the sha256 of each image, which reads it.")
    ] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Convert the dataset of a configuration to a Parquet manifest.

    Evaluating the manifest skips listing and parsing the original dataset.

    Example: snellen manifest mine.yaml -o mine.parquet
    """
    from snellen.pipelines.config.loader import load_config
    from snellen.pipelines.data.convert import convert_dataset

    with make_reporter(debug=debug) as reporter:
        reporter.status("Reading configuration")
        parsed = load_config(config, overrides or [])
        target = Path(output).expanduser()
        summary = convert_dataset(
            parsed, target, reporter, overwrite=overwrite, with_hashes=with_hashes
        )
    if as_json:
        print_json({"path": str(target), "images": summary.rows, "sha256": summary.sha256})
        return
    stdout_console().print(f"{summary.rows:,} images in {target}")


def _configurations() -> tuple[str, ...]:
    return ("eval", "predict", "serve")


def schema_command(
    of: Annotated[
        str,
        typer.Argument(
            metavar="[COMMAND]",
            callback=one_of(_configurations),
            help="Command whose configuration to describe: eval, predict or serve.",
        ),
    ] = "eval",
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Print the JSON Schema of a configuration file.

    Editors use it to complete and check keys.

    Example: snellen schema predict > predict.schema.json
    """
    from snellen.pipelines.config.base import Section
    from snellen.pipelines.config.evaluate import EvaluateConfig
    from snellen.pipelines.config.predict import PredictConfig
    from snellen.serve.config import ServeConfig

    kinds: dict[str, type[Section]] = {
        "eval": EvaluateConfig,
        "predict": PredictConfig,
        "serve": ServeConfig,
    }
    schema = kinds[of].model_json_schema()
    print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
