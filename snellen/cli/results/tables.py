"""Tables of runs, images and training jobs; each takes the document that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from snellen.cli.dataset_tables import report_table
from snellen.pipelines.runs.reading.failures import FailureReason, failed_too_many, reasons_text

_PER_CLASS_SHOWN = 20
_CONFUSION_SHOWN = 30


def preprocessing_text(settings: Mapping[str, Any]) -> str:
    """Return the resolved preprocessing of a model in one line, the source last."""
    shown = {key: value for key, value in settings.items() if value not in (None, {}, [])}
    source = shown.pop("source", None)
    words = [f"{key} {_plain(value)}" for key, value in shown.items()]
    return ", ".join(words) + (f" (from {source})" if source else "")


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " x ".join(_plain(one) for one in value) if _is_size(value) else str(list(value))
    return (
        f"{value:g}"
        if isinstance(value, float)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )


def _is_size(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def number(value: Any) -> str:
    """Format a number for display; None becomes a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def run_tables(
    run: dict[str, Any],
    *,
    per_class: bool = False,
    confusion: bool = False,
    details: bool = False,
) -> Iterator[RenderableType]:
    """Build the tables of a run: metrics, and on request classes, confusion and settings."""
    if details:
        yield _particulars(run)
        if run.get("dataset_report"):
            yield report_table(run["dataset_report"])
    yield _metrics(run)
    if per_class and run["per_class_metrics"]:
        yield _per_class(run["per_class_metrics"])
    if confusion and run.get("confusion_matrix"):
        yield _confusion(run)
    for found in (run.get("details") or {}).get("slices") or ():
        yield _slicing(found, run["primary_metric_name"])


def _metrics(run: dict[str, Any]) -> Table:
    total, scored, failed = (run[k] for k in ("total_images", "scored_images", "failed_images"))
    report = run.get("dataset_report") or {}
    found = f"{number(report['found'])} found, " if report.get("found", total) != total else ""
    title = f"run {run['id']} · {escape(run['name'] or '')} · {run['status']}"
    table = Table(
        title=title,
        caption=f"{found}{number(total)} images, {number(scored)} scored, {number(failed)} failed",
    )
    if (run.get("details") or {}).get("counted_objects") == 0:
        table.caption = (
            f"{table.caption}\nno ground truth objects count: crowds and ignored ones do not"
        )
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval" if _level(run) == 0.95 else "interval", justify="right")
    intervals = run["intervals"] or {}
    for key, value in (run["metrics"] or {}).items():
        if isinstance(value, list | dict):
            continue
        bounds = intervals.get(key)
        shown = f"{number(bounds[0])} - {number(bounds[1])}" if bounds else ""
        table.add_row(key, number(value), shown)
    return table


def _level(run: dict[str, Any]) -> float:
    config = run.get("config") or {}
    return float((config.get("metrics") or {}).get("confidence_level", 0.95))


def _particulars(run: dict[str, Any]) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    resolved = run.get("resolved") or {}
    fingerprint = run["fingerprint"] or {}
    rows = {
        "checkpoint": run["checkpoint_path"],
        "sha256": fingerprint.get("checkpoint_sha256"),
        "dataset": run["dataset_path"],
        "split": run["dataset_split"],
        "weights": resolved.get("weights"),
        "input": _plain(resolved.get("input_shape") or ()),
        "preprocessing": preprocessing_text(resolved.get("preprocessing") or {}),
        "plan": "; ".join(resolved.get("reasons", [])),
        "classes": "; ".join((run.get("class_map") or {}).get("notes", [])) or None,
        "versions": ", ".join(f"{k} {v}" for k, v in (fingerprint.get("versions") or {}).items()),
        "rescore of run": run["results_of"],
        "files": f"{len(run['files'])} in {run['results_dir']}",
        "failed images": failures_text(run, "snellen images {} --status failed"),
        "error": run["error_message"],
    }
    for key, value in rows.items():
        if value:
            table.add_row(key, escape(str(value)))
    return table


def failures_text(run: dict[str, Any], command: str) -> str | None:
    """Return why many images of a run or a job failed, and the command that lists them.

    None where few failed.
    """
    failed, total = run["failed_images"], run["total_images"]
    reasons = [FailureReason(**reason) for reason in run["failures"]]
    if not reasons or not failed_too_many(failed, total):
        return None
    listed = command.format(run["id"])
    return f"{failed:,} of {total:,}: {reasons_text(reasons)}. List them: {listed}"


_CLASS_COLUMNS = {
    "AP": "AP50-95",
    "AP50": "AP50",
    "AR_100": "AR",
    "mask_AP": "mask AP50-95",
    "mask_AP50": "mask AP50",
    "oks_AP": "OKS AP50-95",
    "oks_AP50": "OKS AP50",
    "precision": "precision",
    "recall": "recall",
    "f1": "f1",
    "support": "support",
    "predicted": "predicted",
}
"""Key in ``per_class_metrics`` -> column; only columns with a value are shown."""


def _per_class(classes: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="per class")
    table.add_column("class", overflow="fold")
    present = {key for row in classes.values() for key, value in row.items() if value is not None}
    columns = {
        key: title + key[len(base) :]  # AP@500 is the AP at another limit on detections
        for base, title in _CLASS_COLUMNS.items()
        for key in present
        if key.partition("@")[0] == base
    }
    for title in columns.values():
        table.add_column(title, justify="right")
    for name, values in classes.items():
        table.add_row(escape(name), *(number(values.get(key)) for key in columns))
    return table


def _confusion(run: dict[str, Any]) -> RenderableType:
    matrix, names = run["confusion_matrix"], list(run["class_names"] or [])
    if isinstance(matrix, list) and len(matrix) == len(names) + 1:
        names.append("background")  # row: false positives; column: missed objects
    if not isinstance(matrix, list) or len(matrix) > _CONFUSION_SHOWN:
        return f"The confusion matrix has {len(names)} classes; use --json to print it."
    table = Table(title="confusion matrix", caption="rows: true, columns: predicted")
    table.add_column("")
    for name in names:
        table.add_column(escape(name), justify="right")
    for name, row in zip(names, matrix, strict=True):
        table.add_row(escape(name), *(str(v) if v else "·" for v in row))
    return table


def runs_table(runs: Sequence[dict[str, Any]]) -> Table:
    """Build the table of runs, one run per line."""
    table = Table()
    for name in (
        *("id", "name", "status", "result", "dataset", "checkpoint", "images", "failed"),
        "started",
    ):
        side: Literal["left", "right"] = "right" if name in {"id", "images", "failed"} else "left"
        table.add_column(name, justify=side, no_wrap=name not in _WRAPPED, overflow="fold")
    for run in runs:
        metric = run["primary_metric_name"]
        table.add_row(
            str(run["id"]),
            escape(" ".join([run["name"] or "", *(f"[{tag}]" for tag in run.get("tags") or ())])),
            run["status"],
            f"{metric} {number(run['primary_metric_value'])}" if metric else "-",
            escape(short_path(run["dataset_path"])),
            escape(short_path(run["checkpoint_path"])),
            number(run["total_images"]),
            number(run["failed_images"]),
            (run["started_at"] or "-")[5:16].replace("T", " "),
        )
    return table


_WRAPPED = {"name", "dataset", "checkpoint"}


def short_path(path: str | None) -> str:
    """Return the last two parts of a path or an address, which tell it from most others."""
    parts = [part for part in (path or "").split("/") if part]
    return "/".join(parts[-2:]) or "-"


_SLICE_METRICS = (
    ("accuracy", "macro_f1", "loss", "ece"),
    ("mAP50-95", "mask_mAP50-95", "oks_mAP50-95", "mAP50", "precision", "recall", "f1"),
)


def _slicing(found: dict[str, Any], primary: str) -> RenderableType:
    """Show one entry of ``metrics.slices``, with the primary metric only."""
    if "error" in found:
        return escape(f"slices by {found['by']} failed: {found['error']}")
    return slices_table(found["by"], found["slices"], only=(primary,))


def slices_table(
    by: str, slices: dict[str, dict[str, Any]], *, only: Sequence[str] | None = None
) -> Table:
    """Build the table of slices: the main metrics (or ``only`` these), the first with interval."""
    table = Table(title=escape(f"by {by}"))
    present = {key for found in slices.values() for key in found["metrics"]}
    main = [key for group in _SLICE_METRICS for key in group] if only is None else only
    # mAP50-95@500 is the mAP50-95 of other limits on detections.
    keys = [key for name in main for key in sorted(present) if name in (key, key.split("@")[0])]
    table.add_column("slice", overflow="fold")
    for name in ("images", "failed", *keys):
        table.add_column(name, justify="right")
    for name, found in slices.items():
        cells = []
        for position, key in enumerate(keys):
            bounds = (found["intervals"] or {}).get(key)
            shown = f" ({number(bounds[0])} - {number(bounds[1])})" if bounds else ""
            cells.append(number(found["metrics"].get(key)) + (shown if position == 0 else ""))
        counts = (number(found["total_images"]), number(found["failed_images"]))
        table.add_row(escape(name), *counts, *cells)
    return table


def plan_table(found: dict[str, Any]) -> Table:
    """Build the table of a plan."""
    table = Table(show_header=False, title="plan")
    table.add_column()
    table.add_column(overflow="fold")
    model, data = found["model"], found["dataset"]
    where = f" of split {data['split']}" if data["split"] else ""
    table.add_row(
        "model", f"{model['adapter']} {model['architecture']}, {model['classes']} classes"
    )
    table.add_row("checkpoint", escape(str(model["checkpoint"])))
    epoch = "" if model["epoch"] is None else f", epoch {model['epoch']}"
    table.add_row("weights", f"{model['weights']}{epoch}")
    table.add_row("input", _plain(model["input_shape"]))
    table.add_row("preprocessing", escape(preprocessing_text(model["preprocess"])))
    if model["class_names_source"]:
        table.add_row("class names", f"from {escape(str(model['class_names_source']))}")
    classes = f" in {data['classes']} classes" if found["class_map"] is not None else ""
    table.add_row("images", f"{data['images']:,}{where}{classes}")
    for reason in found["plan"]["reasons"]:
        table.add_row("", escape(reason))
    for note in (found["class_map"] or {"notes": ()})["notes"]:
        table.add_row("classes", escape(note))
    return table
