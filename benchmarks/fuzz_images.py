"""Send thousands of damaged images and multipart bodies to the endpoint, in this process.

No response may be a server error, each must be JSON with a code, and memory must not grow.
``--leak`` is a control that keeps every upload: that run must fail.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.serve.fuzz.images import MAX_DRIFT, attack
from tests.serve.fuzz.portal import portal


def main() -> int:
    """Run, and return 0 if no response is wrong and memory does not grow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--leak", action="store_true", help="control: keep every upload")
    parser.add_argument("--keep", type=Path, help="folder for bodies with a wrong response")
    arguments = parser.parse_args()
    faulthandler.enable()  # shows where a decoder crashes the process
    console = Console()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name, portal(Path(name)) as service:
        outcome = attack(
            service,
            arguments.requests,
            seed=arguments.seed,
            leak=arguments.leak,
            progress=lambda n: None if n % 1000 else console.print(f"{n:,} ..."),
        )
    seconds = time.monotonic() - begin
    for kind, count in outcome.responses.most_common():
        console.print(f"{count:7,}  {kind}")
    for number, (what, body) in enumerate(outcome.wrong[:20]):
        console.print(f"WRONG {what}", style="red", markup=False)
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            (arguments.keep / f"{number}.bin").write_bytes(body)
    console.print(
        f"{arguments.requests:,} requests in {seconds:.0f} s, "
        f"{len(outcome.wrong)} wrong responses, "
        f"memory {outcome.drift / 2**20:+.1f} MB after the warm-up (maximum: {MAX_DRIFT >> 20})"
    )
    return 1 if outcome.wrong or outcome.drift > MAX_DRIFT else 0


if __name__ == "__main__":
    sys.exit(main())
