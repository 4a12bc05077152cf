"""The command ``worker``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli.options import DatabaseOption, DebugOption
from snellen.cli.progress import make_reporter


def worker_command(
    max_running: Annotated[
        int, typer.Option(min=1, max=64, help="Maximum number of jobs at a time.")
    ] = 1,
    nice: Annotated[
        int, typer.Option(min=0, max=19, help="Niceness that is added to the jobs' processes.")
    ] = 10,
    output_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of exported files and of jobs.log.")
    ] = Path("runs"),
    exit_when_empty: Annotated[
        bool, typer.Option("--exit-when-empty", help="Exit when no job is left in the queue.")
    ] = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Execute queued runs and jobs, without an HTTP service.

    Any number of workers can share the run tables; each job is executed by one of them. Ctrl-C
    interrupts the running jobs, which stay in the queue.

    Example: snellen worker --max-running 2
    """
    with make_reporter(debug=debug) as reporter:
        reporter.status("Opening the run tables")
        from snellen.serve.jobs.runner import JobRunner, RunnerSettings
        from snellen.store.sql.database import Database

        db = Database.open(database)
        settings = RunnerSettings(max_running, nice, output_dir.expanduser().absolute())
        reporter.note(f"Executing the jobs of {db}; their output is in {settings.log}")
        try:
            JobRunner(db, settings, reporter.note).run(until_empty=exit_when_empty)
        except KeyboardInterrupt:
            reporter.note("Stopped. Interrupted jobs stay in the queue.")
        finally:
            db.close()
