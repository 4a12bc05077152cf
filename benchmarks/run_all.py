"""Run every benchmark; the exit code is 1 if a gate fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ALL = ("rows", "files", "finish", "comparison", "small_runs")


def main() -> int:
    """Run each benchmark in its own process, from the root of the repository."""
    root = Path(__file__).resolve().parent.parent
    codes = [
        subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], cwd=root, check=False
        ).returncode
        for name in ALL
    ]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
