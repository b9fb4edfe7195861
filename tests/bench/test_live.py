"""The load: what is measured of it, what is claimed, the search, and the page; the whole of it runs by hand."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from openaisle.bench.live_report import HARDWARE, LivePlan, LiveReport, Load
from openaisle.bench.live_watch import Reading, Watch, growth_mb, usage
from openaisle.errors import ScenarioError
from openaisle.messages import NANOSECONDS, EventKind, TruthEvent
from openaisle.receipts.events import LedgerEvent
from openaisle.stress.live import latencies, live_store, lost_of, most
from openaisle.view.live_page import write_live_page

SENT = {"pictures": 1000, "scales": 400, "gates": 4}
NOTHING = {"pictures": 0, "scales": 0, "gates": 0}


def true_take(at_s: float, visit: str = "anna", gtin: str = "1", kind: EventKind = EventKind.TAKE) -> TruthEvent:
    """Something leaves a shelf."""
    time_ns = round(at_s * NANOSECONDS)
    return TruthEvent(time_ns, time_ns, kind, "shopper-1", visit, gtin, 1, lane="f1.s1.l1")


def row(at_s: float, written_s: float, visit: str = "r1.anna", gtin: str = "1") -> tuple[LedgerEvent, int]:
    """A line of the ledger, and when it was there."""
    event = LedgerEvent(f"{visit}{at_s}", round(at_s * NANOSECONDS), "take", visit, gtin, 1, 0.9, lane="f1.s1.l9")
    return event, round(written_s * NANOSECONDS)


def test_latency_is_from_the_shelf_to_the_ledger() -> None:
    shift_ns = 100 * NANOSECONDS
    assert latencies([true_take(5)], [row(105.5, 107)], shift_ns) == [2.0]
    assert latencies([true_take(5)], [row(5.5, 7)], shift_ns) == []
    assert latencies([true_take(5)], [row(111, 112)], shift_ns) == []  # another event, six seconds later
    assert latencies([true_take(5, visit="bert")], [row(105.5, 107)], shift_ns) == []
    assert latencies([true_take(5, kind=EventKind.RETURN)], [row(105.5, 107)], shift_ns) == []
    assert latencies([true_take(5), true_take(6)], [row(105.5, 107)], shift_ns) == [2.0]  # a row counts once
    assert latencies([true_take(5, gtin="2")], [row(105.5, 107)], shift_ns) == []


def test_what_the_intake_does_not_have_is_lost() -> None:
    quiet = {"lost": 0, "missing": 0, "dropped": 0}
    known = [
        {"kind": "camera", "messages": 600, **quiet},
        {"kind": "camera", "messages": 398, **quiet},
        {"kind": "scale", "messages": 400, **quiet, "dropped": 3},
        {"kind": "gate", "messages": 60, **quiet, "lost": 1, "missing": 1},
    ]
    assert lost_of(known, SENT) == {"pictures": 2, "scales": 3, "gates": 2}


def readings(grown_mb: float, process: str = "worker") -> tuple[Reading, ...]:
    """A process that warms up, and then grows."""
    return tuple(
        Reading(process, float(s), 100.0 + min(s, 20) * 5 + max(0, s - 25) / 75 * grown_mb, 0.5) for s in range(101)
    )


def report(**changes: object) -> LiveReport:
    """A run in which everything went well."""
    whole = LiveReport(
        LivePlan(), "a machine", 4, (0.5, 0.9, 1.2), SENT, NOTHING, ((1.0, 0.4), (2.0, 0.6)),
        (*readings(1.0), *readings(500.0, HARDWARE)),
    )  # fmt: skip
    return replace(whole, **changes)  # type: ignore[arg-type]  # its fields


def test_memory_is_judged_after_the_warm_up() -> None:
    assert growth_mb(readings(0.0), "worker") == pytest.approx(0.0)
    assert 20.0 < growth_mb(readings(30.0), "worker") < 30.0
    assert growth_mb(readings(30.0), "api") == 0.0


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (0, {"latency_s": (0.5, 4.0)}),
        (0, {"latency_s": ()}),
        (1, {"lost": {**NOTHING, "scales": 1}}),
        (1, {"lost": {**NOTHING, "gates": 1}}),
        (2, {"lost": {**NOTHING, "pictures": 11}}),
        (3, {"behind_s": ((1.0, 0.4), (2.0, 11.0))}),
        (3, {"behind_s": ()}),
        (4, {"readings": readings(30.0)}),
        (4, {"readings": ()}),
    ],
)
def test_every_claim_can_fail(number: int, changes: dict[str, object]) -> None:
    assert report().sustained
    broken = report(**changes)
    assert [i for i, kept in enumerate(broken.claims.values()) if not kept] == [number]
    assert broken.to_json()["sustained"] is False


@pytest.mark.parametrize("limit", [0, 1, 5, 11, 16])
def test_the_search_finds_what_is_sustained(limit: int) -> None:
    def run(plan: LivePlan) -> LiveReport:
        return report(plan=plan, latency_s=(1.0 if plan.load.cameras <= limit else 9.0,))

    best, runs = most(LivePlan(), run)
    assert (best.plan.load.cameras if best else 0) == limit
    assert len(runs) <= 6
    assert runs[0].plan.load == Load()
    assert all(1 <= one.plan.load.shoppers <= 10 for one in runs)


def test_a_store_is_cut_to_the_load() -> None:
    store = live_store("random:kiosk", 850_000, Load(3, 10, 1))
    assert len(store.spec.cameras) == 3
    assert [scale.rate_hz for scale in store.spec.scales] == [10.0] * 10
    with pytest.raises(ScenarioError, match="4 cameras and 29 scales"):
        live_store("random:kiosk", 850_000, Load(5, 10, 1))


def test_a_process_is_read(tmp_path: Path) -> None:
    watch = Watch(tmp_path, {"me": os.getpid(), "gone": 1 << 30}, lambda: 0.5)
    watch.began_s = time.monotonic()
    watch.look()
    end_s = time.process_time() + 0.1
    while time.process_time() < end_s:
        pass
    watch.look()
    assert [one.process for one in watch.readings] == ["me"]
    assert watch.readings[0].cores > 0
    assert watch.readings[0].memory_mb > 10
    assert [behind for _, behind in watch.behind] == [0.5, 0.5]
    assert usage(1 << 30) is None


def test_the_page_tells_what_failed(tmp_path: Path) -> None:
    slow = report(latency_s=(0.5, 9.0), plan=replace(LivePlan(), load=Load(8, 200, 5)))
    write_live_page([slow, report()], tmp_path / "live.html", "aisle bench live --find <now>")
    page = (tmp_path / "live.html").read_text()
    assert page.count("<svg") == 8
    assert page.count("<b>NO</b>") == 2
    assert "8 cameras, 200 scales, about 5 shoppers" in page
    assert "aisle bench live --find &lt;now&gt;" in page
    assert "http" not in page.replace("http://www.w3.org", "")
