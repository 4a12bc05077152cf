"""Thousands of requests made from the OpenAPI document; every answer must be one it describes."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.serve.fuzz.portal import portal
from tests.serve.fuzz.schema import Conformance


def main() -> int:
    """Run; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    console = Console()
    begin, wrong = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as name, portal(Path(name), roots=[name]) as service:
        conformance = Conformance.of(service)
        strategies = list(conformance.strategies())
        # Operations without parameters have but one case, so the others get what they leave.
        asking = [label for label, _ in strategies if "/health/" not in label]
        for label, strategy in strategies:
            cases = 1 if label not in asking else arguments.cases // (len(asking) - 1) + 1
            try:
                conformance.run(strategy, cases, arguments.seed)
            except BaseExceptionGroup as error:
                wrong += 1
                console.print(f"WRONG {label}: {error}", style="red", markup=False)
    for told, count in sorted(conformance.answers.items()):
        console.print(f"{count:7,}  {told}")
    total, seconds = sum(conformance.answers.values()), time.monotonic() - begin
    console.print(f"{total:,} cases in {seconds:.0f} s, {wrong} operations with a wrong answer")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
