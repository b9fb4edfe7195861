"""A camera as the shading sees it: rays, light in the camera frame, exposure, white balance, vignetting."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.rays import Rays

SKY_FLAT, SKY_UP = np.float32(0.78), np.float32(0.22)  # light bounced off the floor keeps undersides from going black


class Look(NamedTuple):
    """Light in the camera frame, and what the camera makes of it."""

    up: NDArray[np.float32]  # [3] world z in the camera frame
    lamp: NDArray[np.float32]  # [3] unit vector towards the main light, camera frame
    strength: NDArray[np.float32]  # [2] ambient light, lamp light
    gain: NDArray[np.float32]  # [3] exposure times white balance
    vignette: NDArray[np.float32]  # [H, W]
    world: NDArray[np.float32]  # [3, 4] world_from_camera


class Eye(NamedTuple):
    """One camera at one resolution."""

    rays: Rays
    look: Look
