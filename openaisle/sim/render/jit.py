"""How the renderer's inner loops are compiled: numba, cached on disk, without the GIL and without fast-math.

No fast-math: pictures must be the same bits on every machine, and infinity means "nothing drawn yet".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a function with numba; it keeps its Python type."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
