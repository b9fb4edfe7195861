"""What scales could not tell apart is looked at once more: strangers of the lane's own mass, lanes of one scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openaisle.correcting import surroundings
from openaisle.pipeline import run, set_up, step
from openaisle.predictor import Float32, ShelfLook, ShelfWindows
from openaisle.second_look import (
    MARGIN,
    UNCLEAR_MARGIN,
    WAIT_TICKS,
    Decided,
    Doubtful,
    Pending,
    SecondLooks,
    Shelves,
    Windows,
    added,
    decide,
    opened,
)
from openaisle.settle import Stills
from openaisle.shelves import NEVER, Still
from openaisle.tokens.rays import PATCH_PX
from openaisle.tokens.tick import Ticker
from openaisle.weighing.goods import Goods
from openaisle.weighing.split import Way
from tests.pipeline.scripted import Scripted, films, shopping, with_film
from tests.pipeline.test_settle import CATALOGUE
from tests.pipeline.test_settle import look as shelf_look
from tests.tokens.corner import BEANS, COLA, GRAMS, corner_store

OWN, STRANGER, BESIDE = CATALOGUE[0], CATALOGUE[5], CATALOGUE[1]
GOODS = Goods(
    dict.fromkeys(CATALOGUE, 100.0), {"l1": OWN, "l2": BESIDE}, {"l1": 0, "l2": 0},
    row={gtin: row for row, gtin in enumerate(CATALOGUE)},
)  # fmt: skip
NOTHING = ShelfWindows(
    np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 32, 32), np.uint8),
    np.ones((1, 10), np.float32), 0,
)  # fmt: skip
BEFORE: Stills = (None,)


def take(*ways: Way, name: str = "e1") -> Doubtful:
    return Doubtful(name, "take", Way(0, 0, 1, 0.0), ways)


def waiting(*events: Doubtful) -> SecondLooks:
    return SecondLooks({0: Pending(BEFORE, events, 10)}, BEFORE)


def tell(
    known: SecondLooks, looks: dict[str, ShelfLook], tick: int = 11, share: float = 1.0, hurried: tuple[str, ...] = (),
    moving: tuple[int, ...] = (),
) -> tuple[SecondLooks, list[Decided]]:  # fmt: skip
    """What is decided where so much of each lane shows."""
    asked: list[str] = []

    def windows(lane: str, waiting: Pending) -> Windows:
        assert waiting.before is BEFORE
        if lane in looks:
            asked.append(lane)
        return (NOTHING, share) if lane in looks else (None, 0.0)

    def seen(_: ShelfWindows) -> ShelfLook:
        shown = [lane for lane in asked if lane in looks]
        seen.count += 1  # type: ignore[attr-defined]
        return looks[shown[seen.count - 1]]  # type: ignore[attr-defined]

    seen.count = 0  # type: ignore[attr-defined]
    return decide(known, tick, frozenset(hurried), frozenset(moving), Shelves(windows, seen, GOODS, ("l1", "l2")))


def test_a_stranger_of_the_same_mass_is_known_by_its_looks() -> None:
    doubt = take(Way(0, 5, 1, 6.0))
    known, (found,) = tell(waiting(doubt), {"l1": shelf_look(left=STRANGER, net=0)})
    assert (found.event, found.way.product) == (doubt, 5)
    assert 0.5 < found.sure <= 1
    assert known.pending == {}
    assert tell(waiting(doubt), {"l1": shelf_look(left=OWN, net=-1)}) == (known, [])


def test_masses_outweigh_a_look_that_is_not_sure() -> None:
    unsure = shelf_look(left=STRANGER, net=-1)
    assert tell(waiting(take(Way(0, 5, 1, 12.0))), {"l1": unsure})[1] == []


def test_what_remains_open_is_said_to_be() -> None:
    """Neither masses nor pictures tell: the event stays, less sure than half."""
    blank = replace(shelf_look(), changed=np.zeros(2, np.float32), net=np.zeros(9, np.float32))
    _, (found,) = tell(waiting(take(Way(0, 5, 1, 0.2), Way(0, 6, 1, 0.2))), {"l1": blank})
    assert found.way is found.event.chosen
    assert 0.3 < found.sure < 0.5


def test_of_two_lanes_on_one_scale_the_one_that_changed_is_meant() -> None:
    doubt = take(Way(1, 1, 1, 2.0))
    looks = {"l1": shelf_look(), "l2": shelf_look(left=BESIDE, net=-1)}
    _, (found,) = tell(waiting(doubt), looks)
    assert (found.way.lane, found.way.product) == (1, 1)
    assert tell(waiting(doubt), {"l1": shelf_look(left=OWN, net=-1), "l2": shelf_look()})[1] == []


def test_what_moved_within_its_lane_is_not_taken_for_something_else() -> None:
    """Taken and put back elsewhere: something left and something came, but there is nothing to explain."""
    back = Doubtful("e2", "return", Way(0, 0, 1, 0.0), (Way(0, 5, 1, 3.0),))
    assert tell(waiting(take(), back), {"l1": shelf_look(left=OWN, came=OWN, net=0)})[1] == []


@pytest.mark.parametrize(("hurried", "tick", "decided"), [((), 11, 0), (("e1",), 11, 1), ((), 10 + WAIT_TICKS, 1)])
def test_hidden_lanes_are_waited_for_but_not_for_ever(hurried: tuple[str, ...], tick: int, decided: int) -> None:
    known = waiting(take(Way(0, 5, 1, 4.0)))
    looks = {"l1": shelf_look(left=STRANGER, net=0)}
    left, found = tell(known, looks, tick=tick, share=0.2, hurried=hurried)
    assert len(found) == decided
    (kept,) = left.pending[0].events  # what comes next will be seen together with it
    assert kept.chosen.product == (5 if decided else 0)
    assert bool(kept.ways) == (not decided)
    assert tell(left, looks, tick=tick + 1)[0].pending == {}


def test_where_no_clear_view_came_in_time_more_must_speak_for_something_else() -> None:
    stranger = {"l1": shelf_look(left=STRANGER, net=0)}

    def most(share: float, tick: int) -> float:
        """What may speak against the stranger so that it is believed still."""
        costs = np.arange(0.0, 20.0, 0.1)
        told = [tell(waiting(take(Way(0, 5, 1, float(cost)))), stranger, tick, share)[1] for cost in costs]
        return float(max(cost for cost, found in zip(costs, told, strict=True) if found and found[0].way.product == 5))

    clear, unclear = most(1.0, 11), most(0.3, 10 + WAIT_TICKS)
    assert clear - unclear == pytest.approx(UNCLEAR_MARGIN - MARGIN, abs=0.11)


def test_nobody_looks_while_the_scale_moves_or_where_nothing_is_in_doubt() -> None:
    known, looks = waiting(take(Way(0, 5, 1, 4.0))), {"l1": shelf_look(left=STRANGER)}
    assert tell(known, looks, moving=(0,)) == (known, [])
    assert tell(waiting(take()), looks) == (SecondLooks({}, BEFORE, {0: 10}), [])
    assert tell(known, {}, tick=10 + WAIT_TICKS)[1] == []  # no view at all


def test_the_shelf_from_before_is_that_of_the_tick_in_which_nothing_moved_yet() -> None:
    first, second, third = (None,), (None, None), (None, None, None)
    known = opened(SecondLooks(stills=first), frozenset({0}), second)
    known = opened(known, frozenset({0}), third)
    assert known.pending[0].before == first
    assert opened(known, frozenset(), third).pending == {}  # it only shook
    event = take()
    known = opened(added(known, 0, [event], 7), frozenset(), third)
    assert known.pending[0] == Pending(first, (event,), 7)
    assert added(SecondLooks(stills=second), 3, [event], 7).pending[3].before == second  # a step between two ticks


def test_what_was_decided_on_is_not_seen_again_in_views_that_were_hidden_then() -> None:
    known, _ = tell(waiting(take(Way(0, 1, 1, 1.0))), {"l1": shelf_look()})
    assert known.decided == {0: 10}
    assert opened(known, frozenset({0}), BEFORE).pending[0].fresh == 10
    assert opened(known, frozenset({1}), BEFORE).pending[1].fresh == NEVER
    assert added(known, 0, [take()], 12).pending[0].fresh == 10
    again = added(opened(known, frozenset({0}), BEFORE), 0, [take()], 13)
    assert (again.pending[0].fresh, again.pending[0].since) == (10, 13)


class Sighted(Scripted):
    """Sees that a can of beans left, whatever lane is shown."""

    def __init__(self, beans: int) -> None:
        super().__init__(hand_m=corner_store().lanes[0].front_m.astype(np.float32))
        self.beans = beans

    def look_at_shelf(self, windows: ShelfWindows, vectors: Float32) -> ShelfLook:
        named = np.full((2, len(vectors)), -8.0, np.float32)
        named[:, self.beans] = 0.0
        units = np.full(9, -8.0, np.float32)
        units[4 if windows.product != self.beans else 3] = 0.0
        return ShelfLook(named, np.array([8.0, -8.0], np.float32), units)


@pytest.mark.parametrize("sees", [True, False])
def test_a_run_corrects_a_stranger_that_weighs_as_much(sees: bool) -> None:
    """Something left the cola's lane; beans weigh as much in this shop."""
    told = corner_store()
    alike = [p.model_copy(update={"weight_grams": GRAMS[COLA]}) if p.gtin == BEANS else p for p in told.products]
    store = replace(told, products=tuple(alike))
    beans, cola = ([p.gtin for p in store.products].index(g) for g in (BEANS, COLA))
    eyes = Sighted(beans if sees else cola)
    sent = with_film(shopping([(4.0, 0, -GRAMS[COLA])], [(0.5, "entry", "ann")], 16.0), films(16.0))
    setup, state = set_up(store, eyes)
    for tick in Ticker(store).ticks(sent):
        state, _ = step(state, tick, eyes, setup)
    first, *later = state.ledger.events
    assert first.gtin == COLA
    assert [(e.gtin, e.quantity, e.supersedes) for e in later] == ([(BEANS, 1, first.event_id)] if sees else [])
    assert not sees or later[0].reason == "the shelf shows it"
    assert state.lying == {}
    *_, last = run(store, sent, eyes)
    (line,) = last.receipts["ann"].lines
    assert line.gtin.zfill(14) == (BEANS if sees else COLA).zfill(14)


@pytest.mark.parametrize("late", [False, True])
def test_a_run_looks_at_no_view_from_before_an_event_that_was_decided_on(late: bool) -> None:
    """Every view still shows the shelf as it was at the very beginning: it may not speak for what came later."""
    told = corner_store()
    alike = [p.model_copy(update={"weight_grams": GRAMS[COLA]}) if p.gtin == BEANS else p for p in told.products]
    store = replace(told, products=tuple(alike))
    eyes = Sighted([p.gtin for p in store.products].index(BEANS))
    sent = with_film(shopping([(4.0, 0, -GRAMS[COLA])], [(0.5, "entry", "ann")], 16.0), films(16.0))
    setup, state = set_up(store, eyes)
    for tick in Ticker(store).ticks(sent):
        waiting = state.second.pending
        aged = {scale: replace(one, fresh=tick.index if late else NEVER) for scale, one in waiting.items()}
        state, _ = step(replace(state, second=replace(state.second, pending=aged)), tick, eyes, setup)
    assert any(event.reason == "the shelf shows it" for event in state.ledger.events) == (not late)
    assert state.second.pending == {}
    assert set(state.second.decided) == {0}


def test_a_lane_is_looked_at_in_views_that_are_fresh_before_and_clear_after() -> None:
    store, eyes = corner_store(), Sighted(0)
    setup, state = set_up(store, eyes)
    tick = replace(next(iter(Ticker(store).ticks(with_film(shopping([], [], 6.0), films(6.0))))), index=50)
    lane = store.lanes[0].id
    views = setup.shelf_views[lane]

    def stills(*seen: int) -> Stills:
        cells = [(camera.height_px // PATCH_PX, camera.width_px // PATCH_PX) for camera in store.cameras]
        black = [np.zeros((camera.height_px, camera.width_px, 3), np.uint8) for camera in store.cameras]
        return tuple(
            Still(picture, np.full(shape, at, np.int32)) for picture, shape, at in zip(black, cells, seen, strict=True)
        )

    count = len(store.cameras)
    look = surroundings(replace(state, stills=stills(*[50] * count)), tick, eyes, setup).look
    before = stills(*[10] * count)
    for fresh, sees in ((NEVER, True), (10, True), (11, False)):
        seen = look(lane, before, fresh)
        assert (seen is not None) == sees
        assert seen is None or seen[1] == 1.0
    some = stills(*[20 if camera == views[0].camera else 10 for camera in range(count)])
    seen = look(lane, some, 11)
    assert seen is not None
    assert seen[1] == 1.0  # of those that can tell
    hidden = surroundings(replace(state, stills=stills(*[10] * count)), tick, eyes, setup).look
    assert hidden(lane, before, NEVER) is None
