"""The command ``threshold``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    FormatOption,
    JsonOption,
    RunArgument,
    one_of,
    open_run,
)
from snellen.cli.output import show, stderr_console
from snellen.cli.progress import make_reporter

if TYPE_CHECKING:
    from snellen.metrics.confidence_curve import Rule
    from snellen.store.sql.database import Database
    from snellen.store.views import RunView

_FRACTION = {"min": 0.0, "max": 1.0}
_REQUIRED = ("precision", "recall", "accuracy", "coverage")


def threshold_command(
    run: RunArgument,
    best: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC", callback=one_of(lambda: ("f1",)), help="Choose the largest value: f1."
        ),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(**_FRACTION, help="Choose the most recall with at least this precision."),
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option(**_FRACTION, help="Choose the highest threshold with at least this recall."),
    ] = None,
    accuracy: Annotated[
        float | None,
        typer.Option(**_FRACTION, help="Choose the most images kept with at least this accuracy."),
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(**_FRACTION, help="Choose the highest threshold that keeps this fraction."),
    ] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="List and choose a threshold for each class, too.")
    ] = False,
    freeze: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the choice to a YAML file.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Check a frozen choice on this run.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="METRIC=VALUE", help="Required value for --check: precision=0.9."),
    ] = None,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """List metrics over confidence thresholds, choose one, or check one.

    Detectors: precision, recall and F1. Classifiers: the accuracy of the images that are kept, and
    their fraction.

    Example: snellen threshold val --precision 0.9 --per-class --freeze limits.yaml

    Example: snellen threshold test --check limits.yaml --target precision=0.9

    Example: snellen eval best.pt data.yaml --thresholds limits.yaml
    """
    from snellen.metrics.confidence_curve import Rule

    required = dict(zip(_REQUIRED, (precision, recall, accuracy, coverage), strict=True))
    rules = [Rule(key, value) for key, value in required.items() if value is not None]
    rules += [Rule(best)] if best is not None else []
    if len(rules) > 1 or (check is not None and (rules or freeze)):
        raise typer.BadParameter(
            f"{len(rules)} rules{' and --check' if check else ''} were given. Expected one rule, "
            "such as --best f1 or --precision 0.9, or --check FILE alone"
        )
    if freeze is not None and not rules:
        raise typer.BadParameter(
            "--freeze without a choice. Expected a rule with it, such as --best f1"
        )
    if target is not None and check is None:
        raise typer.BadParameter("--target without --check. Expected --check FILE with it")
    db, found = open_run(database, run)
    with make_reporter(debug=debug) as reporter:
        reporter.status("Counting predictions at every threshold")
        if check is not None:
            document = _checked(db, found, check, _target(target))
        else:
            asked = _Asked(rules[0] if rules else None, per_class, freeze)
            document = _listed(db, found, asked)
    from snellen.cli.threshold import tables

    if check is None:
        show(document, lambda: tables.scan_tables(document), as_json=as_json)
    else:
        show(document, lambda: [tables.check_table(document)], as_json=as_json)
    _advise(document, freeze)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A list of thresholds: the rule that chooses some, and the file to write them to."""

    rule: Rule | None
    per_class: bool
    file: Path | None


def _listed(db: Database, run: RunView, asked: _Asked) -> dict[str, Any]:
    from snellen.analysis.operating_points.frozen import freeze
    from snellen.analysis.operating_points.threshold_choice import choose, scan_document, scan_run
    from snellen.analysis.reader import completed_owner

    scan = scan_run(db, run)
    choice = None
    if asked.rule is not None:
        choice = choose(scan, asked.rule, per_class=asked.per_class)
        if asked.file is not None:
            freeze(asked.file, run, completed_owner(db, run), scan, choice)
    return scan_document(run, scan, choice, per_class=asked.per_class)


def _checked(db: Database, run: RunView, file: Path, target: Rule | None) -> dict[str, Any]:
    from snellen.analysis.operating_points.frozen import read_frozen
    from snellen.analysis.operating_points.realised import check_frozen

    return check_frozen(db, run, read_frozen(file), target)


def _advise(document: dict[str, Any], file: Path | None) -> None:
    """Print what can be done with a frozen file, or a warning about its check."""
    if document.get("same_images"):
        from snellen.analysis.operating_points.realised import OPTIMISTIC

        stderr_console().print(f"Warning: {OPTIMISTIC}", soft_wrap=True)
    if file is None:
        return
    detector = any("recall" in row for row in document["thresholds"])
    lines = [
        f"Thresholds written to {file}",
        f"snellen eval CHECKPOINT DATASET --thresholds {file}" if detector else "",
        f"snellen threshold OTHER-RUN --check {file}",
    ]
    stderr_console().print("\n  ".join(filter(None, lines)), soft_wrap=True, markup=False)


def _target(text: str | None) -> Rule | None:
    if text is None:
        return None
    from snellen.metrics.confidence_curve import Rule

    key, sign, value = text.partition("=")
    try:
        least = float(value)
    except ValueError:
        sign = ""
    if not sign or not 0 <= least <= 1:
        raise typer.BadParameter(
            f"--target {text!r} is no required value. Expected METRIC=VALUE with a value from 0 to "
            "1, such as precision=0.9"
        )
    return Rule(key.strip(), least)
