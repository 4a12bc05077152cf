"""Output streams: progress on stderr, within two seconds, and stderr restored afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.snellen.command_line import Cli


def test_stderr_is_restored(cli: Cli) -> None:
    assert cli("eval", cli.config())[0] == 0  # libraries keep a few descriptors from then on
    before = (sys.stderr, os.fstat(2), len(os.listdir("/proc/self/fd")))  # noqa: PTH208
    for _ in range(3):
        assert cli("eval", cli.config())[0] == 0
        assert cli("eval", "none.yaml")[0] == 2
    assert sys.stderr is before[0]
    assert os.fstat(2).st_ino == before[1].st_ino
    assert len(os.listdir("/proc/self/fd")) <= before[2] + 2  # noqa: PTH208


def test_progress_goes_to_stderr(cli: Cli) -> None:
    _, out, err = cli("eval", cli.config(), "--json")
    json.loads(out)
    assert "Reading configuration ..." in err
    assert "12 of 12 images" in err


def start(cli: Cli, *words: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "snellen", *words, "--database", cli.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cli.place,
        start_new_session=True, **options,
    )  # fmt: skip


@pytest.mark.slow
def test_output_starts_soon_and_help_imports_nothing_heavy(cli: Cli, importable: None) -> None:
    process = start(cli, "eval", cli.config())
    began = time.monotonic()
    assert process.stderr is not None
    first = process.stderr.readline()
    waited = time.monotonic() - began
    assert process.wait(60) == 0
    process.communicate()
    assert first.strip()
    assert waited < 2 + os.getloadavg()[0]  # two seconds on a machine that is free
    shown = subprocess.run(
        [sys.executable, "-m", "snellen", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"snellen \S+\n", shown.stdout)
    listed = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "snellen", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for heavy in ("torch", "ray", "polars", "pyarrow", "sqlalchemy", "timm"):
        assert not re.search(rf"\| +{heavy}$", listed.stderr, re.MULTILINE), heavy
    names = ("eval", "resume", "plan", "runs", "show", "images", "errors", "rescore", "verify")
    for name in names:
        assert name in listed.stdout
