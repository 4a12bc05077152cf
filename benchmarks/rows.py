"""Overhead of the pipeline: a manifest of 1,000,000 rows with an adapter that does nothing.

Gates: at least 20,000 rows/s from the first to the last commit, and the driver's memory at
1,000,000 rows within 20 % of that at 100,000.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks.watch import Watched, watch

MIN_ROWS_PER_SECOND = 20_000
MAX_DRIVER_GROWTH = 1.2


def run_rows(folder: Path, rows: int) -> Watched:
    """Evaluate ``rows`` manifest rows with the no-op adapter on Ray."""
    manifest = folder / f"{rows}.parquet"
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / "00000000.jpg").touch()  # a manifest without any image is rejected
    pq.write_table(
        pa.table(
            {
                "path": [f"images/{i:08d}.jpg" for i in range(rows)],
                "label": [str(i % 10) for i in range(rows)],
            }
        ),
        manifest,
    )
    (folder / "config.yaml").write_text(
        "model:\n  adapter: noop\n  class_names: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
        "  options: {num_classes: 10}\n"
        f"dataset: {{path: {manifest}}}\n"
        f"output: {{dir: {folder / 'out'}}}\n"
    )
    return watch(
        [sys.executable, "-m", "snellen", "eval", "config.yaml", "run.engine=ray", "--json"],
        cwd=folder,
        database=folder / f"{rows}.db",
    )


def main() -> int:
    """Measure, print the table, and return 1 if a gate fails."""
    console = Console()
    table = Table(title="no-op adapter: overhead of the pipeline")
    for name in (
        "rows",
        "rows/s",
        "first commit s",
        "total s",
        "driver MB",
        "workers MB",
        "object store MB",
    ):
        table.add_column(name, justify="right")
    seen: dict[int, Watched] = {}
    with tempfile.TemporaryDirectory() as folder:
        for rows in (100_000, 1_000_000):
            console.print(f"evaluating {rows:,} rows ...")
            found = seen[rows] = run_rows(Path(folder), rows)
            table.add_row(
                f"{rows:,}",
                f"{found.steady_rate:,.0f}",
                f"{found.first_commit:.1f}",
                f"{found.seconds:.1f}",
                f"{found.driver_mb:.0f}",
                f"{found.workers_mb:.0f}",
                f"{found.object_store_mb:.0f}",
            )
    console.print(table)
    growth = seen[1_000_000].driver_mb / seen[100_000].driver_mb
    fast = seen[1_000_000].steady_rate >= MIN_ROWS_PER_SECOND
    console.print(f"driver at 1,000,000 rows / at 100,000: {growth:.2f} (at most 1.20)")
    console.print(f"rows/s at least {MIN_ROWS_PER_SECOND:,}: {'yes' if fast else 'NO'}")
    return 0 if fast and growth <= MAX_DRIVER_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
