"""Responses of runs: without paths of the server, with every name that the data gives."""

from __future__ import annotations

from snellen.serve.api.runs.run_responses import redacted


def test_paths_are_removed_and_names_stay() -> None:
    report = {
        "classes": {"/m/01g317": 3, "/n/01g317": 5},
        "warnings": ["'/srv/data/a.csv' has no header"],
        "passed_over": {"not_an_image": {"count": 1, "examples": ["/srv/data/notes.txt"]}},
    }
    assert redacted(report) == {
        "classes": {"/m/01g317": 3, "/n/01g317": 5},
        "warnings": ["'a.csv' has no header"],
        "passed_over": {"not_an_image": {"count": 1, "examples": ["notes.txt"]}},
    }
    comparison = {
        "a": {"dataset_path": "/srv/data"},
        "classes": [{"class": "/m/01g317", "p": 0.5}],
        "slices": [{"slice": {"by": "meta_camera", "value": "/dev/video0"}}],
        "disagreements": {"cells": [{"a": "/m/01g317", "b": "background", "count": 2}]},
    }
    assert redacted(comparison) == comparison | {"a": {"dataset_path": "data"}}
