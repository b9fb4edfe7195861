"""Meters: processor time of a piece of work without the simulation that feeds it, and peak memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class Meter:
    """Processor time of all threads within its block, without that spent on getting what `aside` hands on."""

    cpu_s: float = 0.0

    def __enter__(self) -> Meter:
        """Start."""
        self.cpu_s -= time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.cpu_s += time.process_time()

    def aside(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; making them does not count."""
        source = iter(items)
        while True:
            began = time.process_time()
            try:
                item = next(source)
            except StopIteration:
                return
            finally:
                self.cpu_s -= time.process_time() - began
            yield item


def new_memory_peak() -> None:
    """Forget the peak so far, where Linux lets us: a worker plays many cases."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory_peak_mb() -> float:
    """Most resident memory since `new_memory_peak`, simulator and renderer included."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
