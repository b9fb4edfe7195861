"""Small hand-made shops, events and documents that the receipt tests share."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from openaisle.receipts.events import Evidence, Kind, LedgerEvent
from openaisle.receipts.ledger import Basket, BasketLine
from openaisle.store.schema import FixtureSpec, GateSpec, ProductSpec, PromotionSpec, StoreSpec

TEA, MILK, SOAP = "04006381333931", "04012345678901", "00036000291452"
PRICES = {TEA: 299, MILK: 109, SOAP: 450}
RATES = {"standard": 0.19, "food": 0.07}


def products() -> tuple[ProductSpec, ...]:
    """Three products; tea and milk are food."""
    names = {TEA: "Green tea", MILK: "Oat milk 1 l", SOAP: "Soap"}
    return tuple(
        ProductSpec(
            gtin=gtin, name=name, price_cents=PRICES[gtin], weight_grams=100, width_mm=50, height_mm=100, depth_mm=50,
            tax_class="standard" if gtin == SOAP else "food",
        )
        for gtin, name in names.items()
    )  # fmt: skip


def shop(*promotions: PromotionSpec, inclusive: bool = True) -> StoreSpec:
    """A store with tax classes, one gate and one bare fixture."""
    return StoreSpec(
        name="Corner & Co", currency="EUR", time_zone="Europe/Berlin", prices_include_tax=inclusive,
        tax_classes=RATES, floor_m=((0, 0), (4, 0), (4, 3)),
        gates=(GateSpec(id="g", kind="both", a_m=(0, 0), b_m=(1, 0)),),
        fixtures=(FixtureSpec(id="f", kind="wall", x_m=0, y_m=1, width_m=1, depth_m=0.5, height_m=2),),
        promotions=promotions,
    )  # fmt: skip


def basket(**quantities: int) -> Basket:
    """A certain basket of tea=, milk= and soap=."""
    gtins = {"tea": TEA, "milk": MILK, "soap": SOAP}
    lines = [BasketLine(gtins[name], n, 1.0, (), 0) for name, n in quantities.items() if n]
    return Basket("v1", tuple(sorted(lines, key=lambda line: line.gtin)))


def take(event_id: str, time_ns: int, gtin: str = TEA, quantity: int = 1, visit: str = "v1") -> LedgerEvent:
    """A certain take."""
    evidence = Evidence(("c1",), ("s1",), time_ns - 1, time_ns, "f.s.l")
    return LedgerEvent(event_id, time_ns, "take", visit, gtin, quantity, 0.9, "f.s.l", evidence=evidence)


def put_back(event_id: str, time_ns: int, gtin: str = TEA, quantity: int = 1, visit: str = "v1") -> LedgerEvent:
    """A certain return."""
    return LedgerEvent(event_id, time_ns, "return", visit, gtin, quantity, 0.9, "f.s.l")


@st.composite
def any_event(draw: st.DrawFn) -> LedgerEvent:
    """Any valid event over few ids, visits, products and instants, so that they collide often."""
    kinds: list[Kind] = ["take", "take", "return", "hand_over", "correction"]
    kind = draw(st.sampled_from(kinds))
    event_id = f"e{draw(st.integers(0, 9))}"
    others = [f"e{i}" for i in range(10) if f"e{i}" != event_id]
    visits = ["v1", "v2"]
    return LedgerEvent(
        event_id=event_id,
        time_ns=draw(st.integers(0, 5)),
        kind=kind,
        visit=draw(st.sampled_from(visits)),
        gtin=draw(st.sampled_from([TEA, MILK])),
        quantity=draw(st.integers(-3, 3) if kind == "correction" else st.integers(1, 3)),
        confidence=draw(st.sampled_from([0.5, 0.9, 1.0])),
        to_visit=draw(st.sampled_from(visits)) if kind == "hand_over" else "",
        supersedes=draw(st.sampled_from(["", *others])) if kind == "correction" else "",
    )


def events(max_size: int = 12) -> st.SearchStrategy[Sequence[LedgerEvent]]:
    """A few events, with contradictions, duplicates of ids and cycles of corrections."""
    return st.lists(any_event(), max_size=max_size)
