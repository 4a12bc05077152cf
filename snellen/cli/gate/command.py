"""The command ``gate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    FormatOption,
    JsonOption,
    RunArgument,
    open_database,
)
from snellen.cli.output import show, stderr_console

if TYPE_CHECKING:
    from snellen.analysis.gate.outcome import GateOutcome
    from snellen.store.sql.database import Database
    from snellen.store.views import RunView

RulesOption = Annotated[
    Path, typer.Option("--rules", metavar="FILE", help="YAML file with the rules.")
]
BaselineOption = Annotated[
    str | None,
    typer.Option(metavar="RUN", help="Run to compare with: an id, a tag or a name."),
]


def gate_command(
    run: RunArgument,
    rules: RulesOption,
    baseline: BaselineOption = None,
    baseline_revision: Annotated[
        int | None,
        typer.Option(min=0, help="Revision that the baseline must have.", show_default="any"),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Metadata column of dependent images."),
    ] = None,
    allow_inconclusive: Annotated[
        bool, typer.Option("--allow-inconclusive", help="Exit with 0 where nothing is settled.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write Markdown, for a step summary of GitHub."),
    ] = None,
    comment: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write Markdown below 64 KB, for a pull request."),
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write OpenMetrics text.")
    ] = None,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Check a run against rules and a baseline, for CI.

    Exit codes: 0 pass, 3 a required rule fails, 4 a required rule is inconclusive, 2 the
    baseline is missing, incomplete or of another dataset.

    Example: snellen gate latest --baseline baseline --rules gate.yaml --junit gate.xml
    """
    from snellen.analysis.gate.reports import write_reports
    from snellen.store.runs import get_test_run

    stderr_console().print("Checking rules ...")
    db = open_database(database)
    try:
        found = get_test_run(db, run)
        outcome = check(db, found, rules, (baseline, baseline_revision), group)
    finally:
        db.close()
    files = {"junit": junit, "summary": summary, "comment": comment, "metrics": metrics}
    write_reports(outcome, found, files)
    print_outcome(outcome, as_json=as_json)
    raise typer.Exit(outcome.exit_code(allow_inconclusive=allow_inconclusive))


def check(
    db: Database,
    run: RunView,
    rules: Path,
    baseline: tuple[str | None, int | None],
    group: str | None = None,
) -> GateOutcome:
    """Check the rules of a file on a run; the baseline is a reference and a revision."""
    from snellen.adapters.errors import InputError
    from snellen.analysis.gate.check import check_gate
    from snellen.analysis.gate.rules import read_rules
    from snellen.store.runs import get_test_run

    parsed = read_rules(rules)
    reference, revision = baseline
    base = None if reference is None else get_test_run(db, reference)
    if base is not None and revision is not None and base.revision != revision:
        raise InputError(
            "GATE_BASELINE_MOVED",
            f"the baseline {base.id} has the revision {base.revision}: its failed images were "
            f"scored again. Expected revision {revision}. Check it, then set "
            f"--baseline-revision {base.revision}",
        )
    return check_gate(db, run, parsed, base, group=group)


def resolve_baseline(url: str | None, rules: Path, baseline: str | None) -> int | None:
    """Read the rules and return the id of the baseline, before a run is started.

    A name may mean the new run afterwards. Raises ConfigError or InputError as `check`.
    """
    from snellen.adapters.errors import ConfigError
    from snellen.analysis.gate.rules import read_rules
    from snellen.analysis.reader import completed_owner
    from snellen.store.runs import get_test_run

    paired = any(rule.is_paired for rule in read_rules(rules))
    if baseline is None:
        if paired:
            raise ConfigError(
                "GATE_BASELINE",
                f"'{rules}' has rules with max_drop, and there is no baseline. Expected one. Add "
                "--baseline RUN, for example a tag.",
            )
        return None
    db = open_database(url)
    try:
        found = get_test_run(db, baseline)
        completed_owner(db, found)
        return found.id
    finally:
        db.close()


def check_run(url: str | None, run: RunView, rules: Path, baseline: int | None) -> GateOutcome:
    """Check the rules on a run that has just finished."""
    db = open_database(url)
    try:
        return check(db, run, rules, (None if baseline is None else str(baseline), None))
    finally:
        db.close()


def print_outcome(outcome: GateOutcome, *, as_json: bool) -> None:
    """Print the outcome as a table or as its document."""
    from snellen.cli.gate.tables import gate_tables

    show(outcome.to_json(), lambda: gate_tables(outcome), as_json=as_json)
