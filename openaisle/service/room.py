"""Room: how much disk is left, and whether an error is that there is none."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError

FULL_BYTES = 16 << 20  # with less, a transaction may not find room
POSTGRES_FULL = "53100"  # SQLSTATE disk_full
SQLITE_CODES = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})  # the second: its index of the WAL cannot grow


def free_bytes(folder: Path) -> int:
    """Of the disk on which a folder is."""
    return shutil.disk_usage(folder).free


def is_full(folder: Path) -> bool:
    """Whether a transaction may not find room there."""
    return free_bytes(folder) < FULL_BYTES


def is_low(folder: Path, low_mb: int) -> bool:
    """Whether pictures are not kept any more."""
    return free_bytes(folder) < low_mb << 20


def found_none(error: BaseException | None, folder: Path) -> bool:
    """Whether an error of the database or of a file, or one that came of it, is that the disk is full."""
    while error is not None and not isinstance(error, DBAPIError | sqlite3.Error | OSError):
        error = error.__cause__
    if error is None:
        return False
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    driver = error.orig if isinstance(error, DBAPIError) else error
    if getattr(driver, "sqlstate", None) == POSTGRES_FULL:
        return True
    code = getattr(driver, "sqlite_errorcode", 0) & 0xFF  # the lower byte is the kind
    return code == sqlite3.SQLITE_FULL or (code in SQLITE_CODES and is_full(folder))
