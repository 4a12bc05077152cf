"""Error codes of the failed images to score again."""

from __future__ import annotations

from typing import Any

import pytest

from snellen.adapters.errors import ConfigError, ErrorCode
from snellen.pipelines.execution.retry_failed import error_codes


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (False, set()),
        (True, set(ErrorCode)),
        ("all", set(ErrorCode)),
        ("IO", {"IO"}),
        (" io, not_found ,", {"IO", "NOT_FOUND"}),
        (["CHANGED"], {"CHANGED"}),
    ],
)
def test_error_codes(given: Any, expected: set[str]) -> None:
    assert error_codes(given) == {str(code) for code in expected}


@pytest.mark.parametrize("given", ["", ",", [], "IO,NOPE", "truncate"])
def test_unknown_error_codes_are_rejected(given: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        error_codes(given)
    assert caught.value.code == "ERROR_CODE"
    assert "Expected all, or one or more of EMPTY, " in caught.value.message
    assert given != "truncate" or "TRUNCATED" in caught.value.message
