"""Garbage collection while a model is loaded."""

from __future__ import annotations

import gc

import pytest

from snellen.adapters.runtime.garbage import collection_paused


def test_collection_goes_on_afterwards() -> None:
    with pytest.raises(KeyError), collection_paused():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_it_stays_off_where_it_was_off() -> None:
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
