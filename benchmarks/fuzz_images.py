"""Thousands of damaged images and multipart bodies against the endpoint, in this process.

No answer may be a fault of the server, each must be JSON with a code, and memory must not grow.
``--leak`` keeps every upload on purpose: that run must fail, or the check of memory is worth
nothing.
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
    """Run; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--leak", action="store_true", help="the control: keep every upload")
    parser.add_argument("--keep", type=Path, help="folder for bodies whose answer was wrong")
    arguments = parser.parse_args()
    faulthandler.enable()  # a decoder that crashes the process says where
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
    for told, count in outcome.answers.most_common():
        console.print(f"{count:7,}  {told}")
    for number, (what, body) in enumerate(outcome.wrong[:20]):
        console.print(f"WRONG {what}", style="red", markup=False)
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            (arguments.keep / f"{number}.bin").write_bytes(body)
    console.print(
        f"{arguments.requests:,} requests in {seconds:.0f} s, {len(outcome.wrong)} wrong answers, "
        f"memory {outcome.drift / 2**20:+.1f} MB after the warm-up (at most {MAX_DRIFT >> 20})"
    )
    return 1 if outcome.wrong or outcome.drift > MAX_DRIFT else 0


if __name__ == "__main__":
    sys.exit(main())
