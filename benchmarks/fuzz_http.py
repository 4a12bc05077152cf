"""Send thousands of requests generated from the OpenAPI document, and check every response."""

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
    """Run, and return 0 if every response conforms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    console = Console()
    begin, wrong = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as name, portal(Path(name), roots=[name]) as service:
        conformance = Conformance.of(service)
        strategies = list(conformance.strategies())
        # Operations without parameters have one case; their share goes to the others.
        with_input = [label for label, _ in strategies if "/health/" not in label]
        for label, strategy in strategies:
            cases = 1 if label not in with_input else arguments.cases // (len(with_input) - 1) + 1
            try:
                conformance.run(strategy, cases, arguments.seed)
            except BaseExceptionGroup as error:
                wrong += 1
                console.print(f"WRONG {label}: {error}", style="red", markup=False)
    for kind, count in sorted(conformance.responses.items()):
        console.print(f"{count:7,}  {kind}")
    total, seconds = sum(conformance.responses.values()), time.monotonic() - begin
    console.print(f"{total:,} cases in {seconds:.0f} s, {wrong} operations with a wrong response")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
