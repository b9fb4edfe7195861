"""The catalogue as arrays: picture stacks and physical features per product.

The output vocabulary is a pointer into these rows, so products never seen in training need no retraining.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.store.store import Store

PICTURE_PX = 32
PICTURE_SIDES = 2  # front and back


def picture_stack(store: Store) -> NDArray[np.uint8]:
    """Catalogue pictures uint8 [products, sides, 32, 32, 3]; a missing side repeats the front, no picture is white."""
    out = np.full((len(store.products), PICTURE_SIDES, PICTURE_PX, PICTURE_PX, 3), 255, dtype=np.uint8)
    for i, product in enumerate(store.products):
        pictures = store.pictures.get(product.gtin, ())
        for side in range(PICTURE_SIDES if pictures else 0):
            picture = pictures[min(side, len(pictures) - 1)]
            out[i, side] = cv2.resize(picture, (PICTURE_PX, PICTURE_PX), interpolation=cv2.INTER_AREA)
    return out


def unit_grams(store: Store) -> NDArray[np.float32]:
    """Catalogue mass of one unit [products] in grams; 0 = unknown."""
    return np.array([product.weight_grams for product in store.products], dtype=np.float32)
