"""Verdict: every final receipt beside what the visit really took, line by line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from openaisle.messages import TruthReceipt
from openaisle.receipts.document import gtin14
from openaisle.receipts.ledger import Basket, BasketLine
from openaisle.receipts.pricing import Receipt, local_day, price
from openaisle.receipts.render import money
from openaisle.store.store import Store
from openaisle.view.timeline import Timeline, empty_receipt


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """One product: units on the receipt and units really taken."""

    name: str
    charged: int
    taken: int

    @property
    def right(self) -> bool:
        """Whether they agree."""
        return self.charged == self.taken


@dataclass(frozen=True, slots=True)
class Verdict:
    """One visit: its receipt's lines against the truth, and both totals (the truth priced by the same rules)."""

    visit: str
    symbol: str
    lines: tuple[VerdictLine, ...]
    charged_cents: int
    true_cents: int
    currency: str
    needs_review: bool

    @property
    def exact(self) -> bool:
        """Whether every line is right."""
        return all(line.right for line in self.lines)


def verdicts(timeline: Timeline, receipts: Iterable[Receipt], truth: Sequence[TruthReceipt]) -> list[Verdict]:
    """One verdict per true visit, in order of appearance, then one per receipt that nobody should have got."""
    charged = {receipt.visit: receipt for receipt in receipts}
    true = {receipt.visit: receipt for receipt in truth}
    symbols = timeline.symbols()
    visits = [*(visit for visit in symbols if visit in true), *(visit for visit in true if visit not in symbols)]
    phantoms = [visit for visit, receipt in charged.items() if visit not in true and receipt.lines]
    return [
        _verdict(timeline.store, charged.get(visit), true.get(visit), visit, symbols.get(visit, "-"))
        for visit in [*visits, *phantoms]
    ]


def _verdict(store: Store, receipt: Receipt | None, truth: TruthReceipt | None, visit: str, symbol: str) -> Verdict:
    units = {gtin14(gtin): n for gtin, n in truth.lines} if truth else {}
    receipt = receipt or empty_receipt(visit, store, truth.time_ns if truth else 0)
    charged = {line.gtin: line.quantity for line in receipt.lines}
    names = {product.gtin: product.name for product in store.products}
    lines = tuple(
        VerdictLine(names.get(gtin, gtin), charged.get(gtin, 0), units.get(gtin, 0))
        for gtin in sorted(charged.keys() | units.keys())
    )
    true_cents = _priced(store, visit, units, truth.time_ns if truth else 0)
    return Verdict(visit, symbol, lines, receipt.total_cents, true_cents, receipt.currency, receipt.needs_review)


def _priced(store: Store, visit: str, units: Mapping[str, int], time_ns: int) -> int:
    lines = tuple(BasketLine(gtin, quantity, 1.0, (), time_ns) for gtin, quantity in sorted(units.items()))
    day = local_day(time_ns, store.spec.time_zone)
    return price(Basket(visit, lines), store.spec, store.products, day).total_cents


def verdict_table(rows: Sequence[Verdict]) -> Table:
    """All verdicts for the terminal: check marks, units, totals."""
    table = Table(title="Final receipts against the truth", title_justify="left")
    table.add_column("visit")
    table.add_column("product")
    for name in ("receipt", "truth"):
        table.add_column(name, justify="right")
    table.add_column("")
    for verdict in rows:
        first = verdict.symbol
        for line in verdict.lines:
            table.add_row(first, line.name, str(line.charged), str(line.taken), mark(line.right))
            first = ""
        charged, true = money(verdict.charged_cents, verdict.currency), money(verdict.true_cents, verdict.currency)
        note = "total, to be reviewed" if verdict.needs_review else "total"
        table.add_row(first, Text(note, "bold"), charged, true, mark(verdict.exact), end_section=True)
    return table


def mark(right: bool) -> Text:
    """A check mark or a cross."""
    return Text("✓", "bold green") if right else Text("✗", "bold red")


def summary(rows: Sequence[Verdict]) -> str:
    """One sentence, e.g. "4 of 5 receipts exact; 23.10 EUR charged, 24.40 EUR taken"."""
    exact = sum(verdict.exact for verdict in rows)
    if not rows:
        return "nobody came"
    charged, true = sum(v.charged_cents for v in rows), sum(v.true_cents for v in rows)
    currency = rows[0].currency
    return f"{exact} of {len(rows)} receipts exact; {money(charged, currency)} charged, {money(true, currency)} taken"
