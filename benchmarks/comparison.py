"""Calibration and speed of the comparison of runs.

Equal models: the share of 1,000 simulated pairs that are called better or worse, without groups
and with 10, 20 and 50 groups of dependent images; 6.4 % is accepted (5 % and three standard
errors). Power: at a true difference, the share of settled pairs on the stated number of images;
80 % +- 4 is expected. Speed: two stored classification runs of 1,000,000 images and two detection
runs of 20,000 images are compared in a process of their own, from reading their files to the
document.

Gates: 30 s and 2 GB for the classification runs, 60 s for the detection runs, in CPU time, as other
processes may use the cores.

    python -m benchmarks.comparison            # all
    python -m benchmarks.comparison --speed    # the stored runs alone
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snellen.analysis.comparison.classified import Classified, Predictions
from snellen.analysis.comparison.rows import Judgement, Row, judged
from snellen.metrics.comparison.verdict import Verdict, images_needed
from snellen.metrics.statistics.draws import blocks_of

CLASSES = 5
CALLED = (Verdict.BETTER, Verdict.WORSE)
ACCEPTED = 0.064
POWER = (0.76, 0.84)
Bools = npt.NDArray[np.bool_]


def simulated(
    random: np.random.Generator, images: int, groups: int | None, gain: float = 0.0
) -> Classified:
    """Simulate two models on the same images; B is better by ``gain`` in accuracy.

    With groups, all images of a group are easy or hard for one of the models together.
    """
    true = random.integers(0, CLASSES, images)
    group = np.arange(images) if groups is None else random.integers(0, groups, images)
    count = images if groups is None else groups
    base = random.uniform(0.6, 0.95, count)
    shift = random.normal(0.0, 0.0 if groups is None else 0.1, (2, count))
    sides = []
    for side, extra in ((0, 0.0), (1, gain)):
        chance = np.clip(base + shift[side], 0.02, 0.97)[group] + extra
        correct = random.random(images) < chance
        sides.append(_predictions(random, true, correct))
    keys = [str(key) for key in group.tolist()]
    names = tuple(map(str, range(CLASSES)))
    return Classified(true, sides[0], sides[1], blocks_of(keys), groups is not None, names)


def _predictions(
    random: np.random.Generator, true: npt.NDArray[np.int64], correct: Bools
) -> Predictions:
    other = (true + random.integers(1, CLASSES, len(true))) % CLASSES
    confidence = np.clip(random.normal(0.8, 0.1, len(true)), 0.3, 0.999)
    loss = -np.log(np.where(correct, confidence, 1 - confidence))
    hits = correct.astype(np.float64)
    return Predictions(np.where(correct, true, other), hits, np.ones(len(true)), loss, confidence)


def verdicts(found: Classified, seed: int) -> dict[str, Row]:
    """Return the judged rows by metric."""
    rows = judged(found.metric_rows(seed), Judgement(0.0, found.blocks.groups), need_q=False)
    return {row.key: row for row in rows}


def false_alarms(images: int, groups: int | None, repeats: int, seed: int) -> dict[str, float]:
    """Return per metric the share of equal models that are called different."""
    random = np.random.default_rng(seed)
    called = dict.fromkeys(("accuracy", "macro_f1", "loss"), 0)
    for number in range(repeats):
        rows = verdicts(simulated(random, images, groups), number)
        for key in called:
            called[key] += rows[key].verdict in CALLED
    return {key: count / repeats for key, count in called.items()}


def power(images: int, gain: float, repeats: int, seed: int) -> tuple[int, float]:
    """Return the images that a pilot run asks for, and the share that they settle.

    The number is the median over pilots whose observed difference is the true one, within 10 %.
    """
    random = np.random.default_rng(seed)
    asked: list[int] = []
    while len(asked) < 25:
        row = simulated(random, images, None, gain).proportion_rows()[0]
        found = row.difference
        if found is not None and abs(found.value - gain) < 0.1 * gain:
            asked.append(images + (images_needed(found, images) or 0))
    needed = int(np.median(asked))
    settled = 0
    for _ in range(repeats):
        rows = simulated(random, needed, None, gain).proportion_rows()
        (row,) = judged(rows[:1], Judgement(0.0, needed), need_q=False)
        settled += row.verdict is Verdict.BETTER
    return needed, settled / repeats


def compare_stored(folder: str) -> None:
    """Compare the two runs of a folder and print seconds and memory as JSON."""
    from snellen.analysis.comparison.compare import compare_runs
    from snellen.store.runs import get_test_run
    from snellen.store.sql.database import Database

    db = Database.open(f"sqlite:///{folder}/runs.db", create=False)
    wall, cpu = time.perf_counter(), time.process_time()
    found = compare_runs(db, [get_test_run(db, number) for number in (1, 2)])
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**seconds, "peak": peak, "images": found["common_images"]}))


def measure_stored(kind: str, images: int, limits: tuple[float, float]) -> bool:
    """Compare two stored runs in a process of their own; return True within the limits.

    Args:
        kind: see `benchmarks.stored_pairs.stored_pair`.
        images: number of images.
        limits: seconds of CPU time, and MB of memory.
    """
    from benchmarks.stored_pairs import stored_pair

    with tempfile.TemporaryDirectory() as folder:
        stored_pair(Path(folder), kind, images)
        command = [sys.executable, "-m", "benchmarks.comparison", "--compare", folder]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(out)
    passed = bool(found["cpu"] <= limits[0] and found["peak"] <= limits[1])
    load = os.getloadavg()[0]
    print(
        f"{kind}, {found['images']:,} images: {found['wall']:.1f} s ({found['cpu']:.1f} s of CPU "
        f"time, load {load:.1f}), peak {found['peak']:.0f} MB "
        f"({'within' if passed else 'ABOVE'} {limits[0]:.0f} s and {limits[1]:.0f} MB)",
        flush=True,
    )
    return passed


def main() -> int:
    """Print the shares and the times; return 1 if a share is out of its range."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", action="store_true", help="Only compare stored runs.")
    parser.add_argument("--compare", metavar="FOLDER", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.compare is not None:
        compare_stored(args.compare)
        return 0
    passed = [] if args.speed else calibrated(args.repeats, args.seed)
    passed.append(measure_stored("classification", 1_000_000, (30, 2_000)))
    passed.append(measure_stored("detection", 20_000, (60, 2_000)))
    return int(not all(passed))


def calibrated(repeats: int, seed: int) -> list[bool]:
    """Print the shares of false alarms and the power; return whether each is in its range."""
    passed = []
    for groups in (None, 10, 20, 50):
        shares = false_alarms(400, groups, repeats, seed)
        shown = ", ".join(f"{key} {share:.1%}" for key, share in shares.items())
        passed.append(max(shares.values()) <= ACCEPTED)
        word = "at most" if passed[-1] else "MORE THAN"
        print(
            f"equal models, {groups or 'no'} groups: {shown} called different "
            f"({word} {ACCEPTED:.1%})",
            flush=True,
        )
    needed, share = power(300, 0.04, repeats, seed)
    passed.append(POWER[0] <= share <= POWER[1])
    word = "within" if passed[-1] else "OUTSIDE OF"
    print(
        f"difference of 0.04 on the {needed:,} images asked for: {share:.1%} settled "
        f"({word} 80 % +- 4)",
        flush=True,
    )
    return passed


if __name__ == "__main__":
    sys.exit(main())
