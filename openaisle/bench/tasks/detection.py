"""Detection: average precision of boxes as COCO defines it, by faster-coco-eval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.errors import MissingExtraError

Boxes = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Precision:
    """COCO's AP: mean over overlaps (IoU) of 0.50, 0.55, ..., 0.95, and that at 0.50 alone."""

    ap: float
    ap50: float


def average_precision(truth: Boxes, told: Boxes) -> Precision | None:
    """AP of boxes told [_, 7] against true ones [_, 6]: image, camera, left, top, width, height in pixels (and score).

    A picture is named by image and camera together. None where there are no true boxes. The hundred surest boxes of a
    picture count, as in COCO. Raises MissingExtraError without faster-coco-eval.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise MissingExtraError("faster-coco-eval", "tasks") from error
    if not len(truth):
        return None
    if not len(told):
        return Precision(0.0, 0.0)
    names, picture = np.unique(np.concatenate([truth[:, :2], told[:, :2]]), axis=0, return_inverse=True)
    picture = picture.reshape(-1) + 1
    annotations = [
        {
            "id": i + 1, "image_id": int(picture[i]), "category_id": 1, "bbox": row[2:6].astype(float).tolist(),
            "area": float(row[4] * row[5]), "iscrowd": 0,
        }
        for i, row in enumerate(truth)
    ]  # fmt: skip
    images = [{"id": i + 1} for i in range(len(names))]
    known = COCO({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "one"}]})
    rows = zip(picture[len(truth) :].tolist(), told, strict=True)
    found = known.loadRes(
        [
            {"image_id": image, "category_id": 1, "bbox": row[2:6].astype(float).tolist(), "score": float(row[6])}
            for image, row in rows
        ]
    )
    judge = COCOeval_faster(known, found, "bbox", print_function=lambda *words: None)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return Precision(float(judge.stats[0]), float(judge.stats[1]))
