"""Boxes, heads and hands over pictures: where the camera sees them, in the colours of the plan, for whom is known."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from openaisle.pipeline import set_up, step
from openaisle.service.floor import Tint
from openaisle.service.overlay import Overlays
from openaisle.service.tracks import PEOPLE, Person, Point3, Trails
from openaisle.sim.stores import open_store
from openaisle.store.store import Store
from openaisle.tokens.tick import Ticker
from tests.service import stream

MARKS = {"v": Tint(7, 3)}


@pytest.fixture(scope="module")
def store() -> Store:
    """A kiosk with cameras."""
    return open_store("random:kiosk", 7)


def standing(store: Store) -> Person:
    """Somebody in the middle of the floor, with a hand at the height of a shelf."""
    x, y = (round(float(value), 2) for value in np.asarray(store.spec.floor_m).mean(axis=0))
    return Person("v", x, y, head_m=(x, y, 1.6), reach_m=((x + 0.3, y, 1.2),))


def head_of(person: Person) -> Point3:
    """Its centre."""
    assert person.head_m is not None
    return person.head_m


def numbers(drawn: str, shape: str) -> dict[str, float]:
    """A shape's attributes."""
    found = re.search(rf'<\w+ class="{shape}" ([^/>]*)', drawn)
    assert found is not None, drawn
    return {name: float(value) for name, value in re.findall(r'([\w-]+)="([-\d.]+)"', found[1])}


def test_somebody_is_where_the_camera_sees_them(store: Store) -> None:
    overlays, person = Overlays(store), standing(store)
    seeing = [camera for camera in store.cameras if camera.sees(head_of(person))]
    assert seeing
    for camera in seeing:
        drawn = overlays.draw(camera.id, [person], MARKS)
        (x, y), _ = camera.project(head_of(person))
        head, box = numbers(drawn, "head"), numbers(drawn, "box")
        assert abs(head["cx"] - x) < 1
        assert abs(head["cy"] - y) < 1
        assert box["x"] - 1 <= x <= box["x"] + box["width"] + 1
        assert box["y"] - 1 <= y <= box["y"] + box["height"] + 1
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= camera.width_px + 1
        assert box["y"] + box["height"] <= camera.height_px + 1
        assert '<g class="c3" data-visit="v">' in drawn
        assert ">7</text>" in drawn
        assert ("palm" in drawn) == bool(camera.sees(person.reach_m[0]))
        assert f'viewBox="0 0 {camera.width_px} {camera.height_px}"' in drawn


def test_who_is_out_of_sight_or_not_known_is_not_drawn(store: Store) -> None:
    overlays, person = Overlays(store), standing(store)
    away = replace(person, head_m=(500.0, 500.0, 1.6), reach_m=())
    old = Person("v", person.x_m, person.y_m)  # told by an earlier version
    for camera in store.cameras:
        assert "<g" not in overlays.draw(camera.id, [away, old], MARKS)
        assert "c-unknown" in overlays.draw(camera.id, [person], {}) or not camera.sees(head_of(person))
    assert overlays.draw("no such camera", [person], MARKS) == ""
    assert overlays.size("no such camera") == (4, 3)


def test_names_of_visits_are_escaped(store: Store) -> None:
    person = replace(standing(store), visit='"><script>')
    assert not any("<script" in Overlays(store).draw(camera.id, [person], {}) for camera in store.cameras)


def test_the_run_tells_heads_and_hands() -> None:
    store, predictor = stream.store(), stream.predictor()
    setup, state = set_up(store, predictor)
    trails, people = Trails(store), list[tuple[Person, ...]]()
    for tick in Ticker(store).ticks(stream.shoppers(1)):
        state, _ = step(state, tick, predictor, setup)
        people.append(trails.people(state, {shopper.visit: shopper.visit for shopper in state.shoppers}))
    told = max(people, key=len)
    assert len(told) == 1
    assert told[0].head_m is not None
    assert abs(told[0].head_m[0] - told[0].x_m) < 0.5
    assert 1.0 < told[0].head_m[2] < 2.2
    assert PEOPLE.validate_json(PEOPLE.dump_json(told)) == told
