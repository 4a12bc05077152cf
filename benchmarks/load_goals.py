"""The load goals of the endpoint: a table of what held, and exit code 1 if anything did not.

The service is started as a user starts it. C is its measured capacity; all load but that of the
capacity and of the memory is an open loop (see ``benchmarks.load``).
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
from benchmarks.service import MODELS, Bench, bench, served

GOALS = ("calm", "overload", "slow", "drift", "shutdown")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", choices=MODELS, default="efficientnet-lite0")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each load (%(default)s)")
    parser.add_argument("--signals", type=int, default=20, help="SIGTERMs (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=10_000, help="of drift (%(default)s)")
    parser.add_argument("--goals", nargs="+", choices=GOALS, default=list(GOALS))
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="for serve")
    return parser.parse_args()


def measure(made: Bench, arguments: argparse.Namespace, console: Console) -> list[Gate]:
    """Every goal that was asked for."""
    model, seconds, goals = arguments.model, arguments.seconds, arguments.goals
    gates: list[Gate] = []

    def note(text: str) -> None:
        console.print(text, highlight=False)

    with served(made, model, *arguments.set) as service:
        requests = made.requests(model, service.port)
        rate = capacity(service, requests, min(20.0, seconds))
        note(f"C = {rate:.1f} images/s ({model}, 32 clients)")
        if "calm" in goals:
            gates += calm(service, requests, rate, seconds)
        for times in (2.0, 5.0) if "overload" in goals else ():
            gates += overload(service, requests, rate, times, seconds)
        if "slow" in goals:
            gates += slow_loris(service, requests, rate, min(30.0, seconds))
    if "drift" in goals:
        with served(made, model, *arguments.set, **ALLOCATOR) as service:
            requests = made.requests(model, service.port)
            gates += drift(service, requests, arguments.requests, note)
    if "shutdown" in goals:
        gates += shutdown(made, model, rate, arguments.signals, note)
    return gates


def main() -> int:
    """Measure, print the table, and return 1 if a gate does not hold."""
    arguments = parse_arguments()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    console = Console()
    with bench() as made:
        gates = measure(made, arguments, console)
    table = Table(title="load goals")
    for name in ("", "goal", "seen"):
        table.add_column(name)
    for gate in gates:
        table.add_row("pass" if gate.holds else "FAIL", gate.goal, gate.seen)
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(gate) for gate in gates], indent=1))
    return 0 if all(gate.holds for gate in gates) else 1


if __name__ == "__main__":
    sys.exit(main())
