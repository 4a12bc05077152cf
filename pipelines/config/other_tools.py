"""Keys and options of other tools, and what they are called here."""

from __future__ import annotations

_KEYS = {
    ("conf", "conf_thres", "confidence", "score_thr", "conf_threshold"): (
        "model.min_confidence",
        "metrics.operating_confidence",
    ),
    ("iou", "iou_thres", "nms_thres", "iou_threshold"): ("model.nms_iou",),
    ("imgsz", "img", "img_size", "image_size", "size", "input_size"): (
        "model.imgsz",
        "preprocess.img_size",
    ),
    ("batch", "bs", "batch_size"): ("run.batch_size",),
    ("device", "gpu", "gpus", "cuda"): ("run.device",),
    ("workers", "num_workers", "jobs"): ("run.threads", "run.actors"),
    ("data", "data_dir", "source", "img_dir"): ("dataset.path",),
    ("ann_file", "annotation", "annotations", "gt"): ("dataset.annotations",),
    ("split", "test_split", "val_split"): ("dataset.split",),
    ("weights", "ckpt", "checkpoint", "resume_from", "model_path"): ("model.checkpoint",),
    ("arch", "architecture", "model_name"): ("model.architecture",),
    ("half", "fp16", "amp", "dtype"): ("run.precision",),
    ("max_det", "max_detections", "max_dets"): ("model.max_detections", "metrics.max_dets"),
    ("agnostic", "agnostic_nms"): ("model.agnostic_nms",),
    ("classes", "class_ids"): ("metrics.classes",),
    ("project", "save_dir", "work_dir", "out_dir", "output_dir"): ("output.dir",),
    ("crop_pct",): ("preprocess.crop_pct",),
    ("use_ema", "ema"): ("model.use_ema",),
}
_BY_NAME = {name: keys for names, keys in _KEYS.items() for name in names}
_MEANINGS = {
    "model.min_confidence": "predictions below it are not stored",
    "metrics.operating_confidence": "threshold of precision, recall and matches",
    "model.imgsz": "detectors",
    "preprocess.img_size": "classifiers",
    "run.threads": "threads of one process",
    "run.actors": "processes",
    "model.max_detections": "of the model",
    "metrics.max_dets": "of COCO's metrics",
}


def called_here(name: str, known: list[str]) -> str | None:
    """Return a sentence with the keys that another tool's key or option is called here.

    Args:
        name: a top-level key or an option, such as ``conf`` or ``--batch-size``.
        known: the dotted keys of the configuration; others are not suggested.

    Returns:
        None for a name that no tool has.
    """
    keys = [key for key in _BY_NAME.get(_plain(name), ()) if key in known]
    if not keys:
        return None
    if len(keys) == 1:
        return f"Did you mean '{keys[0]}'?"
    spoken = " or ".join(f"'{key}' ({_MEANINGS[key]})" for key in keys)
    return f"Did you mean {spoken}?"


def _plain(name: str) -> str:
    return name.lstrip("-").replace("-", "_").lower()
