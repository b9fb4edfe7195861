"""Memory: what an intake knows of devices from before its journal's last minutes, in a file beside it for the next one.

It holds what devices may be told is stored, and so is written after a commit of the journal only; and how far their
clocks were off, so that a queue on the way to a new intake is not taken for an error of theirs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

FILE = "known.json"


@dataclass(frozen=True, slots=True)
class ClockKnown:
    """A clock as it stood, and what continues it; times in nanoseconds."""

    last_seq: int  # of this boot
    next_ns: int  # when the message after it begins, on the sensor's clock
    correction_ns: int  # added to what the sensor says
    bound_at_ns: int
    bound_error_ns: int  # the clock was behind by no more than this then


@dataclass(frozen=True, slots=True)
class Known:
    """One device of a sensor, in its newest boot."""

    kind: str
    sensor: str
    device_id: str
    boot_id: int
    through: int  # messages up to here are in the journal, or were given up
    clock: ClockKnown | None = None  # None: gates, whose messages do not follow each other


_KNOWN = TypeAdapter(tuple[Known, ...])


def keep(folder: Path, known: Sequence[Known]) -> None:
    """Replace the file; where there is no room the one before stays, which is true as well."""
    partial = folder / (FILE + ".partial")
    try:
        partial.write_bytes(_KNOWN.dump_json(tuple(known)))
        os.replace(partial, folder / FILE)
    except OSError:
        partial.unlink(missing_ok=True)


def kept(folder: Path) -> tuple[Known, ...]:
    """What the file holds; nothing where there is none, or none that can be read."""
    try:
        return _KNOWN.validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return ()
