"""Conversion of a dataset to a manifest file, which is evaluated without listing the images."""

from __future__ import annotations

from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.data.manifest import ManifestSummary, write_manifest
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.progress import Reporter


def convert_dataset(
    config: EvaluateConfig, target: Path, reporter: Reporter, *, overwrite: bool = False
) -> ManifestSummary:
    """Write the manifest of ``config.dataset`` to ``target``.

    Labels keep the dataset's own classes; each run maps them to those of its checkpoint.

    Raises:
        InputError: the dataset cannot be used; OUTPUT_TAKEN, ``target`` exists.
    """
    if target.exists() and not overwrite:
        raise InputError(
            "OUTPUT_TAKEN", f"'{target}' exists. Expected a new file. Remove it or add --overwrite."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    source = open_source(config.dataset)
    reporter.status(f"Listing images of {config.dataset.path}")
    return write_manifest(
        source,
        source.describe(),
        target,
        progress=lambda rows: reporter.status(f"Listing images: {rows:,} so far"),
    )
