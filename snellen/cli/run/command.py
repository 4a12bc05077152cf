"""``eval``, ``resume`` and ``plan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snellen.cli.gate.command import check_run, print_outcome, resolve_baseline
from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    FormatOption,
    JsonOption,
    OverridesArgument,
    RetryOption,
    ThresholdsOption,
)
from snellen.cli.output import show, stderr_console
from snellen.cli.planned import print_plan
from snellen.cli.progress import make_reporter
from snellen.cli.run.printed import print_run
from snellen.cli.run.words import Named
from snellen.cli.server_option import reject_local_options, selected_server

if TYPE_CHECKING:
    from snellen.pipelines.config.evaluate import EvaluateConfig
    from snellen.pipelines.progress import Reporter
    from snellen.pipelines.runs.sweep import SweptCheckpoint

WordsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIG | CHECKPOINT DATASET] [KEY.SUB=VALUE]...",
        help="YAML file with the configuration; or a checkpoint file, run directory or training "
        "job, and a dataset; configuration keys to override, as key.sub=value.",
    ),
]
CheckpointOption = Annotated[
    str | None,
    typer.Option(help="Checkpoint file; with --job: best, last or an epoch number."),
]
JobOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME[@CHECKPOINT]",
        help="Training job, by id or name; best by default, @all or @3,7,best for several.",
    ),
]
DatasetOption = Annotated[
    str | None, typer.Option(metavar="PATH", help="Labelled dataset, of any format.")
]
SplitOption = Annotated[
    str | None, typer.Option(help="Split of the dataset.", show_default="test, else val")
]
SaveOption = Annotated[
    str | None,
    typer.Option("--save-config", metavar="FILE", help="Write the configuration to a YAML file."),
]


def eval_command(
    words: WordsArgument = None,
    checkpoint: CheckpointOption = None,
    job: JobOption = None,
    dataset: DatasetOption = None,
    split: SplitOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    save_config: SaveOption = None,
    thresholds: ThresholdsOption = None,
    gate: Annotated[
        Path | None,
        typer.Option(metavar="RULES", help="Check the run against the rules of a YAML file."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="RUN", help="Run that --gate compares with.")
    ] = None,
    allow_inconclusive: Annotated[
        bool, typer.Option("--allow-inconclusive", help="Exit with 0 if the gate is inconclusive.")
    ] = False,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Evaluate a checkpoint on a labelled dataset.

    Stores a test run with metrics and one result row per image.

    Example: snellen eval best.pt data.yaml

    Example: snellen eval --job mine@last --dataset photos/ --split val

    Example: snellen eval mine.yaml run.batch_size=64 dataset.limit=1000

    Example: snellen eval mine@all data.yaml

    Example: snellen --server http://gpu-box:8000 eval --job mine --dataset street-val
    """
    if (server := selected_server()) is not None:
        local = {"--gate": gate, "--thresholds": thresholds, "--database": database}
        reject_local_options(local)
        with make_reporter(debug=debug) as reporter:
            reporter.status("Reading configuration")
            from snellen.cli.run.configuration import read_evaluation
            from snellen.cli.run.on_server import evaluate_on_server

            settings = {"dataset.split": split, "name": name}
            written = read_evaluation(words or [], Named(checkpoint, job, dataset), settings)
            written.shown(reporter, save_config)
            document = evaluate_on_server(server, written.data, reporter)
        _print_remote(document, server, as_json=as_json)
        return
    with make_reporter(debug=debug) as reporter:
        reporter.status("Reading configuration")
        from snellen.cli.run.configuration import frozen_setting, read_evaluation
        from snellen.pipelines.runs.runner import TestRunner
        from snellen.pipelines.runs.sweep import is_sweep

        named = Named(checkpoint, job, dataset)
        given = {"dataset.split": split, "name": name, **frozen_setting(thresholds)}
        parsed = read_evaluation(words or [], named, given).shown(reporter, save_config)
        where = database or parsed.database
        swept = _sweep(parsed, database, reporter, gate) if is_sweep(parsed) else None
        base = None if gate is None else resolve_baseline(where, gate, baseline)
        if swept is None:
            run = TestRunner(parsed, database=database, reporter=reporter).run_test()
    if swept is not None:
        _print_sweep(*swept, as_json=as_json)
        return
    if gate is None:
        print_run(run, where, as_json=as_json)
        return
    if not as_json:
        print_run(run, where, as_json=False)
    outcome = check_run(where, run, gate, base)
    print_outcome(outcome, as_json=as_json)
    raise typer.Exit(outcome.exit_code(allow_inconclusive=allow_inconclusive))


def _print_remote(document: dict[str, Any], server: str, *, as_json: bool) -> None:
    """Print a run of a service."""
    from snellen.cli.results.tables import run_tables

    show(document, lambda: run_tables(document), as_json=as_json)
    if not as_json:
        stderr_console().print(f"Run {document['id']} at {server}")


def _sweep(
    config: EvaluateConfig, database: str | None, reporter: Reporter, gate: Path | None
) -> tuple[str, list[SweptCheckpoint]]:
    """Evaluate several checkpoints of a job; return its name and their outcomes."""
    from snellen.pipelines.runs.sweep import Sweep

    if gate is not None:
        raise typer.BadParameter(
            f"--gate with the checkpoints {config.model.checkpoint}. Expected one checkpoint. "
            "Check a run of the sweep with snellen gate"
        )
    sweep = Sweep(config, database, reporter)
    return sweep.job.name, list(sweep.run())


def _print_sweep(job: str, swept: list[SweptCheckpoint], *, as_json: bool) -> None:
    from snellen.cli.run.sweep_table import sweep_document, sweep_table

    document = sweep_document(job, swept)
    show(document, lambda: [sweep_table(document)], as_json=as_json)
    if any(one.error is not None for one in swept):
        raise typer.Exit(1)


def resume_command(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="Id, tag or name of a test run, or 'latest'.")
    ] = "latest",
    overrides: OverridesArgument = None,
    retry_failed: RetryOption = None,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Resume an interrupted, cancelled or failed test run.

    Units that are already committed are not scored again. --retry-failed scores failed images
    again, of a completed run, too; the rows of all other images stay as they are.

    Example: snellen resume 12 run.actors=2

    Example: snellen resume 12 --retry-failed NOT_FOUND,IO
    """
    words = list(overrides or [])
    if "=" in run:
        run, words = "latest", [run, *words]
    with make_reporter(debug=debug) as reporter:
        reporter.status("Reading run")
        from snellen.pipelines.runs.runner import TestRunner

        finished = TestRunner(database=database, reporter=reporter).resume(
            run, words, retry_failed=retry_failed or False
        )
    print_run(finished, database, as_json=as_json)


def plan_command(
    words: WordsArgument = None,
    checkpoint: CheckpointOption = None,
    job: JobOption = None,
    dataset: DatasetOption = None,
    split: SplitOption = None,
    save_config: SaveOption = None,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Print the plan of a test run without starting it.

    Shows what every 'auto' resolves to, and why.

    Example: snellen plan best.pt data.yaml
    """
    with make_reporter(debug=debug) as reporter:
        reporter.status("Reading configuration")
        from snellen.cli.run.configuration import read_evaluation
        from snellen.pipelines.runs.runner import TestRunner

        named = Named(checkpoint, job, dataset)
        parsed = read_evaluation(words or [], named, {"dataset.split": split}).shown(
            reporter, save_config
        )
        found = TestRunner(parsed, database=database, reporter=reporter).plan_test()
    print_plan(found, as_json=as_json)
