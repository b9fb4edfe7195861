"""A disk of a few megabytes for tests of what happens when it is full: a tmpfs, which the kernel mounts for root."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

BLOCK = 1 << 16
PAGE = 4096


@dataclass(frozen=True)
class SmallDisk:
    """Where it is; `fill` and `free` what somebody else keeps there."""

    path: Path

    @property
    def _ballast(self) -> Path:
        return self.path / "somebody-else"

    @property
    def free_bytes(self) -> int:
        """What is left."""
        return shutil.disk_usage(self.path).free

    def fill(self, leave_bytes: int = 0) -> None:
        """Somebody else writes until so little is left; 0 = not a page."""
        with self._ballast.open("ab", buffering=0) as out:
            try:
                while (room := self.free_bytes - leave_bytes) > 0:
                    out.write(b"\0" * min(BLOCK, max(PAGE, room // PAGE * PAGE)))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Somebody else has cleared up."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mounted at a folder; skips where that is not allowed, and fails in CI."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        assert "CI" not in os.environ, f"CI must be able to mount a tmpfs (root, CAP_SYS_ADMIN): {done.stderr}"
        pytest.skip(f"no small disk can be mounted: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
