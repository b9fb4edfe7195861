"""Quiet spans: when a plate only carries what lies on it, and the levels on either side of what happens between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.modular.series import SECOND, Float, medians

JUMP_SD = 5.0  # between the medians of two neighbouring seconds, or half seconds
BUSY_SD = 6.0  # between a block and the median of the second around it
HALF = SECOND // 2
SHORTEST = 3  # blocks of a quiet span: between two picks within a second there is hardly more
FEWEST = 3  # blocks with a reading that make a level
LEVEL = 20  # blocks that are asked for a level, at most: longer ones would gather drift
RINGING = 0.01
SILENCE = 15  # blocks without a reading that end a span


@dataclass(frozen=True)
class Level:
    """What a plate read over some quiet blocks: median, its standard deviation, and the blocks (end exclusive)."""

    grams: float
    sd: float
    begin: int
    end: int


@dataclass(frozen=True)
class Plate:
    """One plate's blocks with its quiet spans."""

    grams: Float  # [blocks]
    level_noise: float
    jump: Float  # [blocks] median of the second from a block on, less that of the second before; 0 = unknown
    spans: tuple[tuple[int, int], ...]  # blocks, end exclusive, in order

    def before(self, block: int) -> Level | None:
        """The level of the last quiet span that begins before a block."""
        for begin, end in reversed(self.spans):
            end = min(end, block)
            read = self._read(begin, end)
            if len(read) >= FEWEST:
                return self._level(read[-LEVEL:])
        return None

    def after(self, block: int) -> Level | None:
        """The level of the first quiet span that ends after a block."""
        for begin, end in self.spans:
            read = self._read(max(begin, block), end)
            if len(read) >= FEWEST:
                return self._level(read[:LEVEL])
        return None

    def settling(self, level: Level, push: float) -> float:
        """What still rings in a short level after a push or step of some grams."""
        return RINGING * push if level.end - level.begin < HALF else 0.0

    def excursion(self, begin: int, end: int, grams: float) -> float:
        """How far from a level the plate was between two blocks."""
        part = self.grams[begin:end]
        part = part[np.isfinite(part)]
        return float(np.abs(part - grams).max(initial=0.0))

    def _read(self, begin: int, end: int) -> NDArray[np.int64]:
        return begin + np.flatnonzero(np.isfinite(self.grams[begin:end])) if end > begin else np.zeros(0, np.int64)

    def _level(self, read: NDArray[np.int64]) -> Level:
        sd = self.level_noise * np.sqrt(max(1.0, SECOND / len(read)))
        return Level(float(np.median(self.grams[read])), float(sd), int(read[0]), int(read[-1]) + 1)


def plate_of(row: NDArray[np.float32], noise: float, level_noise: float) -> Plate:
    """A plate's quiet spans: wherever neither a step nor a hand is near, and readings come.

    Half seconds tell steps from each other that are less than a second apart; whole ones find those that half ones
    miss. Medians jump while a step lies in the inner half of the two windows.
    """
    grams = row.astype(np.float64)
    jump, small = _jumps(grams, HALF), _jumps(grams, SECOND)
    steep = np.abs(jump) > JUMP_SD * 2 * level_noise
    near = np.convolve(steep, np.ones(2 * HALF + 1), "same") > 0
    busy = steep | ((np.abs(small) > JUMP_SD * np.sqrt(2) * level_noise) & ~near)
    middle = medians(_windows(grams, SECOND)[HALF : HALF + len(grams)], FEWEST)
    level = np.where(near, grams, middle)  # beside a step the median of a second is either level
    busy |= np.abs(np.nan_to_num(grams - level)) > BUSY_SD * noise + level_noise
    return Plate(grams, level_noise, np.where(near, jump, small), tuple(_spans(busy, np.isfinite(grams))))


def _jumps(grams: Float, width: int) -> Float:
    """Median of so many blocks from each block on, less that of those before it; 0 = unknown."""
    around = _windows(grams, width)
    return np.nan_to_num(medians(around[width:], FEWEST) - medians(around[: len(grams)], FEWEST))


def _windows(grams: Float, width: int) -> Float:
    """The blocks that end before each block, and so many more of them: [blocks + width, width]."""
    edge = np.full(width, np.nan)
    padded = np.concatenate([edge, grams, edge])
    return np.lib.stride_tricks.sliding_window_view(padded, width)[: len(grams) + width]


def _spans(busy: NDArray[np.bool_], read: NDArray[np.bool_]) -> list[tuple[int, int]]:
    broken = busy | _silent(read)
    edges = np.flatnonzero(np.diff(np.concatenate([[True], broken, [True]]).astype(np.int8)))
    out = []
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        least = FEWEST if begin == 0 or end == len(busy) else SHORTEST
        if end - begin >= least and read[begin:end].sum() >= FEWEST:
            out.append((begin, end))
    return out


def _silent(read: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Blocks in long runs without a reading."""
    out = np.zeros(len(read), dtype=bool)
    edges = np.flatnonzero(np.diff(np.concatenate([[True], read, [True]]).astype(np.int8)))
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if end - begin >= SILENCE:
            out[begin:end] = True
    return out


@dataclass(frozen=True)
class Step:
    """A plate's level changed between two quiet spans."""

    position: int  # in its shelf
    begin: int  # block after the last quiet one
    end: int  # first quiet block
    grams: float


def steps(position: int, plate: Plate, least_sd: float = 4.0) -> list[Step]:
    """The changes between neighbouring spans that noise does not explain."""
    out = []
    for (_, end), (begin, _) in zip(plate.spans, plate.spans[1:], strict=False):
        old, new = plate.before(end), plate.after(begin)
        if old is not None and new is not None:
            grams = new.grams - old.grams
            if abs(grams) > least_sd * np.hypot(old.sd, new.sd):
                out.append(Step(position, old.end, new.begin, grams))
    return out
