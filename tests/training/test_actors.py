"""Events with company, as shards: a small shop's truth agrees with its events and its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.messages import EventKind, TruthEvent
from openaisle.model.actor import FRAMES
from openaisle.sim.engine import Simulation
from openaisle.sim.scenario import load_scenario
from openaisle.sim.shopper import STEP_NS
from openaisle.sim.world import Person, Snapshot
from openaisle.tokens.actor import (
    ACTOR_CELLS,
    ACTOR_FEATURES,
    ACTOR_PX,
    ACTOR_SLOTS,
    GRASPS_M,
    MAX_ACTOR_VIEWS,
    MIDDLE_FRAME,
    actor_views,
    fronts_seen,
    grasps,
)
from openaisle.training import actors
from openaisle.training.actors import (
    IDLE_QUIET_S,
    KEPT_ALONE,
    KEPT_FAR,
    KEPT_SHARED,
    KEPT_STAFF,
    MOST_LANES,
    MOST_PEOPLE,
    SLOT_STEPS,
    Happening,
    frozen,
    happenings,
    make_actors,
    same_scale,
    worth,
)
from openaisle.training.frames import ShardSpec
from openaisle.training.glance import load_windows
from tests.training.test_glance import SEED, holding, small_shop

Shard = dict[str, NDArray[Any]]
BUSY = load_scenario("neighbours").model_copy(
    update={"duration_s": 32.0, "shoppers": (3, 3), "picks": (4, 4), "arrival_s": (0.5, 2.0), "together": 1.0}
)
SLOT_NS = SLOT_STEPS * STEP_NS
SHOP = small_shop()
TABLE = [lane.index for lane in SHOP.lanes if lane.id.startswith("table")]  # three lanes on one scale
ALONE = next(lane.index for lane in SHOP.lanes if lane.id.startswith("wall"))  # on a scale of its own
BARE = next(lane.index for lane in SHOP.lanes if lane.scale < 0)


class Watched(Simulation):
    """Remembers what happened: instant, lane, who."""

    told: list[tuple[int, int, str]]

    def steps(self) -> Iterator[Snapshot]:
        self.told = []
        for snapshot in super().steps():
            for event in snapshot.events:
                if event.lane:
                    self.told.append((snapshot.time_ns, self.store.lane_index[event.lane], event.shopper))
            yield snapshot


@dataclass
class Made:
    """A shard, what it was made of, and all events of its simulation."""

    shard: Shard
    kept: list[tuple[Happening, list[Snapshot]]]
    told: list[tuple[int, int, str]]

    def windows(self, number: int) -> NDArray[np.int64]:
        return np.flatnonzero(self.shard["event"] == number)

    def near(self, number: int) -> list[tuple[float, str]]:
        """Seconds from an event's instant, and by whom, of all that happened on its scale."""
        happening, frames = self.kept[number]
        middle_ns = frames[MIDDLE_FRAME].time_ns
        return [((at - middle_ns) / 1e9, who) for at, lane, who in self.told if same_scale(SHOP, lane, happening.lane)]


def made(path: Path, seed: int = SEED, most: int = 24) -> Made:
    """A shard of a small shop with three shoppers who go to the same shelves."""
    kept: list[tuple[Happening, list[Snapshot]]] = []
    simulations: list[Watched] = []

    def watched(*args: Any) -> Watched:
        simulations.append(Watched(*args))
        return simulations[0]

    def remembered(simulation: Simulation, rng: np.random.Generator) -> Iterator[tuple[Happening, list[Snapshot]]]:
        for each in happenings(simulation, rng):
            kept.append(each)
            yield each

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actors, "open_store", lambda text, seed: SHOP)
        patch.setattr(actors, "load_scenario", lambda name: BUSY)
        patch.setattr(actors, "Simulation", watched)
        patch.setattr(actors, "happenings", remembered)
        patch.setattr(actors, "IDLE_EVERY_S", 3.0)
        patch.setattr(actors, "MOST_EVENTS", most)
        number = make_actors(ShardSpec("tiny", "neighbours", seed), path)
    shard: Shard = {**load_windows(path)} if number else {}
    assert number == len(np.unique(shard.get("event", np.zeros(0))))
    return Made(shard, kept, simulations[0].told)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Made:
    path = tmp_path_factory.mktemp("actors") / "events.npz"
    out = made(path)
    assert not list(path.parent.glob("*.tmp*"))
    assert len(np.unique(out.shard["event"])) == len(out.kept)  # cameras see all of this shop
    assert {bool(happening.actors) for happening, _ in out.kept} == {False, True}
    return out


def test_a_shard_is_of_one_length_and_its_types(simulated: Made) -> None:
    w = len(simulated.shard["event"])
    cells = (ACTOR_CELLS, ACTOR_CELLS)
    expected = {
        "frames": (np.uint8, (ACTOR_PX, ACTOR_PX, 3 * FRAMES)), "area": (np.uint8, cells),
        "features": (np.float32, (ACTOR_FEATURES,)), "mask": (np.uint8, (*cells, 3)),
        "heads": (np.float32, (MOST_PEOPLE, 2)), "present": (np.bool_, (MOST_PEOPLE,)),
        "acts": (np.bool_, (MOST_PEOPLE,)), "event": (np.int32, ()), "hand": (np.float32, (2,)),
        "places": (np.float32, (MOST_LANES, len(GRASPS_M), 2)), "lane": (np.int32, ()),
    }  # fmt: skip
    assert {name: (v.dtype.type, v.shape) for name, v in simulated.shard.items()} == {
        name: (kind, (w, *shape)) for name, (kind, shape) in expected.items()
    }
    assert np.diff(simulated.shard["event"], prepend=0).max() == 1  # ascending, none left out
    assert simulated.shard["event"][0] == 0
    assert 1 <= np.bincount(simulated.shard["event"]).max() <= MAX_ACTOR_VIEWS


def test_who_acts_is_whose_event_it_was(simulated: Made) -> None:
    away = []
    for number, (happening, _) in enumerate(simulated.kept):
        for who in happening.actors:
            gaps = [abs(at) for at, name in simulated.near(number) if name == who]
            assert gaps, "the actor did nothing on that scale"
            away.append(min(gaps))
    assert len(away) > 5
    assert max(away) < 0.5
    assert np.median(away) < 0.15


def test_nobody_acts_where_nothing_happens(simulated: Made) -> None:
    idle = [number for number, (happening, _) in enumerate(simulated.kept) if not happening.actors]
    assert len(idle) > 3
    for number in idle:
        assert not simulated.shard["acts"][simulated.windows(number)].any()
        assert simulated.shard["present"][simulated.windows(number)].any()
        assert all(abs(at) > 0.9 for at, _ in simulated.near(number))


def lanes_of(lane: int) -> list[int]:
    """Those on the scale of a lane."""
    return [other.index for other in SHOP.lanes if same_scale(SHOP, other.index, lane)]


def test_hands_and_lanes_are_those_of_the_event(simulated: Made) -> None:
    away = []
    for number, (happening, frames) in enumerate(simulated.kept):
        shelf = lanes_of(happening.lane)
        views = actor_views([SHOP.lanes[lane] for lane in shelf], SHOP.cameras, fronts_seen(SHOP))
        for row, view in zip(simulated.windows(number), views, strict=True):
            camera = SHOP.cameras[view.camera]
            places, hand = simulated.shard["places"][row], simulated.shard["hand"][row]
            for n, lane in enumerate(shelf):
                assert places[n] == pytest.approx(view.place(camera, grasps(SHOP.lanes[lane])), abs=1e-5)
            assert (places[len(shelf) :] == 9.0).all()
            if not happening.actors:
                assert simulated.shard["lane"][row] == -1
                assert (hand == 9.0).all()
                continue
            assert shelf[simulated.shard["lane"][row]] == happening.lane
            (taker,) = [p for p in frames[MIDDLE_FRAME].people if p.shopper == happening.taker]
            assert hand == pytest.approx(view.place(camera, taker.hands_m[happening.hand]), abs=1e-5)
            away.append(np.linalg.norm(places[shelf.index(happening.lane)] - hand, axis=-1).min())
    assert np.median(away) < 0.15  # half windows: it is in the lane, or has just left it
    assert len(away) > 10


def test_truth_is_of_the_people_at_the_instant(simulated: Made) -> None:
    lanes = SHOP.lanes
    for number, (happening, frames) in enumerate(simulated.kept):
        people = sorted(
            frames[MIDDLE_FRAME].people,
            key=lambda p: float(np.linalg.norm(p.floor_m[:2] - lanes[happening.lane].front_m[:2])),
        )
        for row in simulated.windows(number):
            assert simulated.shard["present"][row].tolist() == [n < len(people) for n in range(MOST_PEOPLE)]
            acts = [people[n].shopper for n in np.flatnonzero(simulated.shard["acts"][row])]
            assert set(acts) == set(happening.actors)
            assert (simulated.shard["heads"][row, len(people) :] == 9.0).all()
        views = len(simulated.windows(number))
        assert 1 <= views <= len(SHOP.cameras)


def test_heads_lie_where_windows_show_people(simulated: Made) -> None:
    """Of what is at a head's place, most is that person: the actor in one plane, and the others in another."""
    s = simulated.shard
    inside = (np.abs(s["heads"]) < 0.95).all(-1) & s["present"]
    cell = np.floor((s["heads"].clip(-0.99, 0.99) + 1) * ACTOR_CELLS / 2).astype(int)
    window = np.arange(len(cell))[:, None]
    shown = s["mask"][window, cell[..., 1], cell[..., 0]]  # [W, P, 3]
    assert inside[s["acts"]].sum() > 8
    assert (shown[..., 0][inside & s["acts"]] > 128).mean() > 0.7  # others stand before some
    assert (shown[..., 2][inside & ~s["acts"]] > 128).mean() > 0.6
    assert (shown[..., 0][inside & ~s["acts"]] > 128).mean() < 0.3
    assert not (s["mask"][~s["acts"].any(1)][..., :2] > 0).any()  # nobody's hand where nobody does anything
    assert (s["heads"][s["present"]] != 9.0).any(-1).mean() > 0.8


def test_masks_tell_actors_and_their_hands_from_others(simulated: Made) -> None:
    s = simulated.shard
    assert np.allclose(s["mask"][..., 0].astype(int) + s["mask"][..., 2] <= 256, True)
    hands = s["mask"][..., 1][s["acts"].any(1)]
    assert (hands > 100).any((1, 2)).mean() > 0.3
    actor_cells, hand_cells = (s["mask"][s["acts"].any(1)][..., n].astype(float).sum() for n in (0, 1))
    assert 0.005 < hand_cells / actor_cells < 0.3


def frame_of(shard: Shard, number: int) -> NDArray[np.float64]:
    """Frame 1 + n of all windows, or the background (0), in cells' means [W, 48, 48, 3]."""
    part = shard["frames"][..., 3 * number : 3 * number + 3].astype(np.float64)
    out: NDArray[np.float64] = part.reshape(-1, ACTOR_CELLS, 2, ACTOR_CELLS, 2, 3).mean((2, 4))
    return out


def test_people_are_in_the_frames_and_not_in_the_background(simulated: Made) -> None:
    before = frame_of(simulated.shard, 0)
    shown = simulated.shard["mask"].max(-1)
    change = [np.abs(frame_of(simulated.shard, 1 + n) - before).mean(-1) for n in range(len(ACTOR_SLOTS))]
    assert change[MIDDLE_FRAME][shown > 200].mean() > 20
    assert change[MIDDLE_FRAME][shown == 0].mean() < 6
    fit = [change_[shown > 200].mean() - change_[shown == 0].mean() for change_ in change]
    assert int(np.argmax(fit)) == MIDDLE_FRAME  # masks are of that frame


def test_a_shard_depends_on_its_seed_alone(tmp_path: Path) -> None:
    one, again, other = (made(tmp_path / f"{n}.npz", seed, most=2) for n, seed in enumerate((SEED, SEED, SEED + 1)))
    assert one.shard.keys() == again.shard.keys()
    assert all(np.array_equal(values, again.shard[name]) for name, values in one.shard.items())
    assert not np.array_equal(one.shard["features"], other.shard["features"])


def test_no_events_make_no_shard(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actors, "worth", lambda *_: 0.0)
        assert not made(tmp_path / "none.npz").kept
    assert not list(tmp_path.iterdir())


@cache
def somebody() -> Snapshot:
    """An instant with a person."""
    return frozen(holding()[1])


def name_of(lane: int) -> str:
    """A lane's id; "" of none."""
    return SHOP.lanes[lane].id if lane >= 0 else ""


class Fake:
    """A simulation of so many steps in which somebody stands about, and of which is told what happens in which step."""

    def __init__(self, people: tuple[Person, ...], events: dict[int, list[tuple[str, int]]], steps: int = 160) -> None:
        self.store, self.people, self.events, self.count = SHOP, people, events, steps

    def steps(self) -> Iterator[Snapshot]:
        template = frozen(somebody())
        items = template.items
        for step in range(self.count):
            told = tuple(
                TruthEvent(step * STEP_NS, step * STEP_NS, EventKind.TAKE, who, who, "", 1, name_of(lane), "right")
                for who, lane in self.events.get(step, [])
            )
            items.world_from_item[:] = step  # changed in place, as the engine does
            yield replace(template, time_ns=step * STEP_NS, people=self.people, items=items, events=told)


def person(shopper: str, lane: int = ALONE, hand_away_m: float = 0.1, body_away_m: float = 0.5) -> Person:
    """Somebody before a lane."""
    someone, at = somebody().people[0], SHOP.lanes[lane]
    body = at.front_m + body_away_m * at.outward_m
    hands = np.array([at.front_m + hand_away_m * at.outward_m] * 2)
    return replace(someone, shopper=shopper, floor_m=body[:2], hands_m=hands, staff=False)


def found(
    monkeypatch: pytest.MonkeyPatch, events: dict[int, list[tuple[str, int]]], idle_s: float = 1e9, steps: int = 160
) -> tuple[int, list[tuple[Happening, list[Snapshot]]]]:
    """What is found of a simulation with ann and bob, and the step of its first slot."""
    monkeypatch.setattr(actors, "MISSED_SD_SLOTS", 0.0)
    monkeypatch.setattr(actors, "IDLE_EVERY_S", idle_s)
    monkeypatch.setattr(actors, "worth", lambda *_: 1.0)
    fake: Any = Fake((person("ann"), person("bob")), events, steps)
    phase = int(np.random.default_rng(1).integers(SLOT_STEPS))
    return phase, list(happenings(fake, np.random.default_rng(1)))


@pytest.mark.parametrize("step", range(60, 64))
def test_frames_are_taken_around_an_event(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    phase, ((happening, frames),) = found(monkeypatch, {step: [("ann", ALONE)]})
    assert happening.actors == ("ann",)
    assert happening.lane == ALONE
    assert abs(phase + happening.slot * SLOT_STEPS - step) <= SLOT_STEPS / 2
    at = [frame.time_ns // STEP_NS for frame in frames]
    assert at == [phase + (happening.slot + s) * SLOT_STEPS for s in ACTOR_SLOTS]
    assert [float(frame.items.world_from_item.max()) for frame in frames] == at  # of then, and not of now


def test_what_is_not_seen_for_long_enough_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the beginning and the end of a simulation; and what changes hands is nobody's on a shelf."""
    assert found(monkeypatch, {6: [("ann", ALONE)], 155: [("ann", ALONE)], 60: [("ann", -1)]})[1] == []


def test_two_at_once_on_one_scale_are_both_right(monkeypatch: pytest.MonkeyPatch) -> None:
    def acting(events: dict[int, list[tuple[str, int]]]) -> list[tuple[str, ...]]:
        return [happening.actors for happening, _ in found(monkeypatch, events)[1]]

    one, other = TABLE[:2]
    assert acting({60: [("ann", one), ("bob", other)]}) == [("ann", "bob")] * 2
    assert acting({60: [("ann", one)], 63: [("bob", other)]}) == [("ann", "bob")] * 2
    assert acting({60: [("ann", one)], 90: [("bob", other)]}) == [("ann",), ("bob",)]
    assert acting({60: [("ann", one), ("bob", ALONE)]}) == [("ann",), ("bob",)]
    assert acting({60: [("ann", BARE), ("bob", BARE)]}) == [("ann", "bob")] * 2
    assert acting({60: [("ann", one)], 62: [("ann", other)]}) == [("ann",)] * 2
    both = [happening for happening, _ in found(monkeypatch, {60: [("ann", one), ("bob", other)]})[1]]
    assert [(h.taker, h.lane, h.hand) for h in both] == [("ann", one, 1), ("bob", other, 1)]  # each with their own hand


def test_lanes_without_a_scale_are_their_own() -> None:
    bare = [lane.index for lane in SHOP.lanes if lane.scale < 0]
    assert len(bare) > 1
    assert not same_scale(SHOP, bare[0], bare[1])
    assert same_scale(SHOP, bare[0], bare[0])
    assert same_scale(SHOP, TABLE[0], TABLE[2])
    assert not same_scale(SHOP, TABLE[0], ALONE)


def quiet_around(monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], list[float]]:
    """Seconds from idle instants to the event before each and after it, of a lane at which something happens at times.

    All lanes that are near are on its scale, so that none is idle because of another one.
    """
    monkeypatch.setattr(actors, "idle_lane", lambda *_: ALONE)
    steps = [120 * n for n in range(1, 40)]
    phase, all_found = found(monkeypatch, {step: [("ann", ALONE)] for step in steps}, idle_s=0.4, steps=4800)
    idle = [phase + happening.slot * SLOT_STEPS for happening, _ in all_found if not happening.actors]
    assert len(idle) > 60
    before = [min(at - s for s in steps if s <= at) for at in idle if at >= steps[0]]
    after = [min(s - at for s in steps if s >= at) for at in idle if at <= steps[-1]]
    return [gap * STEP_NS / 1e9 for gap in before], [gap * STEP_NS / 1e9 for gap in after]


def test_idle_instants_are_well_after_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    before, _ = quiet_around(monkeypatch)
    assert IDLE_QUIET_S - 0.01 <= min(before) < IDLE_QUIET_S + 0.3


def test_idle_instants_are_well_before_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    _, after = quiet_around(monkeypatch)
    assert IDLE_QUIET_S - 0.01 <= min(after) < IDLE_QUIET_S + 0.3


def test_idle_lanes_are_before_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    _, all_found = found(monkeypatch, {}, idle_s=0.6, steps=800)
    assert len(all_found) > 20
    near = {lane.index for lane in SHOP.lanes if np.linalg.norm(lane.front_m - person("ann").hands_m[0]) < 0.8}
    assert {happening.lane for happening, _ in all_found} <= near
    assert len({happening.lane for happening, _ in all_found}) > 2


def test_company_makes_an_event_worth_keeping() -> None:
    template = somebody()

    def chance(*people: Person, acts: tuple[str, ...] = ("ann",), lane: int = ALONE) -> float:
        return worth(SHOP, replace(template, people=people), Happening(10, lane, acts))

    ann = person("ann")
    assert chance(ann) == KEPT_ALONE
    assert chance(ann, person("bob", hand_away_m=0.4)) == 1.0
    assert chance(ann, person("bob", hand_away_m=0.6, body_away_m=1.2)) == KEPT_FAR
    assert chance(ann, person("bob", hand_away_m=2.0, body_away_m=2.4)) == KEPT_ALONE
    assert chance(ann, person("bob", hand_away_m=0.4), acts=("ann", "bob")) == KEPT_ALONE  # both were it
    assert chance(person("ann", TABLE[0]), lane=TABLE[0]) == KEPT_SHARED  # in which lane is a question, too
    assert chance(person("ann", TABLE[0]), person("bob", TABLE[1]), lane=TABLE[0]) == 1.0
    assert chance(replace(ann, staff=True), person("bob")) == KEPT_STAFF
    assert chance(ann, replace(person("bob"), staff=True)) == 1.0
    assert chance(ann, person("bob"), acts=()) == 1.0
    assert chance(ann, acts=()) < 1.0


def test_an_instant_before_anybody_came_is_no_event() -> None:
    simulation, snapshot = holding()
    shop = actors._Shop(SHOP, simulation, np.random.default_rng(0))
    empty = replace(snapshot, people=())
    told = shop.event(Happening(10, ALONE, ()), [empty] * len(ACTOR_SLOTS))
    assert told is None
