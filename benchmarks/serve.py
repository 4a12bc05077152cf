"""Compare ``POST /inference/single`` with direct calls of the adapter and with LitServe.

The three are measured in turn, in several rounds, with the same images on the same cores, so that
ratios (medians over the rounds) are stable on a noisy machine even if milliseconds are not. First
closed loops with 1, 8 and 32 clients, and direct calls with batches of the same sizes. Then open
loops at 0.3 and 0.7 of the capacity of the service with 32 clients: requests arrive at random,
whether or not earlier ones are finished.

Gates: at most 100 ms overhead per image (median over HTTP with one client, minus the median of
direct calls), and more than 10 images/s with 32 clients.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.direct import Direct
from benchmarks.load import Arrivals, Outcome, closed_loop, open_loop, quantile
from benchmarks.service import MODELS, Bench, Lit, Served, litserved, make_bench, served

MAX_OVERHEAD_S = 0.1
MIN_RATE = 10.0
CONCURRENCY = (1, 8, 32)
BATCH = 8
"""Maximum batch size of the service on CPUs; LitServe gets the same."""
_OURS, _LIT = "snellen serve", "LitServe"
SHARES = (0.3, 0.7)
"""Rates of the open loops, as shares of the capacity."""
Figures = dict[str, float]


def figures(outcomes: Sequence[Outcome], seconds: float) -> Figures:
    """Return median and 99th percentile of the latency (s), rate (1/s), and number of errors."""
    good = [one.latency for one in outcomes if one.status == 200]
    return {
        "p50": quantile(good, 0.5),
        "p99": quantile(good, 0.99),
        "rate": len(good) / seconds,
        "bad": float(len(outcomes) - len(good)),
    }


def run_closed(url: str, requests: Sequence[bytes], concurrency: int, seconds: float) -> Figures:
    """Run a closed loop and return its figures."""
    outcomes = asyncio.run(closed_loop(url, requests, concurrency=concurrency, seconds=seconds))
    begin = min(one.sent for one in outcomes)
    return figures(outcomes, max(one.done for one in outcomes) - begin)


def run_open(url: str, requests: Sequence[bytes], rate: float, seconds: float) -> Figures:
    """Run an open loop and return its figures."""
    return figures(asyncio.run(open_loop(url, requests, Arrivals(rate, seconds))), seconds)


Measured = dict[tuple[str, str], list[Figures]]


@dataclass(frozen=True, slots=True)
class Contest:
    """The services to compare, with the requests for each.

    Attributes:
        rounds: number of rounds that count.
        seconds: duration of each measurement.
    """

    direct: Direct
    lit: Lit
    lit_requests: list[bytes]
    service: Served
    requests: list[bytes]
    rounds: int
    seconds: float

    def closed_loops(self, found: Measured) -> None:
        """Measure direct calls and closed loops; the first round warms up and does not count."""
        for number in range(self.rounds + 1):
            seconds = self.seconds if number else min(self.seconds, 2.0)
            for clients in CONCURRENCY:
                once = {"direct": self.direct.measure(clients, seconds)}
                # The one that comes first takes turns, too.
                for kind in (_OURS, _LIT) if number % 2 else (_LIT, _OURS):
                    once[kind] = self._closed(kind, clients, seconds)
                once[_OURS]["ratio"] = once[_OURS]["rate"] / once[_LIT]["rate"]
                for kind, one in once.items():
                    if number:
                        found.setdefault((kind, str(clients)), []).append(one)

    def _closed(self, kind: str, clients: int, seconds: float) -> Figures:
        if kind == _OURS:
            return run_closed(self.service.url, self.requests, clients, seconds)
        self.lit.pause(on=False)
        try:
            return run_closed(self.lit.url, self.lit_requests, clients, seconds)
        finally:
            self.lit.pause(on=True)

    def open_loops(self, found: Measured, rate: float) -> None:
        """Measure open loops with ``rate`` requests per second."""
        for _ in range(self.rounds):
            once = {_OURS: run_open(self.service.url, self.requests, rate, self.seconds)}
            self.lit.pause(on=False)
            once[_LIT] = run_open(self.lit.url, self.lit_requests, rate, self.seconds)
            self.lit.pause(on=True)
            for kind, one in once.items():
                found.setdefault((kind, f"open, {rate:.0f}/s"), []).append(one)


def measure(
    bench: Bench, model: str, rounds: int, seconds: float, words: Sequence[str]
) -> dict[str, dict[str, Figures]]:
    """Measure a model; return figures by kind and concurrency, medians over the rounds."""
    found: Measured = {}
    with (
        Direct(bench.spec_file(model), bench.folder / "images") as direct,
        litserved(bench, model, BATCH) as lit,
        served(bench, model, *words) as service,
    ):
        contest = Contest(
            direct,
            lit,
            bench.requests(model, lit.port, "/predict"),
            service,
            bench.requests(model, service.port),
            rounds,
            seconds,
        )
        contest.closed_loops(found)
        capacity = _median(found[_OURS, "32"])["rate"]
        for share in SHARES:
            contest.open_loops(found, share * capacity)
    table: dict[str, dict[str, Figures]] = {}
    for (kind, clients), many in found.items():
        table.setdefault(kind, {})[clients] = _median(many)
    return table


def _median(many: Sequence[Figures]) -> Figures:
    return {key: statistics.median(one[key] for one in many) for key in many[0]}


def show(console: Console, model: str, found: dict[str, dict[str, Figures]]) -> list[str]:
    """Print the table, and return the gates that failed."""
    table = Table(title=f"{model}: milliseconds and images/s")
    for name in ("", "clients", "p50", "p99", "images/s", "x direct", "x LitServe", "not 200"):
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
                f"{one['ratio']:.2f}" if "ratio" in one else "",
                f"{one['bad']:.0f}" if "bad" in one else "",
            )
    console.print(table)
    overhead = found[_OURS]["1"]["p50"] - found["direct"]["1"]["p50"]
    rate = found[_OURS]["32"]["rate"]
    gates = {
        f"{1000 * overhead:.1f} ms overhead (less than 100)": overhead < MAX_OVERHEAD_S,
        f"{rate:.1f} images/s with 32 clients (more than 10)": rate > MIN_RATE,
    }
    for text, holds in gates.items():
        console.print(f"{'pass' if holds else 'FAIL'}  {text}")
    return [f"{model}: {text}" for text, holds in gates.items() if not holds]


def main() -> int:
    """Measure, print the tables, and return 1 if a gate failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS[1:]))
    parser.add_argument(
        "--rounds", type=int, default=3, help="number of rounds (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=6.0,
        help="duration of each measurement (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="configuration of the service"
    )
    arguments = parser.parse_args()
    console = Console()
    failed: list[str] = []
    found = {}
    with make_bench() as bench:
        for model in arguments.models:
            found[model] = measure(bench, model, arguments.rounds, arguments.seconds, arguments.set)
            failed += show(console, model, found[model])
    if arguments.json:
        arguments.json.write_text(json.dumps({"figures": found, "failed": failed}, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
