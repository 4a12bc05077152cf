"""Import a file of predictions as a test run, through the steps of an ordinary run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from snellen.adapters.errors import ConfigError, ImageError, InputError
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import with_absolute_paths
from snellen.pipelines.data.manifest_reader import ManifestReader
from snellen.pipelines.data.registered import with_registered_dataset
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.execution.worker.spec import ScoringSpec
from snellen.pipelines.execution.worker.unit_worker import UnitWorker
from snellen.pipelines.imports.image_keys import pair_images
from snellen.pipelines.imports.import_request import KEYS, ImportRequest, ReadRequest
from snellen.pipelines.imports.import_worker import ImportWorker
from snellen.pipelines.imports.imported_model import ImportedModel
from snellen.pipelines.imports.imported_results import merged_probabilities
from snellen.pipelines.imports.predicted import Predictions, Reference, names_text
from snellen.pipelines.imports.prediction_file import digest, read_predictions
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.execute import execute
from snellen.pipelines.runs.kinds import RunContext
from snellen.pipelines.runs.submit import discard, submit
from snellen.store.jobs import get_training_job
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun, RunView


def import_predictions(
    request: ImportRequest,
    config: EvaluateConfig,
    reporter: Reporter,
    *,
    job: str | None = None,
) -> RunView:
    """Make a completed test run of predictions that were made elsewhere.

    Args:
        request: the file, and how to read it.
        config: the dataset, the class map, the metrics and the output; its model is the file.
        reporter: told about progress and about what was not used.
        job: training job that the run belongs to, by id or name; None for one of the file.

    Raises:
        ConfigError, InputError: the file, the dataset or a setting cannot be used, see the readers
            of `snellen.pipelines.imports`; IMPORT_STRICT, with ``dataset.strict``, predictions
            that are not used. Nothing is left behind.
        RunError: no image could be scored, or a file cannot be written. Nothing is left behind.
    """
    if request.image_key not in (None, *KEYS):
        raise ConfigError(
            "IMPORT_IMAGE_KEY",
            f"--image-key {request.image_key} is unknown. Expected one of {', '.join(KEYS)}.",
        )
    config = with_absolute_paths(with_registered_dataset(config))
    request = replace(request, path=request.path.expanduser().absolute())
    reporter.status(f"Reading predictions of {request.path}")
    source = open_source(config.dataset)
    predictions = read_predictions(ReadRequest(request, source, source.describe()))
    model = ImportedModel(request.path, digest(request.path), predictions)
    db = Database.open(config.database)
    try:
        imported = _Import(request, predictions, config, reporter)
        known = None if job is None else get_training_job(db, job)
        context = RunContext(
            EVALUATION, config, db, reporter, model, job=known, worker=imported.worker
        )
        return imported.run(context)
    finally:
        db.close()


class _Import:
    """One import: pairs the predictions with the manifest once it is written."""

    def __init__(
        self,
        request: ImportRequest,
        predictions: Predictions,
        config: EvaluateConfig,
        reporter: Reporter,
    ) -> None:
        self._request = request
        self._predictions = predictions
        self._strict = config.dataset.strict
        self._reporter = reporter
        self._run: Callable[[], AnyRun] | None = None

    def run(self, context: RunContext) -> RunView:
        """Submit and execute the run; one that fails is removed, as it cannot be resumed."""
        run_id = submit(context)
        self._run = lambda: context.row(run_id)
        try:
            run = execute(context, run_id)
        except BaseException:
            discard(context, run_id)
            raise
        assert isinstance(run, RunView), "an import is a test run"
        return run

    def worker(self, spec: ScoringSpec, update: Callable[..., None]) -> UnitWorker:
        """Pair the predictions with the images, report what is not used, and make the worker.

        Raises:
            InputError: see `pair_images`; IMPORT_STRICT.
        """
        predictions = self._predictions
        paired = pair_images(predictions, spec.manifest, self._request.image_key)
        total = ManifestReader(spec.manifest).rows
        has_loss = not predictions.classes or _has_loss(predictions, paired, spec)
        if not has_loss:
            predictions.warnings.append(
                "an image has a probability of 0 for its true class: the loss is not defined"
            )
        _warn_outside(predictions, paired, spec)
        report = report_of(predictions, paired, total)
        for note in predictions.notes:
            self._reporter.note(f"Predictions: {note}")
        for warning in report["warnings"]:
            self._reporter.note(f"Predictions: {warning}")
        if self._strict and report["warnings"]:
            raise InputError(
                "IMPORT_STRICT",
                f"dataset.strict: the predictions have warnings: {'; '.join(report['warnings'])}. "
                "Expected none. Correct the file, or set dataset.strict=false.",
            )
        assert self._run is not None, "the worker of a run is made while it runs"
        update(dataset_report={**(self._run().dataset_report or {}), "predictions": report})
        return ImportWorker(spec, predictions, paired, has_loss=has_loss)


def report_of(
    predictions: Predictions, paired: Mapping[int, Reference], total: int
) -> dict[str, Any]:
    """Return the report of an import, as it is stored in the dataset report of the run.

    Returns:
        ``used``: number of predictions; ``images``: with a prediction; ``without_prediction``;
        ``ignored`` and ``examples`` by reason; ``notes``; ``warnings``.
    """
    references = set(paired.values())
    missing = total - len(paired)
    warnings = [
        f"{_counted(count)} not used: {reason.replace('_', ' ')} "
        f"({names_text(predictions.examples.get(reason, []))})"
        for reason, count in predictions.ignored.items()
    ]
    notes = list(predictions.notes)
    if missing and predictions.classes:
        warnings.append(f"{missing:,} of {total:,} images have no prediction: they are failed rows")
    elif missing:
        # a file of detections does not name the images without any
        notes.append(f"{missing:,} of {total:,} images have no prediction: nothing was found there")
        predictions.notes.append(notes[-1])
    return {
        "used": sum(predictions.count(one) for one in references),
        "images": len(paired),
        "without_prediction": missing,
        "ignored": dict(predictions.ignored),
        "examples": {key: list(found) for key, found in predictions.examples.items()},
        "notes": notes,
        "warnings": [*warnings, *predictions.warnings],
    }


def _counted(count: int) -> str:
    return "1 prediction is" if count == 1 else f"{count:,} predictions are"


def _has_loss(predictions: Predictions, paired: Mapping[int, Reference], spec: ScoringSpec) -> bool:
    """Return False if a labelled image has a probability of 0 for its true class."""
    class_map = spec.class_map
    assert class_map is not None, "an imported run is a test run"
    for index, label in enumerate(_column(spec, "label")):
        reference = paired.get(index)
        found = None if reference is None else predictions.classes.get(reference)
        if found is None or found.probabilities is None:
            continue
        try:
            true = class_map.class_id(label)
        except ImageError:
            continue  # the image is a failed row
        if not merged_probabilities(found.probabilities, class_map.outputs)[true] > 0:
            return False
    return True


def _column(spec: ScoringSpec, name: str) -> list[Any]:
    reader = ManifestReader(spec.manifest)
    values: list[Any] = reader.read(0, reader.rows)[name].to_pylist()
    return values


def _warn_outside(
    predictions: Predictions, paired: Mapping[int, Reference], spec: ScoringSpec
) -> None:
    """Warn of boxes outside of their image: those of another image, or of another size of it."""
    if not predictions.objects:
        return
    counts: Counter[bool] = Counter()
    sizes = zip(_column(spec, "label_width"), _column(spec, "label_height"), strict=True)
    for index, size in enumerate(sizes):
        width, height = (1, 1) if predictions.are_fractions else size
        reference = paired.get(index)
        if reference is None or width is None or height is None:
            continue
        for one in predictions.objects[reference]:
            x1, y1, x2, y2 = one.corners
            counts[x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height] += 1
    if counts[True]:
        predictions.warnings.append(
            f"{counts[True]:,} of {counts.total():,} predicted boxes lie outside of their image"
        )
