"""The command ``draw``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    JsonOption,
    LimitOption,
    OffsetOption,
    RunArgument,
    open_run,
)
from snellen.cli.output import print_json, stdout_console
from snellen.cli.progress import make_reporter
from snellen.cli.selection import (
    CorrectOption,
    DescOption,
    ErrorCodeOption,
    ExplainOption,
    ImageSelection,
    ImageStatusOption,
    MaxConfidenceOption,
    MinConfidenceOption,
    PredictedOption,
    SortOption,
    TrueClassOption,
)

if TYPE_CHECKING:
    from snellen.analysis.picture_files import Pictures

_NOT_DRAWN_SHOWN = 5


def draw_command(
    run: RunArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the drawings.")
    ],
    true_class: TrueClassOption = None,
    predicted: PredictedOption = None,
    correct: CorrectOption = None,
    min_confidence: MinConfidenceOption = None,
    max_confidence: MaxConfidenceOption = None,
    status: ImageStatusOption = None,
    error_code: ErrorCodeOption = None,
    sort: SortOption = "image_index",
    desc: DescOption = False,
    limit: LimitOption = 20,
    offset: OffsetOption = 0,
    sheet: Annotated[
        bool,
        typer.Option(
            "--sheet",
            help="Draw contact sheets; without conditions of the worst images, worst first.",
        ),
    ] = False,
    explain: ExplainOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Draw images of a test run: ground truth against prediction.

    True positives are solid, false positives have a filled corner, missed objects are dashed.

    Example: snellen draw latest --incorrect --sort fn --desc -o drawings

    Example: snellen draw latest --sheet -o drawings

    Example: snellen draw latest --incorrect --explain gradcam -o drawings
    """
    from snellen.analysis.drawing import RunImages
    from snellen.analysis.picture_files import PictureTarget, worst_images, write_pictures
    from snellen.analysis.reader import open_results

    selection = ImageSelection(
        true_class, predicted, correct, min_confidence, max_confidence, status, error_code
    )
    db, found = open_run(database, run)
    results = open_results(db, found)
    if sheet and selection.is_empty and sort == "image_index" and not desc and not offset:
        rows = worst_images(results, found, limit)
    else:
        chosen = results.filter(**selection.filter(found))
        rows = results.page(chosen, sort=sort, descending=desc, offset=offset, limit=limit).rows
    with make_reporter(debug=debug) as reporter:
        target = PictureTarget(output, sheet, overwrite)
        images, overlay = RunImages(db, found), None
        if explain is not None:
            from snellen.analysis.explained import ExplainedImages

            reporter.status("Loading checkpoint")
            explained = ExplainedImages(db, found, "gradcam")
            images, overlay = explained.images, explained.draw
        written = write_pictures(images, rows, target, reporter, overlay)
    document = {"id": found.id, "name": found.name, **_document(written)}
    if as_json:
        print_json(document)
    else:
        _print(written)


def _document(written: Pictures) -> dict[str, Any]:
    files = [str(path) for path in written.files]
    return {"drawn": written.drawn, "files": files, "not_drawn": written.not_drawn}


def _print(written: Pictures) -> None:
    console = stdout_console()

    def line(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    if not written.files:
        line("No image meets the conditions." if not written.not_drawn else "No image was drawn.")
    else:
        images = "1 image" if written.drawn == 1 else f"{written.drawn:,} images"
        line(f"{images} drawn in {written.files[0].parent}")
    for one in written.not_drawn[:_NOT_DRAWN_SHOWN]:
        line(f"not drawn: {one['image_id']}: {one['code']}: {one['message']}")
    if len(written.not_drawn) > _NOT_DRAWN_SHOWN:
        line(f"not drawn: {len(written.not_drawn) - _NOT_DRAWN_SHOWN:,} more")
