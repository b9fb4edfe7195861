"""A case as it was found: products, facings, plate series, tracks and pictures, in the source's own units and codes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.errors import Problem
from openaisle.store.gtin import check_digit, normalise, with_check_digit

MOST_GONDOLAS, MOST_SHELVES, MOST_PLATES = 99, 14, 99
# Plates per shelf of the contest's nano-store, by gondola; whatever its arrays hold beyond is surplus.
NANO_PLATES = {1: 12, 2: 9, 3: 12, 4: 9, 5: 9}
# Known defects of the contest's labels: what its answers spell otherwise, and masses that its catalogue has wrong.
SPELLINGS = {"120130": "01201303", "120850": "0120850"}
TRUE_GRAMS = {"898999010007": 538.0, "041508922487": 1064.0}


class PlateId(NamedTuple):
    """A load cell: gondola, shelf and plate, counted from 1."""

    gondola: int
    shelf: int
    plate: int

    @property
    def scale(self) -> str:
        """Its id in the store."""
        return f"g{self.gondola}-s{self.shelf}-p{self.plate}"


@dataclass(frozen=True, slots=True)
class Item:
    """A product as the case names it; grams 0 = unknown."""

    code: str  # bar code as spelled there, "" = none
    name: str
    price_cents: int
    weight_grams: float
    image: str = ""  # file name or address


@dataclass(frozen=True, slots=True)
class Facing:
    """Where a product lies; sizes in metres (width, depth, height), None = unknown."""

    item: str  # key into Case.items
    plates: tuple[PlateId, ...]
    size_m: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A tracked person at an instant, in the track's own unit of length."""

    time_ns: int
    head: tuple[float, float, float] | None
    left: tuple[float, float, float] | None
    right: tuple[float, float, float] | None
    entered: bool  # the tracker saw this person come in


Samples = tuple[NDArray[np.int64], NDArray[np.float32]]  # times in ns [n], grams [n] (NaN = no reading)


@dataclass(slots=True)
class Case:
    """Everything that was found, and what is wrong or worth a remark."""

    name: str
    items: dict[str, Item] = field(default_factory=dict)
    facings: list[Facing] = field(default_factory=list)
    series: dict[PlateId, list[Samples]] = field(default_factory=dict)
    targets: dict[str, list[Sighting]] = field(default_factory=dict)  # from the collection `targets`
    full_targets: dict[str, list[Sighting]] = field(default_factory=dict)
    pictures: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)  # camera → (time_ns, JPEG)
    problems: list[Problem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def tracks(self) -> dict[str, list[Sighting]]:
        """Sightings by target, in time order."""
        found = self.full_targets or self.targets
        return {target: sorted(seen, key=lambda one: one.time_ns) for target, seen in found.items() if seen}


def gtin_of(code: str, name: str) -> tuple[str, bool]:
    """(GTIN-14, whether it is the pack's own) of a product.

    UPC-E is written out, also without its number system and check digit; a code that is no GTIN, or none at all, gives
    a number of the range for use within a company (first digit 2), the same for the same code or name everywhere.
    """
    for candidate in _candidates(code):
        try:
            return normalise(candidate), True
        except ValueError:
            continue
    number = int.from_bytes(hashlib.sha256((code or name).encode()).digest()[:8], "big") % 10**11
    return with_check_digit(f"2{number:011d}").zfill(14), False


def _candidates(code: str) -> list[str]:
    """Readings of a bar code as GTIN, the likeliest first."""
    if not (code.isascii() and code.isdecimal()):
        return []
    if len(code) == 8 and code[0] in "01":
        upc_a = _upc_a(code[:7])
        return [upc_a, code] if upc_a[-1] == code[7] else [code]
    if len(code) in (6, 7):
        seven = code.zfill(7)
        return [_upc_a(seven)] if seven[0] in "01" else []
    return [with_check_digit(code)] if len(code) == 11 else [code]


def _upc_a(upc_e: str) -> str:
    """UPC-E (number system and six digits) written out as UPC-A (GS1 General Specifications, section 5.2.2.4)."""
    system, d, last = upc_e[0], upc_e[1:], upc_e[6]
    if last in "012":
        body = f"{d[:2]}{last}0000{d[2:5]}"
    elif last == "3":
        body = f"{d[:3]}00000{d[3:5]}"
    elif last == "4":
        body = f"{d[:4]}00000{d[4]}"
    else:
        body = f"{d[:5]}0000{last}"
    return f"{system}{body}{check_digit(system + body)}"
