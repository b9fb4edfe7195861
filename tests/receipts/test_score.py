"""Each metric against a worked example, the degenerate cases, and bounds on anything at all."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.messages import NANOSECONDS, EventKind, TruthEvent, TruthReceipt
from openaisle.receipts.document import LineRecord, ReceiptRecord, ReceiptsDocument, Update
from openaisle.receipts.matching import match_events
from openaisle.receipts.metrics import Latency, VisitScore, metrics
from openaisle.receipts.score import Score, combine, score
from tests.receipts.shops import MILK, PRICES, SOAP, TEA, products

Lines = Mapping[str, int]


def truth(visit: str, lines: Lines, end_s: float = 60.0) -> TruthReceipt:
    return TruthReceipt(int(end_s * NANOSECONDS), visit, tuple(sorted(lines.items())))


def moved(time_s: float, kind: EventKind, visit: str, gtin: str, quantity: int = 1, lane: str = "f.s.l") -> TruthEvent:
    time_ns = int(time_s * NANOSECONDS)
    return TruthEvent(time_ns, time_ns, kind, "p", visit, gtin, quantity, lane)


def update(
    issued_s: float,
    event_s: float,
    kind: EventKind | str,
    gtin: str,
    quantity: int = 1,
    lane: str = "",
    compute_s: float = 0,
) -> Update:
    return Update.model_validate(
        {
            "time_ns": int(issued_s * NANOSECONDS), "event_time_ns": int(event_s * NANOSECONDS), "kind": str(kind),
            "gtin": gtin, "quantity": quantity, "lane": lane, "compute_s": compute_s,
        }
    )  # fmt: skip


def record(visit: str, lines: Lines, confidence: float = 1.0, updates: tuple[Update, ...] = ()) -> ReceiptRecord:
    written = [
        LineRecord(gtin=gtin, quantity=n, unit_price_cents=PRICES.get(gtin, 50), confidence=confidence)
        for gtin, n in lines.items()
    ]
    return ReceiptRecord(
        visit=visit, lines=written, total_cents=0, currency="EUR", needs_review=False, updates=list(updates),
        final_ns=int(61.5 * NANOSECONDS), final_compute_s=0.25,
    )  # fmt: skip


def document(*records: ReceiptRecord) -> ReceiptsDocument:
    return ReceiptsDocument(recording="r", model="m", receipts=list(records))


def worked_example() -> Score:
    """v1 right; v2 took 2 tea + 1 milk, is charged 1 tea + 1 soap; v3 took 1 soap, has no receipt; v9 never was."""
    truths = [truth("v1", {TEA: 1}), truth("v2", {TEA: 2, MILK: 1}), truth("v3", {SOAP: 1})]
    events = [
        moved(10, EventKind.TAKE, "v1", TEA, 2),
        moved(20, EventKind.RETURN, "v1", TEA),
        moved(12, EventKind.TAKE, "v2", TEA, 2),
        moved(30, EventKind.TAKE, "v2", MILK, lane="f.s.m"),
        moved(40, EventKind.TAKE, "v3", SOAP),
    ]
    good = record(
        "v1", {TEA: 1}, 0.9, (update(11, 10, "take", TEA, 2, compute_s=0.5), update(22, 20, "return", TEA))
    )  # fmt: skip
    poor = record(
        "v2", {TEA: 1, SOAP: 1}, 0.6, (update(14, 12, "take", TEA), update(31, 30, "take", SOAP, lane="f.s.m"))
    )
    return score(truths, events, document(good, poor, record("v9", {MILK: 2}, 0.8)), products())


def test_every_metric_by_hand() -> None:
    m = worked_example().metrics
    assert (m.visits, m.extra_visits) == (3, 1)
    assert m.exact == pytest.approx(1 / 3)
    # units: right 1 + 1; charged 1 + 2 + 0 + 2; taken 1 + 3 + 1
    assert m.f1 == pytest.approx(2 * 2 / (5 + 5))
    assert m.precision == pytest.approx(2 / 5)
    assert m.recall == pytest.approx(2 / 5)
    value = 299 + (2 * 299 + 109) + 450
    assert m.overcharge == pytest.approx((450 + 2 * 109) / value)
    assert m.undercharge == pytest.approx((299 + 109 + 450) / value)
    # both of v1, tea of v2, milk of v2 by its lane; v3 is credited to nobody
    assert m.attribution == pytest.approx(4 / 5)
    # by confidence: v3 (no receipt), v2 (0.6² = 0.36), v9 (0.8), v1 (0.9): all but v1 must be looked at
    assert m.review_rate == pytest.approx(3 / 4)
    # lines: 0.9 right; 0.6, 0.6 wrong; 0.8 wrong
    assert m.calibration == pytest.approx((0.1 + 0.6 + 0.6 + 0.8) / 4)
    # 1 + 0.5 compute, 2, 2; the soap line does not show the milk
    assert m.latency_s == Latency(2.0, 2.0, 2.0)
    assert m.final_latency_s == Latency(1.75, 1.75, 1.75)


def test_json_has_the_stable_names() -> None:
    plain = worked_example().to_json()
    assert {
        "visits", "exact", "f1", "precision", "recall", "overcharge", "undercharge", "attribution", "review_rate",
        "calibration", "latency_s", "final_latency_s",
    } <= set(plain)  # fmt: skip
    assert set(plain["latency_s"]) == {"p50", "p95", "p99"}  # type: ignore[arg-type]


def test_nothing_against_nothing_is_right() -> None:
    for docs in (document(), document(record("v1", {}))):
        m = score([truth("v1", {})], [], docs, products()).metrics
        assert (m.exact, m.f1, m.precision, m.recall) == (1, 1, 1, 1)
        assert (m.overcharge, m.undercharge, m.review_rate) == (0, 0, 0)
        assert (m.attribution, m.latency_s) == (None, None)
    empty = score([], [], document(), products()).metrics
    assert (empty.f1, empty.exact, empty.visits) == (1, None, 0)


def test_an_empty_document_finds_nothing() -> None:
    m = score([truth("v1", {TEA: 2})], [moved(1, EventKind.TAKE, "v1", TEA, 2)], document(), products()).metrics
    assert (m.exact, m.f1, m.recall, m.precision, m.undercharge, m.attribution) == (0, 0, 0, 1, 1, 0)


def test_charging_an_empty_visit_is_all_overcharge() -> None:
    m = score([truth("v1", {})], [], document(record("v1", {TEA: 1})), products()).metrics
    assert (m.exact, m.f1, m.overcharge) == (0, 0, 1)


def test_unknown_products_are_worth_what_was_charged() -> None:
    m = score([truth("v1", {TEA: 1})], [], document(record("v1", {TEA: 1, "99": 2})), products()).metrics
    assert m.overcharge == pytest.approx(2 * 50 / 299)


def test_short_gtins_mean_the_same_product() -> None:
    assert (
        score([truth("v1", {TEA.lstrip("0"): 1})], [], document(record("v1", {TEA: 1})), products()).metrics.exact == 1
    )


def test_without_updates_a_right_final_quantity_credits_its_events() -> None:
    events = [moved(1, EventKind.TAKE, "v1", TEA), moved(2, EventKind.TAKE, "v1", MILK)]
    m = score([truth("v1", {TEA: 1, MILK: 1})], events, document(record("v1", {TEA: 1})), products()).metrics
    assert m.attribution == 0.5


def test_a_silent_document_is_credited_with_nothing_not_even_with_what_came_back() -> None:
    events = [moved(1, EventKind.TAKE, "v1", TEA), moved(9, EventKind.RETURN, "v1", TEA)]
    assert score([truth("v1", {})], events, document(record("v1", {})), products()).metrics.attribution == 0


def test_staff_and_hand_overs_are_not_events_of_the_shelf() -> None:
    hand_over = TruthEvent(0, 0, EventKind.HAND_OVER, "p", "v1", TEA, 1, to_visit="v2")
    restock = TruthEvent(0, 0, EventKind.RETURN, "p", "v1", TEA, 1, "f.s.l", staff=True)
    assert score([truth("v1", {})], [hand_over, restock], document(), products()).metrics.attribution is None


def test_one_update_cannot_stand_for_two_takes() -> None:
    events = [moved(10, EventKind.TAKE, "v1", TEA), moved(11, EventKind.TAKE, "v1", TEA)]
    assert match_events(events, [update(12, 10.4, "take", TEA)])[0] == 1
    assert match_events(events, [update(12, 10.4, "take", TEA, 2)])[0] == 2


def test_matching_needs_direction_time_and_place() -> None:
    event = moved(10, EventKind.TAKE, "v1", TEA)
    assert match_events([event], [update(11, 10, "return", TEA)]) == (0, ())
    assert match_events([event], [update(18, 16, "take", TEA)]) == (0, ())
    assert match_events([event], [update(11, 10, "take", MILK, lane="g.s.l")]) == (0, ())
    assert match_events([event], [update(11, 10, "correction", TEA)]) == (1, (1.0,))


def test_equal_confidences_are_no_order() -> None:
    def visit(exact: bool, confidence: float) -> VisitScore:
        return VisitScore("v", exact, confidence, 0, 0, 0, 0, 0, 0)

    right, wrong = visit(True, 0.5), visit(False, 0.5)
    assert metrics([right, wrong]).review_rate == 1.0
    assert metrics([right, visit(False, 0.4)]).review_rate == 0.5
    assert metrics([right] * 999 + [wrong]).review_rate == 0.0  # 99.9% exact already


def test_f1_is_per_recording_then_mean_and_ratios_are_pooled() -> None:
    one = score([truth("v1", {TEA: 1})], [], document(record("v1", {TEA: 1})), products())
    other = score([truth("v1", {TEA: 3})], [], document(record("v1", {MILK: 1})), products())
    both = combine([one, other]).metrics
    assert both.f1 == 0.5
    assert both.recall == 0.25
    assert both.visits == 2


def test_intervals_hold_the_value_and_shrink() -> None:
    few = combine([worked_example()] * 3).intervals()
    many = combine([worked_example()] * 30).intervals()
    for name in ("exact", "f1", "attribution", "latency_s.p95"):
        assert few[name].low <= few[name].value <= few[name].high
        assert many[name].high - many[name].low <= few[name].high - few[name].low
    assert few == combine([worked_example()] * 3).intervals()  # seeded


quantities = st.dictionaries(st.sampled_from([TEA, MILK, SOAP]), st.integers(1, 4))
visits = st.dictionaries(st.sampled_from(["v1", "v2", "v3"]), quantities)
updates = st.lists(
    st.builds(
        update, st.floats(0, 60), st.floats(0, 60), st.sampled_from(["take", "return", "correction", "hand_over"]),
        st.sampled_from([TEA, MILK]), st.integers(-2, 3), st.sampled_from(["", "f.s.l"]), st.floats(0, 1),
    ),
    max_size=5,
)  # fmt: skip
true_events = st.lists(
    st.builds(
        moved, st.floats(0, 60), st.sampled_from([EventKind.TAKE, EventKind.RETURN]), st.sampled_from(["v1", "v2"]),
        st.sampled_from([TEA, MILK]), st.integers(1, 3),
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(visits, visits, true_events, updates, st.floats(0, 1))
def test_scores_stay_in_bounds(
    true: dict[str, dict[str, int]], charged: dict[str, dict[str, int]], events: list[TruthEvent],
    issued: list[Update], confidence: float,
) -> None:  # fmt: skip
    docs = document(*(record(visit, lines, confidence, tuple(issued)) for visit, lines in charged.items()))
    scored = score([truth(visit, lines) for visit, lines in true.items()], events, docs, products())
    flat = scored.metrics.flat()
    shares = ("exact", "f1", "precision", "recall", "undercharge", "attribution", "review_rate", "calibration")
    assert all(0 <= flat[name] <= 1 for name in shares if name in flat)
    assert flat["overcharge"] >= 0
    assert (true == charged) <= (flat["f1"] == 1 and flat.get("exact", 1.0) == 1)
    for name, interval in scored.intervals(resamples=5).items():
        assert interval.low <= interval.high, name


@given(visits)
def test_the_truth_scores_full_marks(true: dict[str, dict[str, int]]) -> None:
    docs = document(*(record(visit, lines) for visit, lines in true.items()))
    m = score([truth(visit, lines) for visit, lines in true.items()], [], docs, products()).metrics
    assert (m.f1, m.precision, m.recall, m.overcharge, m.undercharge) == (1, 1, 1, 0, 0)
    assert m.exact in (1, None)
    assert m.review_rate in (0, None)
    assert m.calibration in (0, None)
