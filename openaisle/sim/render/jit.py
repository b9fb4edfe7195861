"""How the renderer's inner loops are compiled: numba, cached on disk, without the GIL and without fast-math.

No fast-math: pictures must be the same bits on every machine, and infinity means "nothing drawn yet".
The cache lies in a folder named after the contents of this room. numba itself only notices changes of the file a
function stands in, not of the functions it calls, and would run old code or fail to read its own cache.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import numba
from numba.core import config

F = TypeVar("F", bound=Callable[..., object])


SETTINGS: dict[str, object] = vars(config)  # numba's own; CACHE_DIR is read when a function is decorated


def kernel(function: F) -> F:
    """Compile a function with numba; it keeps its Python type."""
    before = SETTINGS["CACHE_DIR"]
    SETTINGS["CACHE_DIR"] = cache_folder()
    try:
        return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
    finally:
        SETTINGS["CACHE_DIR"] = before


@cache
def cache_folder() -> str:
    """Folder of this version's machine code, beside the byte code if that can be written, else the user's cache."""
    room = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(room.glob("*.py")):
        digest.update(source.read_bytes())
    base = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "openaisle"
    if SETTINGS["CACHE_DIR"]:
        base = Path(str(SETTINGS["CACHE_DIR"]))
    elif os.access(room, os.W_OK):
        base = room / "__pycache__"
    return str(base / f"numba-{digest.hexdigest()[:12]}")
