"""The process of one job: ``python -m snellen.serve.jobs.job_process``.

The first line of stdin is the order as JSON, which may contain the password of the database. Stdin
stays open as long as the worker lives: at its end the job is interrupted, so that no job outlives
its worker, however that ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from types import FrameType

from snellen.adapters.errors import SnellenError
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.execute import resume
from snellen.pipelines.runs.kinds import RunContext
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.store.kinds import INFERENCE_JOB, TEST_RUN
from snellen.store.service.job_queue import ANALYSIS, fail_unstarted
from snellen.store.sql.database import Database

BUSY = 75
"""Exit code if another process works on the run (EX_TEMPFAIL)."""
_KINDS = {TEST_RUN: EVALUATION, INFERENCE_JOB: PREDICTION}
_OPEN = ("pending", "running", "interrupted")
_END_S = 25.0


@dataclass(frozen=True, slots=True)
class Order:
    """A job to execute.

    Attributes:
        kind: ``test_run``, ``inference_job`` or ``analysis``.
        job_id: id of its row.
        database: complete URL of the run tables.
        output_dir: folder of the runs, for exported files.
        retry_failed: error codes of failed images to score again.
        ray_address: Ray to join where the run uses Ray and names no cluster.
        nice: added to the niceness of the process.
    """

    kind: str
    job_id: int
    database: str
    output_dir: str
    retry_failed: list[str] | None = None
    ray_address: str | None = None
    nice: int = 0

    def line(self) -> bytes:
        """Return the order as one line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"


def execute_order(order: Order) -> int:
    """Execute a job in this process and return an exit code.

    0 if it has ended, in whatever status; `BUSY` if another process works on it.
    """
    db = Database.open(order.database, create=False)
    try:
        if order.kind == ANALYSIS:
            from snellen.serve.jobs.execute_analysis import execute_analysis

            execute_analysis(db, order.job_id, order.output_dir)
        else:
            _execute_run(db, order)
    except SnellenError as error:
        print(f"{order.kind} {order.job_id}: {error.code}: {error.message}", file=sys.stderr)
        if error.code in {"RUN_BUSY", "RUN_STATUS"}:
            return BUSY
        if order.kind != ANALYSIS:
            fail_unstarted(db, order.kind, order.job_id, error.message)
        return error.exit_code
    finally:
        db.close()
    return 0


def _execute_run(db: Database, order: Order) -> None:
    kind = _KINDS[order.kind]
    run = kind.get(db, order.job_id)
    again = run.status == "completed" and order.retry_failed is not None
    if run.status not in _OPEN and not again:
        return  # cancelled, for example, since the worker took it
    kind.check_resumable(run)
    config = build_as(kind.config, dict(run.config or {}), where=f"{kind.words.noun} {run.id}")
    context = RunContext(kind, config, db, Reporter(), ray_address=order.ray_address)
    resume(context, run, frozenset(order.retry_failed or ()))


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _follow_worker() -> None:
    """Wait for the end of stdin, then interrupt the job; kill it if that takes too long."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_END_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _read_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            raise SystemExit("stdin ended before the order of the job")
        line += byte
    return line


def main() -> None:
    """Read the order from stdin, execute it, and exit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which stops its jobs
    signal.signal(signal.SIGTERM, _interrupt)
    order = Order(**json.loads(_read_line()))
    os.nice(order.nice)
    threading.Thread(target=_follow_worker, daemon=True).start()
    try:
        code = execute_order(order)
    except KeyboardInterrupt:
        code = 130
    sys.stderr.flush()
    # Without the interpreter's shutdown, which takes a second with torch.
    os._exit(code)


if __name__ == "__main__":
    main()
