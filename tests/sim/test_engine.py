"""Whole simulations: books balance, bodies and hands are where they must be, one seed gives one run."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from openaisle.messages import EventKind
from openaisle.sim.engine import Simulation
from openaisle.sim.scenario import SUITES, Scenario, load_scenario
from tests.sim.audit import Audit
from tests.sim.tiny import tiny_store

STORE = tiny_store()


def short(name: str, **changes: object) -> Scenario:
    """A suite's scenario with fewer people and picks, to be quick."""
    scenario = load_scenario(name)
    people = (min(scenario.shoppers[0], 3), min(scenario.shoppers[1], 4))
    update = {"duration_s": 40.0, "shoppers": people, "picks": (1, 3), "group_size": (2, 2), **changes}
    return scenario.model_copy(update=update)


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_keeps_its_books(name: str) -> None:
    audit = Audit(Simulation(STORE, short(name), 11))
    audit.check_books()
    audit.check_visits()


@settings(max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 799_999), shoppers=st.integers(1, 5), put_back=st.floats(0, 0.6), wrong=st.floats(0, 0.5),
    right=st.floats(0, 0.4), hand_over=st.floats(0, 0.6), staff=st.integers(0, 2), both_hands=st.floats(0, 1),
)  # fmt: skip
def test_any_behaviour_keeps_its_books(
    seed: int, shoppers: int, put_back: float, wrong: float, right: float, hand_over: float, staff: int,
    both_hands: float,
) -> None:  # fmt: skip
    scenario = short(
        "everything", shoppers=(shoppers, shoppers), put_back=put_back, return_wrong=wrong, return_right=right,
        hand_over=hand_over, staff=(staff, staff), both_hands=both_hands, arrival_s=(0.2, 2.0),
    )  # fmt: skip
    audit = Audit(Simulation(STORE, scenario, seed))
    audit.check_books()
    audit.check_visits()


def _digest(seed: int) -> str:
    sim = Simulation(STORE, short("everything"), seed)
    digest = hashlib.sha256()
    for snapshot in sim.steps():
        digest.update(snapshot.scale_grams.tobytes() + snapshot.true_grams.tobytes() + snapshot.doors.tobytes())
        digest.update(snapshot.items.world_from_item.tobytes() + snapshot.items.visible.tobytes())
        for person in snapshot.people:
            digest.update(person.capsules.tobytes() + person.hands_m.tobytes())
        digest.update(repr((snapshot.time_ns, snapshot.events, snapshot.gates)).encode())
        digest.update(repr(sim.truth_shoppers(snapshot)).encode())
    return digest.hexdigest()


def test_one_seed_gives_one_run_bit_for_bit() -> None:
    assert _digest(5) == _digest(5)
    assert _digest(5) != _digest(6)


def test_restocking_fills_lanes_and_is_on_no_receipt() -> None:
    sim = Simulation(STORE, short("restock", shoppers=(0, 0), staff=(1, 1)), 3)
    audit = Audit(sim)
    audit.check_books()
    returns = [event for event in audit.events if event.kind == EventKind.RETURN]
    assert returns
    assert all(event.staff and event.visit == "" for event in returns)
    assert sim.receipts() == ()


def test_hand_over_moves_units_between_visits() -> None:
    for seed in range(1, 12):
        sim = Simulation(STORE, short("hand-over", hand_over=0.9, group=0.0, shoppers=(3, 3)), seed)
        audit = Audit(sim)
        audit.check_books()
        given = [event for event in audit.events if event.kind == EventKind.HAND_OVER]
        if given:
            assert all(event.to_visit and event.to_visit != event.visit and event.lane == "" for event in given)
            return
    pytest.fail("eleven stores full of generous people and nobody handed anything over")


def test_no_scales_means_no_numbers() -> None:
    sim = Simulation(STORE, short("no-scales"), 2)
    assert all(np.isnan(snapshot.scale_grams).all() for snapshot in sim.steps())


def test_neighbours_reach_at_the_same_time() -> None:
    both = 0
    for seed in (1, 2, 3):
        for snapshot in Simulation(STORE, load_scenario("neighbours"), seed).steps():
            busy = [{STORE.lanes[lane].fixture for lane in p.hand_lane if lane >= 0} for p in snapshot.people]
            both += any(a & b for n, a in enumerate(busy) for b in busy[:n])
    assert both * 0.05 > 3.0, "seconds with two people's hands in one fixture, in three scenarios"


def test_it_is_fast_enough_to_train_on() -> None:
    scenario = load_scenario("neighbours").model_copy(update={"shoppers": (3, 3)})
    steps = sum(1 for _ in Simulation(STORE, scenario, 8).steps())  # compiles what is not compiled yet
    before = time.process_time()
    assert sum(1 for _ in Simulation(STORE, scenario, 8).steps()) == steps
    assert steps * 0.05 / (time.process_time() - before) > 50, "times real time; about 190 on a free core"
