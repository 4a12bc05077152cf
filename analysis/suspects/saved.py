"""Files of suspects: a list for ``snellen images --listed``, CSV, or tasks of Label Studio."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from snellen.adapters.errors import ConfigError, InputError
from snellen.analysis.export.columnar import flat_frame
from snellen.analysis.export.label_studio import NAME, OBJECT, image_address
from snellen.analysis.report.mistakes import rows_of
from snellen.analysis.suspects.suspect import Suspect
from snellen.store.atomic_file import atomic_file, output_errors
from snellen.store.parquet.results import Results

SUFFIXES = (".parquet", ".csv", ".json")
_SCHEMA: dict[str, Any] = {
    "kind": pl.String,
    "score": pl.Float64,
    "image_id": pl.String,
    "image_index": pl.Int64,
    "true_label": pl.String,
    "predicted_label": pl.String,
    "box": pl.List(pl.Float64),
    "true_index": pl.Int64,
}


def save_suspects(
    found: Sequence[Suspect], results: Results, path: Path, *, overwrite: bool = False
) -> Path:
    """Write suspects to a file; its suffix decides the format.

    ``.parquet`` is a list for ``snellen images --listed``, ``.csv`` the same table as text, and
    ``.json`` holds tasks of Label Studio, one per image, with the suspects as predictions.

    Args:
        found: the suspects, in their order.
        results: the rows of the first run.
        path: the file.
        overwrite: replace an existing file.

    Raises:
        ConfigError: EXPORT_SUFFIX, another suffix.
        InputError: OUTPUT_TAKEN.
        RunError: DISK_FULL, OUTPUT_READONLY, OUTPUT_NOT_WRITABLE.
    """
    target = path.expanduser().absolute()
    if target.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            "EXPORT_SUFFIX",
            f"--output '{path}' does not end in {', '.join(SUFFIXES)}. Expected a list, a table or "
            f"tasks of Label Studio. Write: -o {path.stem}.csv",
        )
    if target.is_dir() or (target.exists() and not overwrite):
        raise InputError(
            "OUTPUT_TAKEN",
            f"'{target}' exists. Expected a new file. Remove it or add --overwrite.",
        )
    frame = pl.DataFrame([suspect.to_json() for suspect in found], schema=_SCHEMA)
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as temporary:
            if target.suffix.lower() == ".parquet":
                frame.write_parquet(temporary)
            elif target.suffix.lower() == ".csv":
                flat_frame(frame.to_arrow()).write_csv(temporary)
            else:
                text = json.dumps(_tasks(found, results), ensure_ascii=False, indent=1)
                temporary.write_text(text + "\n", encoding="utf-8")
    return target


def _tasks(found: Sequence[Suspect], results: Results) -> list[dict[str, Any]]:
    by_image: dict[int, list[Suspect]] = {}
    for suspect in found:
        by_image.setdefault(suspect.image_index, []).append(suspect)
    rows = rows_of(results, list(by_image))
    return [
        {
            "data": {
                "image": image_address(rows[index]),
                "image_id": rows[index]["image_id"],
                "suspects": [f"{one.kind}: {_words(one)}" for one in suspects],
            },
            "predictions": [
                {
                    "model_version": "snellen suspects",
                    "score": max(one.score for one in suspects),
                    "result": [
                        _region(number, one, rows[index]) for number, one in enumerate(suspects)
                    ],
                }
            ],
        }
        for index, suspects in by_image.items()
    ]


def _words(one: Suspect) -> str:
    return f"label {one.true_label or 'none'}, prediction {one.predicted_label or 'none'}"


def _region(number: int, one: Suspect, row: dict[str, Any]) -> dict[str, Any]:
    label = one.predicted_label or one.true_label
    region = {"id": f"s{number}", "from_name": NAME, "to_name": OBJECT, "score": one.score}
    if one.box is None:
        return {**region, "type": "choices", "value": {"choices": [label]}}
    width, height = row["width"], row["height"]
    x1, y1, x2, y2 = one.box
    return {
        **region,
        "type": "rectanglelabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "x": 100 * x1 / width,
            "y": 100 * y1 / height,
            "width": 100 * (x2 - x1) / width,
            "height": 100 * (y2 - y1) / height,
            "rotation": 0,
            "rectanglelabels": [label],
        },
    }
