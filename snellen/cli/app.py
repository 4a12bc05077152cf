"""The commands, by name. Each module imports what it needs when it is called."""

from __future__ import annotations

import typer

from snellen.cli import (
    commands_errors,
    commands_jobs,
    commands_models,
    commands_predict,
    commands_results,
    commands_run,
    commands_serve,
)

app = typer.Typer(
    name="snellen",
    help="Test a trained vision model on a labelled set, see on which images it fails, and run it "
    "on images without labels.",
    epilog="Exit codes: 0 done, 1 run failed or models differ, 2 bad usage, config or input, "
    "130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
_SETTINGS = {"allow_interspersed_args": True}

app.command("eval", context_settings=_SETTINGS)(commands_run.eval_command)
app.command("resume", context_settings=_SETTINGS)(commands_run.resume_command)
app.command("plan", context_settings=_SETTINGS)(commands_run.plan_command)
app.command("serve", context_settings=_SETTINGS)(commands_serve.serve_command)
app.command("predict", context_settings=_SETTINGS)(commands_predict.predict_command)
app.command("predictions")(commands_predict.predictions_command)
app.command("runs")(commands_results.runs_command)
app.command("show")(commands_results.show_command)
app.command("images")(commands_results.images_command)
app.command("errors")(commands_errors.errors_command)
app.command("rescore", context_settings=_SETTINGS)(commands_results.rescore_command)
app.command("slices")(commands_results.slices_command)
app.command("verify")(commands_results.verify_command)
app.command("manifest", context_settings=_SETTINGS)(commands_jobs.manifest_command)
app.command("register")(commands_jobs.register_command)
app.command("jobs")(commands_jobs.jobs_command)
app.command("export-model")(commands_models.export_command)
app.command("parity")(commands_models.parity_command)
app.command("schema")(commands_jobs.schema_command)


def _version(wanted: bool) -> None:
    if wanted:
        from pipelines.fingerprint import snellen_version

        typer.echo(f"snellen {snellen_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Options of every command."""
