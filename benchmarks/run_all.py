"""Run every benchmark; the exit code is 1 if a gate of one does not hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ALL = ("rows", "files", "finish")


def main() -> int:
    """Run each in a process of its own, from the repository's root."""
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
