"""Units and directions that a file does not state, told from what a shop can look like.

Lengths of calibrations and tracks are inches by the format, those of store metadata metres; but files pass through
many hands. A set of lengths whose plausible range in metres is known (a head is 0.8 to 2.3 m above the floor, a ceiling
camera 1.7 to 4.5 m) names its unit by itself: the ranges of the units do not meet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

UNITS = {"inches": 0.0254, "metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}
CAMERA_M = (1.7, 4.5)
HEAD_M = (0.8, 2.2)
GONDOLA_M = (0.9, 2.25)  # height


def unit_of(lengths: Sequence[float], range_m: tuple[float, float]) -> str | None:
    """Name of the unit in which the median of some lengths falls into a range of metres, None when there is none."""
    if not lengths:
        return None
    middle = float(np.median(np.abs(lengths)))
    return next((name for name, metres in UNITS.items() if range_m[0] <= middle * metres <= range_m[1]), None)
