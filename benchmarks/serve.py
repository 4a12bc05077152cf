"""``POST /inference/single`` beside the adapter itself and beside LitServe around it.

The three are measured in turn, round after round, with the same images on the same cores, so that
ratios hold on a noisy machine although milliseconds do not. Closed loops of 1, 8 and 32 clients;
directly, batches of as many images. Then open loops at 0.3 and 0.7 of the capacity that the service
had with 32 clients: requests come at random and wait for nobody, as those of strangers do.

Gates: at most 100 ms an image beside the model (median over HTTP of one client, less that of
direct calls), and more than 10 images/s with 32 clients.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.direct import Direct
from benchmarks.load import Outcome, closed_loop, open_loop, quantile
from benchmarks.service import MODELS, Bench, bench, litserved, served

MAX_OVERHEAD_S = 0.1
MIN_RATE = 10.0
CONCURRENCY = (1, 8, 32)
BATCH = 8
"""Of the service on CPUs; LitServe gets the same."""
SHARES = (0.3, 0.7)
"""Of the capacity, in the open loops."""
Figures = dict[str, float]


def figures(outcomes: Sequence[Outcome], seconds: float) -> Figures:
    """Median and 99th percentile of good answers, their rate, and how many were not good."""
    good = [one.latency for one in outcomes if one.status == 200]
    return {
        "p50": quantile(good, 0.5),
        "p99": quantile(good, 0.99),
        "rate": len(good) / seconds,
        "bad": float(len(outcomes) - len(good)),
    }


def ask(url: str, requests: Sequence[bytes], concurrency: int, seconds: float) -> Figures:
    """A closed loop."""
    outcomes = asyncio.run(closed_loop(url, requests, concurrency=concurrency, seconds=seconds))
    begin = min(one.sent for one in outcomes)
    return figures(outcomes, max(one.done for one in outcomes) - begin)


def ask_openly(url: str, requests: Sequence[bytes], rate: float, seconds: float) -> Figures:
    """An open loop."""
    return figures(asyncio.run(open_loop(url, requests, rate=rate, seconds=seconds)), seconds)


def measure(
    made: Bench, model: str, rounds: int, seconds: float, words: Sequence[str]
) -> dict[str, dict[str, Figures]]:
    """Figures by kind and concurrency: medians over the rounds."""
    found: dict[tuple[str, str], list[Figures]] = {}
    with (
        Direct(made.spec_file(model), made.folder / "images") as direct,
        litserved(made, model, BATCH) as lit,
        served(made, model, *words) as service,
    ):
        ours = made.requests(model, service.port)
        theirs = made.requests(model, lit.port, "/predict")
        for number in range(rounds + 1):
            # The first round warms everything up and does not count.
            lasting = seconds if number else min(seconds, 2.0)
            for concurrency in CONCURRENCY:
                once = {"direct": direct.measure(concurrency, lasting)}
                once["snellen serve"] = ask(service.url, ours, concurrency, lasting)
                lit.halt(on=False)
                once["LitServe"] = ask(lit.url, theirs, concurrency, lasting)
                lit.halt(on=True)
                for kind, one in once.items():
                    if number:
                        found.setdefault((kind, str(concurrency)), []).append(one)
        capacity = _median(found["snellen serve", "32"])["rate"]
        for share in SHARES:
            rate = share * capacity
            name = f"open, {rate:.0f}/s"
            for _ in range(rounds):
                once = {"snellen serve": ask_openly(service.url, ours, rate, seconds)}
                lit.halt(on=False)
                once["LitServe"] = ask_openly(lit.url, theirs, rate, seconds)
                lit.halt(on=True)
                for kind, one in once.items():
                    found.setdefault((kind, name), []).append(one)
    table: dict[str, dict[str, Figures]] = {}
    for (kind, clients), many in found.items():
        table.setdefault(kind, {})[clients] = _median(many)
    return table


def _median(many: Sequence[Figures]) -> Figures:
    return {key: statistics.median(one[key] for one in many) for key in many[0]}


def show(console: Console, model: str, found: dict[str, dict[str, Figures]]) -> list[str]:
    """Print the table; return the gates that do not hold."""
    table = Table(title=f"{model}: milliseconds and images/s")
    for name in ("", "clients", "p50", "p99", "images/s", "x direct", "not 200"):
        table.add_column(name, justify="right" if name else "left")
    for kind, rows in found.items():
        for clients, one in rows.items():
            base = found["direct"].get(clients)
            table.add_row(
                kind,
                clients,
                f"{1000 * one['p50']:.1f}",
                f"{1000 * one['p99']:.1f}",
                f"{one['rate']:.1f}",
                f"{one['rate'] / base['rate']:.2f}" if base else "",
                f"{one['bad']:.0f}" if "bad" in one else "",
            )
    console.print(table)
    overhead = found["snellen serve"]["1"]["p50"] - found["direct"]["1"]["p50"]
    rate = found["snellen serve"]["32"]["rate"]
    gates = {
        f"{1000 * overhead:.1f} ms beside the model (less than 100)": overhead < MAX_OVERHEAD_S,
        f"{rate:.1f} images/s with 32 clients (more than 10)": rate > MIN_RATE,
    }
    for text, holds in gates.items():
        console.print(f"{'pass' if holds else 'FAIL'}  {text}")
    return [f"{model}: {text}" for text, holds in gates.items() if not holds]


def main() -> int:
    """Measure, print the tables, and return 1 if a gate does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS[1:]))
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each (%(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="for serve")
    arguments = parser.parse_args()
    console = Console()
    failed: list[str] = []
    found = {}
    with bench() as made:
        for model in arguments.models:
            found[model] = measure(made, model, arguments.rounds, arguments.seconds, arguments.set)
            failed += show(console, model, found[model])
    if arguments.json:
        arguments.json.write_text(json.dumps({"figures": found, "failed": failed}, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
