"""What is wrong with a receipt: units charged beside units taken, for visits that are not exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from openaisle.messages import TruthReceipt
from openaisle.receipts.document import ReceiptsDocument, gtin14
from openaisle.store.schema import ProductSpec


@dataclass(frozen=True, slots=True)
class WrongLine:
    """A product of a wrong receipt; right lines are listed, too."""

    gtin: str
    name: str
    charged: int
    taken: int
    price_cents: int


@dataclass(frozen=True, slots=True)
class WrongVisit:
    """A visit whose receipt is not exact; one that never was has taken nothing."""

    visit: str
    end_ns: int  # when it left, 0 = it never was
    lines: tuple[WrongLine, ...]

    @property
    def over_cents(self) -> int:
        """List value charged and not taken."""
        return sum(max(0, line.charged - line.taken) * line.price_cents for line in self.lines)

    @property
    def under_cents(self) -> int:
        """List value taken and not charged."""
        return sum(max(0, line.taken - line.charged) * line.price_cents for line in self.lines)


def wrong_visits(
    document: ReceiptsDocument, truth: Sequence[TruthReceipt], products: Sequence[ProductSpec]
) -> tuple[WrongVisit, ...]:
    """All visits that are not exact, in order of their names."""
    known = {gtin14(product.gtin): product for product in products}
    charged = {record.visit: record.quantities() for record in document.receipts}
    taken: dict[str, dict[str, int]] = {}
    for receipt in truth:
        units = taken.setdefault(receipt.visit, {})
        for gtin, quantity in receipt.lines:
            units[gtin14(gtin)] = units.get(gtin14(gtin), 0) + quantity
    ends = {receipt.visit: receipt.time_ns for receipt in truth}
    out = []
    for visit in sorted(charged.keys() | taken.keys()):
        mine, true = charged.get(visit, {}), taken.get(visit, {})
        lines = []
        for gtin in sorted(mine.keys() | true.keys()):
            product = known.get(gtin)
            name, cents = (product.name, product.price_cents) if product else (gtin, 0)
            lines.append(WrongLine(gtin, name, mine.get(gtin, 0), true.get(gtin, 0), cents))
        if any(line.charged != line.taken for line in lines):
            out.append(WrongVisit(visit, ends.get(visit, 0), tuple(lines)))
    return tuple(out)
