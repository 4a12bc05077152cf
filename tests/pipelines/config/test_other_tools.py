"""Keys of other tools are recognised and answered with the key of this one."""

from __future__ import annotations

import pytest

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import all_keys, build_config
from snellen.pipelines.config.other_tools import _KEYS, _MEANINGS, called_here

KNOWN = all_keys(EvaluateConfig)


@pytest.mark.parametrize(
    ("key", "suggested"),
    [
        ("conf", "'model.min_confidence' (predictions below it are not stored) or "
         "'metrics.operating_confidence' (threshold of precision, recall and matches)"),
        ("imgsz", "'model.imgsz' (detectors) or 'preprocess.img_size' (classifiers)"),
        ("batch", "'run.batch_size'"),
        ("device", "'run.device'"),
        ("workers", "'run.threads' (threads of one process) or 'run.actors' (processes)"),
        ("weights", "'model.checkpoint'"),
        ("data", "'dataset.path'"),
        ("half", "'run.precision'"),
    ],
)  # fmt: skip
def test_a_key_of_another_tool_is_answered_with_ours(key: str, suggested: str) -> None:
    data = {"model": {"adapter": "noop"}, "dataset": {"path": "x"}, key: 1}
    with pytest.raises(ConfigError) as caught:
        build_config(data)
    assert f"{key}: unknown key. Did you mean {suggested}?" in caught.value.message


def test_options_are_recognised_with_their_dashes() -> None:
    assert called_here("--batch-size", KNOWN) == "Did you mean 'run.batch_size'?"
    assert called_here("--colour", KNOWN) is None


def test_every_suggestion_exists_and_several_are_explained() -> None:
    for keys in _KEYS.values():
        assert set(keys) <= set(KNOWN)
        assert len(keys) == 1 or set(keys) <= set(_MEANINGS)
