"""The command line in the process of a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from snellen.cli.main import run
from tests.pipelines.pixel_adapter import NAME


class Cli:
    """Runs commands in this process and returns their output."""

    def __init__(self, place: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.place = place
        self.url = f"sqlite:///{place / 'runs.db'}"
        self._capture = capture

    def __call__(self, *words: str, database: bool = True) -> tuple[int, str, str]:
        self._capture.readouterr()
        code = run([*words, *(("--database", self.url) if database else ())])
        printed = self._capture.readouterr()
        return code, printed.out, printed.err

    def json(self, *words: str, database: bool = True, code: int = 0) -> Any:
        found, out, _ = self(*words, "--json", database=database)
        assert found == code, out
        return json.loads(out)  # exactly one document: anything more is no JSON

    def config(self, **sections: Any) -> str:
        data: dict[str, Any] = {
            "model": {"adapter": NAME},
            "dataset": {"path": "data"},
            "run": {"engine": "inline", "unit_rows": 4},
            "output": {"dir": "out"},
        }
        for name, values in sections.items():
            data[name] = {**data.get(name, {}), **values} if isinstance(values, dict) else values
        (self.place / "run.yaml").write_text(yaml.safe_dump(data))
        return str(self.place / "run.yaml")
