"""The Typer application with all commands; each command imports what it needs when it runs."""

from __future__ import annotations

import typer

from snellen.cli.compare import command as compare
from snellen.cli.datasets.command import datasets
from snellen.cli.draw import command as draw
from snellen.cli.duplicates import command as duplicates
from snellen.cli.errors import command as errors
from snellen.cli.export import command as export
from snellen.cli.gate import command as gate
from snellen.cli.imports import command as imports
from snellen.cli.jobs import command as jobs
from snellen.cli.manage import command as manage
from snellen.cli.models import command as models
from snellen.cli.options import RetryCommand
from snellen.cli.predict import command as predict
from snellen.cli.report import command as report
from snellen.cli.results import command as results
from snellen.cli.run import command as run
from snellen.cli.serve import command as serve
from snellen.cli.server_option import VARIABLE, select_server
from snellen.cli.slices import command as slices
from snellen.cli.suspects import command as suspects
from snellen.cli.threshold import command as threshold
from snellen.cli.worker import command as worker

app = typer.Typer(
    name="snellen",
    help="Evaluate, run and serve vision models.",
    epilog="Exit codes: 0 success; 1 run failed, files damaged or models differ; 2 invalid usage, "
    "configuration or input; 3 gate failed; 4 gate inconclusive; 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
_SETTINGS = {"allow_interspersed_args": True}

app.command("eval", context_settings=_SETTINGS)(run.eval_command)
app.command("resume", cls=RetryCommand, context_settings=_SETTINGS)(run.resume_command)
app.command("plan", context_settings=_SETTINGS)(run.plan_command)
app.command("serve", context_settings=_SETTINGS)(serve.serve_command)
app.command("worker")(worker.worker_command)
app.command("predict", cls=RetryCommand, context_settings=_SETTINGS)(predict.predict_command)
app.command("predictions")(predict.predictions_command)
app.command("runs")(results.runs_command)
app.command("show")(results.show_command)
app.command("images")(results.images_command)
app.command("errors")(errors.errors_command)
app.command("suspects")(suspects.suspects_command)
app.command("duplicates")(duplicates.duplicates_command)
app.command("draw")(draw.draw_command)
app.command("report")(report.report_command)
app.command("plots")(report.plots_command)
app.command("export")(export.export_command)
app.command("import", context_settings=_SETTINGS)(imports.import_command)
app.command("rescore", context_settings=_SETTINGS)(results.rescore_command)
app.command("compare")(compare.compare_command)
app.command("gate")(gate.gate_command)
app.command("slices")(slices.slices_command)
app.command("threshold")(threshold.threshold_command)
app.command("cancel")(manage.cancel_command)
app.command("tag")(manage.tag_command)
app.command("rename")(manage.rename_command)
app.command("delete")(manage.delete_command)
app.command("verify")(results.verify_command)
app.add_typer(datasets, name="dataset")
app.command("manifest", context_settings=_SETTINGS)(jobs.manifest_command)
app.command("register")(jobs.register_command)
app.command("jobs")(jobs.jobs_command)
app.command("export-model")(models.export_command)
app.command("parity")(models.parity_command)
app.command("schema")(jobs.schema_command)


def _version(wanted: bool) -> None:
    if wanted:
        from snellen.pipelines.planning.fingerprint import snellen_version

        typer.echo(f"snellen {snellen_version()}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    server: str | None = typer.Option(
        None, metavar="URL", envvar=VARIABLE, help="Submit to this HTTP service (eval)."
    ),
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Define the options of the program itself."""
    select_server(server, context.invoked_subcommand)
