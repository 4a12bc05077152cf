"""Settings of the framework's threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from snellen.adapters.runtime.threads import one_compute_thread

_CODE = """
import os
from snellen.adapters.runtime.threads import let_threads_sleep
print(let_threads_sleep(), os.environ["OMP_WAIT_POLICY"])
import torch
print(let_threads_sleep())
"""


def told(**environment: str) -> list[str]:
    clean = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    return subprocess.run(
        [sys.executable, "-c", _CODE], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[3], env={**clean, **environment},
    ).stdout.split()  # fmt: skip


@pytest.mark.slow
def test_threads_sleep_where_it_is_said_before_torch_is_imported() -> None:
    assert told() == ["True", "passive", "False"]


@pytest.mark.slow
def test_the_environment_has_the_last_word() -> None:
    assert told(OMP_WAIT_POLICY="active") == ["True", "active", "False"]


def test_a_model_is_loaded_by_one_thread() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyError), one_compute_thread():
            assert torch.get_num_threads() == 1
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
