"""Settings that results depend on are fixed for a run; all others may change on resume."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from snellen.adapters.errors import InputError
from snellen.adapters.types import ModelInfo, TaskType
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import apply_overrides, build_config
from snellen.pipelines.config.sections import RunSection
from snellen.pipelines.planning.fingerprint import (
    Fingerprint,
    fingerprint,
    hashed_settings,
    reject_changes,
)
from snellen.pipelines.planning.plan import Available, Plan, PlanRequest, make_plan

BASE: dict[str, Any] = {"model": {"checkpoint": "/m.pth"}, "dataset": {"path": "/data"}}
INFO = ModelInfo(
    "timm", "m", TaskType.IMAGE_CLASSIFICATION, 2, None, None, (3, 8, 8), 1, None, "/m.pth",
    "a" * 64, None, None, {}, {"torch": "2.10", "timm": "1.0"},
)  # fmt: skip


def config(*words: str) -> EvaluateConfig:
    return build_config(apply_overrides(BASE, words))


def plan(**run: int) -> Plan:
    request = PlanRequest(RunSection(engine="inline", **run), INFO, 100)
    return make_plan(request, Available(cpus=1, gpus=0, memory=0))


def stored(of: EvaluateConfig) -> dict[str, Any]:
    return fingerprint(of, INFO, "m", plan(unit_rows=16, batch_size=8))


def changes(after: EvaluateConfig, info: ModelInfo = INFO) -> str:
    before = config()
    with pytest.raises(InputError) as caught:
        reject_changes(Fingerprint(before, stored(before)), after, info, "run 3")
    assert caught.value.code == "RESUME_CHANGED"
    start = "run 3 cannot be resumed: its results depend on settings that have changed: "
    end = ". Fix: undo the change, or start a new run."
    assert caught.value.message.startswith(start)
    assert caught.value.message.endswith(end)
    return caught.value.message.removeprefix(start).removesuffix(end)


RESULT_MAKING = {
    "task=image_classification": "task: 'auto' -> 'image_classification'",
    "model.adapter=noop": "model.adapter: 'auto' -> 'noop'",
    "model.checkpoint=/n.pth": "model.checkpoint: '/m.pth' -> '/n.pth'",
    "model.job=3": "model.job: None -> 3",
    "model.architecture=resnet18": "model.architecture: None -> 'resnet18'",
    "model.class_names=imagenet": "model.class_names: 'auto' -> 'imagenet'",
    "model.class_map=subset": "model.class_map: 'auto' -> 'subset'",
    "model.min_confidence=0.5": "model.min_confidence: 'auto' -> 0.5",
    "model.imgsz=320": "model.imgsz: None -> 320",
    "model.nms=false": "model.nms: None -> False",
    "model.nms_iou=0.6": "model.nms_iou: None -> 0.6",
    "model.restrict_logits=true": "model.restrict_logits: False -> True",
    "model.agnostic_nms=true": "model.agnostic_nms: False -> True",
    "model.max_detections=100": "model.max_detections: None -> 100",
    "model.use_ema=false": "model.use_ema: 'auto' -> False",
    "model.match=position": "model.match: 'name' -> 'position'",
    "model.trust=true": "model.trust: False -> True",
    "dataset.format=manifest": "dataset.format: 'auto' -> 'manifest'",
    "dataset.path=/other": "dataset.path: '/data' -> '/other'",
    "dataset.split=val": "dataset.split: 'auto' -> 'val'",
    "dataset.annotations=/a.json": "dataset.annotations: None -> '/a.json'",
    "dataset.missing_labels=background": "dataset.missing_labels: 'fail' -> 'background'",
    "dataset.mixed_labels=fail": "dataset.mixed_labels: 'refuse' -> 'fail'",
    "dataset.root=/r": "dataset.root: None -> '/r'",
    "dataset.class_order=lexicographic": "dataset.class_order: 'natural' -> 'lexicographic'",
    "dataset.follow_links=true": "dataset.follow_links: False -> True",
    "dataset.limit=5": "dataset.limit: None -> 5",
    "dataset.columns={path: p}": "dataset.columns.path: None -> 'p'",
    "dataset.class_level=leaf": "dataset.class_level: 'top' -> 'leaf'",
    "dataset.first_label=1": "dataset.first_label: 0 -> 1",
    "preprocess.img_size=96": "preprocess.img_size: None -> 96",
    "preprocess.crop_pct=0.5": "preprocess.crop_pct: None -> 0.5",
    "preprocess.crop_mode=squash": "preprocess.crop_mode: None -> 'squash'",
    "images.max_bytes=1000": "images.max_bytes: 20971520 -> 1000",
    "images.max_pixels=1000": "images.max_pixels: 64000000 -> 1000",
    "preprocess.interpolation=nearest": "preprocess.interpolation: None -> 'nearest'",
    "preprocess.mean=[0.5]": "preprocess.mean: None -> [0.5]",
    "preprocess.std=[0.5]": "preprocess.std: None -> [0.5]",
    "run.precision=bf16": "run.precision: 'fp32' -> 'bf16'",
    "run.unit_rows=64": "run.unit_rows: 'auto' -> 64",
    "run.batch_size=64": "run.batch_size: 'auto' -> 64",
}
FREE = (
    "name=other", "run.engine=inline", "run.actors=1", "run.threads=1", "run.max_failed=3",
    "run.device=cpu", "run.seed=3", "dataset.storage_options={region: eu-west-1}",
    "dataset.strict=true",
    "metrics.operating_confidence=0.5", "metrics.operating_iou=0.75", "metrics.bootstrap=0",
    "metrics.slices=[image_size]", "metrics.extra=[cohen_kappa]",
    "metrics.kpt_sigmas=[0.1]", "metrics.classes=[a]", "metrics.max_dets=[1,10,300]",
    "metrics.ece_bins=5", "metrics.confidence_level=0.9", "metrics.group=meta_patient",
    "output.dir=/o",
    "output.sql_rows_limit=0",
    "database=sqlite:////x.db", "ray.num_cpus=2", "ray.address=auto", "ray.no_progress_timeout=5",
)  # fmt: skip


@pytest.mark.parametrize("word", RESULT_MAKING)
def test_each_setting_that_makes_the_result_is_listed(word: str) -> None:
    assert changes(config(word)) == RESULT_MAKING[word]


def test_options_of_an_adapter_are_listed_one_by_one() -> None:
    assert changes(config("model.options={depth: 3}")).startswith("model.options")


@pytest.mark.parametrize("word", FREE)
def test_free_settings_may_change(word: str) -> None:
    before = config()
    reject_changes(Fingerprint(before, stored(before)), config(word), INFO, "run 3")
    assert stored(config(word))["config_hash"] == stored(before)["config_hash"]


def test_every_setting_is_either_hashed_or_free() -> None:
    known = {word.partition("=")[0] for word in (*RESULT_MAKING, *FREE)} | {"model.options"}
    data = config().model_dump(mode="json")
    for section, values in data.items():
        for key in values if isinstance(values, dict) else ():
            covered = f"{section}.{key}" in known or section in {"ray", "output"}
            assert covered, f"say whether {section}.{key} makes the result"


def test_the_checkpoint_and_the_libraries_are_compared() -> None:
    changed = changes(config(), replace(INFO, checkpoint_sha256="b" * 64))
    assert changed == "checkpoint /m.pth: sha256 aaaaaaaaaaaa... -> bbbbbbbbbbbb..."
    changed = changes(config(), replace(INFO, versions={"torch": "2.11", "timm": "1.0"}))
    assert changed == "version of torch: '2.10' -> '2.11'"
    assert "version of timm: '1.0' -> None" in changes(
        config(), replace(INFO, versions={"torch": "2.10"})
    )


def test_a_preprocessing_that_files_beside_the_checkpoint_changed_is_listed() -> None:
    before = config()
    prepared = {"mean": (0.5, 0.5), "crop_pct": 0.9, "source": "config.json"}
    info = replace(INFO, preprocess={**prepared, "source": "timm config"})
    stored_run = Fingerprint(before, stored(before), {**prepared, "mean": [0.5, 0.5]})
    reject_changes(stored_run, before, info, "run 3")
    other = replace(info, preprocess={**prepared, "crop_pct": 1.0})
    with pytest.raises(InputError, match=r"changed: preprocessing\.crop_pct: 0\.9 -> 1\.0\. Fix"):
        reject_changes(stored_run, before, other, "run 3")
    with pytest.raises(InputError, match=r"changed: preprocess\.crop_pct: None -> 1\.0\. Fix"):
        reject_changes(stored_run, config("preprocess.crop_pct=1.0"), other, "run 3")
    reject_changes(Fingerprint(before, stored(before)), before, other, "run 3")


def test_every_difference_is_listed() -> None:
    changed = changes(
        config("dataset.limit=5", "run.batch_size=2"), replace(INFO, checkpoint_sha256="c")
    )
    assert [part.split(":")[0] for part in changed.split("; ")] == [
        "dataset.limit", "run.batch_size", "checkpoint /m.pth"]  # fmt: skip


def test_the_fingerprint_holds_what_the_schema_says() -> None:
    found = stored(config())
    assert set(found) == {"config_hash", "manifest_hash", "checkpoint_sha256", "versions"}
    assert set(found["versions"]) == {"snellen", "torch", "timm"}
    assert found["config_hash"] != fingerprint(
        config(), INFO, "m", plan(unit_rows=16, batch_size=9))["config_hash"]  # fmt: skip


def test_settings_are_flat() -> None:
    assert hashed_settings(config())["dataset.path"] == "/data"
