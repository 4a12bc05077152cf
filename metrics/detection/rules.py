"""The matches of one part by the three rules that metrics are computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snellen.metrics.detection.options import DetectionOptions
from snellen.metrics.detection.tide import BACKGROUND, TideErrors, tide_errors
from snellen.metrics.detection.ultralytics_ap import ultralytics_hits
from snellen.metrics.matching.assignment import IOU_THRESHOLDS, Ints
from snellen.metrics.matching.candidates import Candidates, find_candidates
from snellen.metrics.matching.instances import Images
from snellen.metrics.matching.overlaps import Bools, Kind


@dataclass(frozen=True)
class Matched:
    """One part with D predictions, matched by all rules for one overlap.

    Attributes:
        candidates: the part and its overlapping pairs.
        coco: int64, (D, 10), the true object matched at COCO's thresholds, -1 for none.
        operating: int64, (D,), the same at the operating point's overlap.
        ultralytics: bool, (D, 10), True where Ultralytics' rule finds a truth.
        tide: the errors at the operating point's overlap.
    """

    candidates: Candidates
    coco: Ints
    operating: Ints
    ultralytics: Bools
    tide: TideErrors


def match(images: Images, kind: Kind, options: DetectionOptions) -> Matched:
    """Match the predictions of a part with its truths by COCO's, Ultralytics' and TIDE's rules.

    Args:
        images: the part.
        kind: the overlap.
        options: the operating point and the falloffs of keypoints.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.matching.instances import read_images
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> from snellen.metrics.detection.options import options_of
        >>> match(images, "bbox", options_of(["bbox"])).operating.tolist()
        [0, -1, -1]
    """
    floor = min(BACKGROUND, options.operating_iou)
    candidates = find_candidates(images, kind, options.kpt_sigmas, floor)
    assigned = candidates.assign(np.append(IOU_THRESHOLDS, options.operating_iou))
    operating = assigned[:, -1]
    return Matched(
        candidates=candidates,
        coco=assigned[:, :-1],
        operating=operating,
        ultralytics=ultralytics_hits(candidates, kind, options.kpt_sigmas),
        tide=tide_errors(candidates, operating, options.operating_iou),
    )
