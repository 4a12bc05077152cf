"""Check the load goals of the endpoint: print a table, and exit with 1 if a goal is missed.

The service is started as a user starts it. C is its measured capacity. The goals use open loops,
except those for capacity and memory (see ``benchmarks.load``).
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.goals import ALLOCATOR, Gate, calm, capacity, drift, overload, shutdown, slow_loris
from benchmarks.service import MODELS, Bench, make_bench, served

GOALS = ("calm", "overload", "slow", "drift", "shutdown")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", choices=MODELS, default="efficientnet-lite0")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="duration of each load (default: %(default)s)"
    )
    parser.add_argument(
        "--signals", type=int, default=20, help="number of SIGTERMs (default: %(default)s)"
    )
    parser.add_argument(
        "--requests", type=int, default=10_000, help="number for drift (default: %(default)s)"
    )
    parser.add_argument("--goals", nargs="+", choices=GOALS, default=list(GOALS))
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="configuration of the service"
    )
    return parser.parse_args()


def measure(bench: Bench, arguments: argparse.Namespace, console: Console) -> list[Gate]:
    """Check the selected goals."""
    model, seconds, goals = arguments.model, arguments.seconds, arguments.goals
    gates: list[Gate] = []

    def note(text: str) -> None:
        console.print(text, highlight=False)

    with served(bench, model, *arguments.set) as service:
        requests = bench.requests(model, service.port)
        rate = capacity(service, requests, min(20.0, seconds))
        note(f"C = {rate:.1f} images/s ({model}, 32 clients)")
        if "calm" in goals:
            gates += calm(service, requests, rate, seconds)
        for times in (2.0, 5.0) if "overload" in goals else ():
            gates += overload(service, requests, rate, times, seconds)
        if "slow" in goals:
            gates += slow_loris(service, requests, rate, min(30.0, seconds))
    if "drift" in goals:
        with served(bench, model, *arguments.set, environment=ALLOCATOR) as service:
            requests = bench.requests(model, service.port)
            gates += drift(service, requests, arguments.requests, note)
    if "shutdown" in goals:
        gates += shutdown(bench, model, rate, arguments.signals, note)
    return gates


def main() -> int:
    """Measure, print the table, and return 1 if a goal is missed."""
    arguments = parse_arguments()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    console = Console()
    with make_bench() as bench:
        gates = measure(bench, arguments, console)
    table = Table(title="Load goals")
    for name in ("", "goal", "measured"):
        table.add_column(name)
    for gate in gates:
        table.add_row("pass" if gate.holds else "FAIL", gate.goal, gate.measured)
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(gate) for gate in gates], indent=1))
    return 0 if all(gate.holds for gate in gates) else 1


if __name__ == "__main__":
    sys.exit(main())
