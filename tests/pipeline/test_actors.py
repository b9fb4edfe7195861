"""Who moved what: the last seconds are kept as film, each look is taken once, and the receipt goes to who is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from openaisle.actors import FAR_SLOTS, KEPT, LEAST_LOG, Film, Looks, filmed, packed, unpacked, views_of
from openaisle.messages import VideoFrame
from openaisle.pipeline import film, run, set_up, step
from openaisle.predictor import Arrays, Float32, TickView, UInt8, WrittenEvent
from openaisle.state import State
from openaisle.store.geometry import Float
from openaisle.store.schema import ScaleSpec
from openaisle.store.store import Store
from openaisle.tokens.actor import (
    ACTOR_CELLS,
    ACTOR_PX,
    ACTOR_SLOTS,
    DOUBT,
    MIDDLE_FRAME,
    NOBODY,
    OUTSIDE,
    ActorView,
    actor_views,
    fronts_seen,
    grasps,
)
from openaisle.tokens.journey import FRAME_HZ, lane_table
from openaisle.tokens.scales import RATE_HZ
from openaisle.tokens.tick import Ticker
from openaisle.weighing.associate import Hands
from openaisle.weighing.interactions import LONGEST
from openaisle.weighing.memory import Slot, Weighing
from openaisle.weighing.witness import ALONE_SEEN, SEEN, Look, Told
from tests.pipeline.scripted import START, Scripted, films, shopping, with_film
from tests.tokens.corner import BEANS, COLA, GRAMS, HEIGHT_PX, WIDTH_PX, corner_store

STORE = corner_store()
VIEWS = views_of(STORE)
GATES = [(0.5, "entry", "ann"), (0.7, "entry", "bob")]
ANN, BOB = np.array([2.5, 2.1, 1.6]), np.array([3.1, 2.0, 1.7])  # heads
NOWHERE = np.full(3, np.nan)
FRONT = STORE.lanes[0].front_m


def grey(level: int) -> UInt8:
    return np.full((HEIGHT_PX, WIDTH_PX, 3), level, np.uint8)


def shown(slot: int, cameras: tuple[int, ...] = (0, 1)) -> dict[int, UInt8]:
    """Pictures that tell their slot and camera."""
    return {camera: grey(20 + 2 * slot + camera) for camera in cameras}


def reel(slots: int, **without: tuple[int, ...]) -> Film:
    """A film of so many slots; `a` and `b` are the slots that a camera misses."""
    out = Film()
    for slot in range(slots):
        cameras = tuple(c for c, name in enumerate("ab") if slot not in without.get(name, ()))
        out = filmed(out, [shown(slot, cameras)])
    return out


def sure_of(head: Float, hand: Float, views: tuple[ActorView, ...]) -> Float32:
    """Log-chances [V, 2, 2306] of who is quite sure that head and hand are at these points [3]."""
    told = np.full((len(views), 2, OUTSIDE + 2), -14.0, np.float32)
    for v, view in enumerate(views):
        for n, point in enumerate((head, hand)):
            place = view.place(STORE.cameras[view.camera], point)
            u, w = np.clip(np.round((place + 1) * ACTOR_CELLS / 2 - 0.5), 0, ACTOR_CELLS - 1).astype(int)
            if (np.abs(place) < 1).all():
                cells = told[v, n, :OUTSIDE].reshape(ACTOR_CELLS, ACTOR_CELLS)
                cells[max(0, w - 1) : w + 2, max(0, u - 1) : u + 2] = -2.2
            else:
                told[v, n, OUTSIDE] = 0.0
    return told


class Sees(Scripted):
    """Says of every event what it is told to, and remembers what it was asked."""

    def __init__(self, head: Float | None, hand: Float = FRONT) -> None:
        super().__init__()
        self.head, self.hand = head, hand
        self.asked: list[tuple[UInt8, UInt8, Float32]] = []

    def actor(self, frames: UInt8, area: UInt8, features: Float32) -> Float32 | None:
        self.asked.append((frames, area, features))
        if self.head is None:
            return None
        known = [view for views in VIEWS.values() for view in views]
        mine = tuple(next(v for v in known if np.array_equal(v.features, f)) for f in features)
        return sure_of(self.head, self.hand, mine)


def looks(eyes: Sees, kept: Film | None = None, heads: list[Float] | None = None, first: int = 0) -> Looks:
    """Of a film of 40 slots, of ann and bob who stand there all the time."""
    people = np.tile(np.array(heads or [ANN, BOB]), (40, 1, 1))
    return Looks(kept or reel(40), shown(0), VIEWS, STORE, eyes, people, first)


def sample_of(slot: int) -> int:
    return slot * RATE_HZ // FRAME_HZ


def test_the_shop_of_these_tests_sees_both_heads_before_both_scales() -> None:
    assert set(VIEWS) == {0, 1}  # the table has none
    for views in VIEWS.values():
        assert sorted(view.camera for view in views) == [0, 1]
        for view in views:
            places = view.place(STORE.cameras[view.camera], np.array([ANN, BOB]))
            assert np.linalg.norm(places[0] - places[1]) > 6 * 2 / ACTOR_CELLS
            assert (np.abs(view.place(STORE.cameras[view.camera], grasps(STORE.lanes[0]))) < 1).all()
    assert (np.abs(VIEWS[0][0].place(STORE.cameras[1], np.array([ANN, BOB]))) < 1).all()


def test_a_picture_on_film_is_the_picture() -> None:
    rows, columns = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX]
    picture = np.stack([rows, columns, 255 - rows], -1).astype(np.uint8)  # red, green and blue differ
    again = unpacked(packed(picture))
    assert again.shape == picture.shape
    assert again.dtype == np.uint8
    assert np.abs(again.astype(int) - picture).mean() < 3
    noise = np.random.default_rng(0).integers(0, 60, picture.shape).astype(np.uint8) + picture // 2
    assert len(packed(noise)) < 0.6 * noise.nbytes


def test_a_film_holds_the_longest_interaction_and_no_more() -> None:
    rolling = Film()
    for tick in range(60):
        rolling = filmed(rolling, [shown(0) for _ in range(FRAME_HZ)])
        assert rolling.slot == FRAME_HZ * (tick + 1)
        assert len(rolling.shots) == min(KEPT, rolling.slot)
    assert LONGEST * FRAME_HZ // RATE_HZ + ACTOR_SLOTS[-1] - ACTOR_SLOTS[0] < KEPT
    assert sum(len(data) for shot in rolling.shots for data in shot.values()) < 0.1 * KEPT * 2 * grey(0).nbytes


def test_a_film_is_not_changed_by_what_comes_after() -> None:
    one = reel(7)
    shots = one.shots
    two = filmed(one, [{}, shown(8)])
    assert (one.slot, one.shots) == (7, shots)
    assert two.shots[:7] == shots
    assert [set(shot) for shot in two.shots[7:]] == [set(), {0, 1}]


def levels(frames: UInt8) -> list[int]:
    """The grey of each frame, the background's first."""
    return [int(frames[..., 3 * n : 3 * n + 3].mean().round()) for n in range(1 + len(ACTOR_SLOTS))]


@pytest.mark.parametrize("slots", [40, KEPT + 40])
def test_frames_are_those_around_the_instant(slots: int) -> None:
    """Before the film is full and after."""
    at = slots - 12
    rolling = Film()
    for n in range(slots):
        rolling = filmed(rolling, [{c: grey(n % 100 + 50 * c) for c in (0, 1)}])
    for view in VIEWS[0]:
        frames = looks(Sees(BOB), rolling).frames(view, at)
        assert frames is not None
        assert frames.shape == (ACTOR_PX, ACTOR_PX, 3 * (1 + len(ACTOR_SLOTS)))
        expected = [20 + view.camera, *((at + s) % 100 + 50 * view.camera for s in ACTOR_SLOTS)]
        assert levels(frames) == pytest.approx(expected, abs=1)


def test_a_missing_picture_is_replaced_by_one_near_in_time() -> None:
    at, view = 20, VIEWS[0][0]
    name = "ab"[view.camera]
    missed = reel(40, **{name: (19, 20)})
    frames = looks(Sees(BOB), missed).frames(view, at)
    assert frames is not None
    wanted = [at + s for s in ACTOR_SLOTS]
    taken = [(level - 20 - view.camera) / 2 for level in levels(frames)[1:]]
    away = [abs(a - b) for a, b in zip(taken, wanted, strict=True)]
    assert [n for n, gap in enumerate(away) if gap > 0.6] == [MIDDLE_FRAME - 1, MIDDLE_FRAME]
    assert max(away) == pytest.approx(1, abs=0.6)
    thinned = reel(40, **{name: tuple(n for n in range(40) if n % 5 != 2)})  # one picture a second
    assert looks(Sees(BOB), thinned).frames(view, at) is not None


def test_a_view_that_misses_too_much_says_nothing() -> None:
    at = 20
    for view in VIEWS[0]:
        name = "ab"[view.camera]
        gap = reel(40, **{name: tuple(range(at - FAR_SLOTS, at + FAR_SLOTS + 1))})
        assert looks(Sees(BOB), gap).frames(view, at) is None
        assert looks(Sees(BOB), reel(40, **{name: tuple(range(40))})).frames(view, at) is None
        assert looks(Sees(BOB), reel(at + 5 - FAR_SLOTS)).frames(view, at) is None  # it is not over yet
        assert looks(Sees(BOB), reel(at + 6 - FAR_SLOTS)).frames(view, at) is not None
        assert looks(Sees(BOB), reel(at + 6)).frames(view, at + KEPT) is None
        asked = looks(Sees(BOB))
        asked.backgrounds = {c: picture for c, picture in shown(0).items() if c != view.camera}
        assert asked.frames(view, at) is None
        long = Film()
        for _ in range(KEPT + 30):
            long = filmed(long, [shown(0)])
        assert looks(Sees(BOB), long).frames(view, 30 + FAR_SLOTS) is not None
        assert looks(Sees(BOB), long).frames(view, 30) is None  # it has been forgotten


def test_views_that_miss_too_much_are_left_out_of_what_is_asked() -> None:
    eyes = Sees(BOB)
    near, far = VIEWS[1]
    gap = reel(40, **{"ab"[near.camera]: tuple(range(15, 30))})
    look = looks(eyes, gap)(1, sample_of(20))
    ((frames, area, features),) = eyes.asked
    assert len(frames) == 1
    assert np.array_equal(area[0], far.area)
    assert np.array_equal(features[0], far.features)
    assert look is not None
    assert look.people.argmax() == 1
    looks(eyes)(1, sample_of(20))
    frames, area, features = eyes.asked[1]
    assert np.array_equal(area, np.stack([near.area, far.area]))
    assert np.array_equal(features, np.stack([near.features, far.features]))
    assert [levels(f)[0] for f in frames] == pytest.approx([20 + near.camera, 20 + far.camera], abs=1)


def test_each_look_is_taken_once() -> None:
    eyes = Sees(BOB)
    seeing = looks(eyes)
    for _ in range(3):
        for sample in range(sample_of(20), sample_of(22)):
            for scale in (0, 1):
                assert seeing(scale, sample) is not None
    assert len(eyes.asked) == 4  # two slots, two scales
    assert seeing(0, sample_of(20)) is seeing(0, sample_of(21) - 1)
    blind = Sees(None)
    seeing = looks(blind)
    assert seeing(0, sample_of(20)) is None
    assert seeing(0, sample_of(20)) is None
    assert len(blind.asked) == 1


def test_nothing_is_seen_where_there_is_nobody_or_nothing() -> None:
    eyes, at = Sees(BOB), sample_of(20)
    assert looks(eyes)(7, at) is None  # no such scale, or no camera sees it
    assert looks(eyes, Film())(0, at) is None
    assert looks(eyes, heads=[NOWHERE, NOWHERE])(0, at) is None
    assert looks(eyes, first=21)(0, at) is None  # nothing is remembered of that time
    assert looks(eyes, first=-20)(0, at) is None  # nor of the future
    nobody = Looks(reel(40), shown(0), VIEWS, STORE, eyes, np.zeros((40, 0, 3)), 0)
    assert nobody(0, at) is None
    assert eyes.asked == []
    assert looks(eyes, first=20)(0, at) is not None


@pytest.mark.parametrize("who", [0, 1])
def test_chances_are_of_those_who_are_there(who: int) -> None:
    look = looks(Sees((ANN, BOB)[who]), heads=[ANN, BOB, NOWHERE])(0, sample_of(20))
    assert look is not None
    assert look.people.dtype == np.float64
    assert np.exp(look.people[:2]).sum() == pytest.approx(1, abs=1e-3)
    assert int(look.people.argmax()) == who
    assert look.people[who] > np.log(0.95)
    assert look.people[2] == LEAST_LOG
    assert np.isfinite(look.people).all()
    alone = looks(Sees(BOB), heads=[NOWHERE, ANN])(0, sample_of(20))
    assert alone is not None
    assert alone.people.tolist() == pytest.approx([LEAST_LOG, 0.0])


def test_who_walks_is_looked_for_where_they_were() -> None:
    """Each at their own head's place in that slot."""
    seeing = looks(Sees(BOB))
    seeing.heads_m = seeing.heads_m.copy()
    seeing.heads_m[25] = seeing.heads_m[25, ::-1]  # they have changed places
    earlier, later = seeing(0, sample_of(20)), seeing(0, sample_of(25))
    assert earlier is not None
    assert later is not None
    assert [int(earlier.people.argmax()), int(later.people.argmax())] == [1, 0]
    shifted = Looks(reel(40), shown(0), VIEWS, STORE, Sees(BOB), seeing.heads_m[10:], 10)(0, sample_of(25))
    assert shifted is not None
    assert shifted.people == pytest.approx(later.people)


def test_no_chance_is_ever_nothing() -> None:
    class Certain(Sees):
        def actor(self, frames: UInt8, area: UInt8, features: Float32) -> Float32 | None:
            told = super().actor(frames, area, features)
            assert told is not None
            return np.where(told < -5, -np.inf, told).astype(np.float32)

    look = looks(Certain(BOB), heads=[ANN, BOB])(0, sample_of(20))
    assert look is not None
    assert np.isfinite(look.people).all()
    assert look.people[0] <= 2 * np.log(DOUBT) + 0.1  # two views
    assert min(look.lanes.values()) >= LEAST_LOG


def shared_store(grams: float = GRAMS[COLA]) -> Store:
    """The corner with both wall lanes on one scale, and their products as heavy as each other."""
    scale = ScaleSpec(id="w1", lanes=("wall.s1.l1", "wall.s1.l2"))
    products = tuple(p.model_copy(update={"weight_grams": grams}) for p in STORE.products)
    return replace(STORE, spec=STORE.spec.model_copy(update={"scales": (scale,)}), products=products)


def test_a_scale_of_several_lanes_is_told_where_the_hand_was() -> None:
    store = shared_store()
    views = views_of(store)
    assert list(views) == [0]
    assert views[0][0].centre_px == pytest.approx(
        actor_views(store.lanes[:2], store.cameras, fronts_seen(store))[0].centre_px
    )

    class Hand(Sees):
        def actor(self, frames: UInt8, area: UInt8, features: Float32) -> Float32 | None:
            return sure_of(BOB, self.hand, views[0])

    for lane in (0, 1):
        eyes = Hand(BOB, grasps(store.lanes[lane])[1])
        look = Looks(reel(40), shown(0), views, store, eyes, np.tile([ANN, BOB], (40, 1, 1)), 0)(0, sample_of(20))
        assert look is not None
        assert set(look.lanes) == {0, 1}
        assert np.exp(list(look.lanes.values())).sum() == pytest.approx(1, abs=1e-3)
        assert look.against(lane) == 0.0
        assert look.against(1 - lane) > 3
    lonely = looks(Sees(BOB))(1, sample_of(20))
    assert lonely is not None
    assert lonely.lanes == {1: pytest.approx(0.0)}


def test_what_is_seen_is_weighed_with_the_hands() -> None:
    asked: list[tuple[int, int]] = []
    seen = np.array([-2.0, -0.1])

    def told(scale: int, sample: int) -> Look | None:
        asked.append((scale, sample))
        return Look(seen, {0: 0.0})

    at = np.tile(np.array([[FRONT] * 2, [FRONT] * 2]), (60, 1, 1, 1))
    table = lane_table(STORE)
    hands = Hands(0, ("ann", "bob"), (0, 1), at, np.full((60, 2, 2), 0.05), (), told)
    move = ("take", 0, 0)
    unlooked = replace(hands, looks=lambda scale, sample: None)
    away = hands.belief(table, move, 100, ()) - unlooked.belief(table, move, 100, ())
    assert away == pytest.approx(ALONE_SEEN * np.stack([seen, seen], axis=1))
    said = (Told("e", 0, 0, 100, "take", 0, 1, {"ann": 0.5, "bob": 0.5}, 0.9),)
    away = hands.belief(table, move, 100, said) - unlooked.belief(table, move, 100, said)
    assert away == pytest.approx(SEEN * np.stack([seen, seen], axis=1))
    assert asked == [(0, 100)] * 2
    group = replace(hands, visits=("ann", "ann"))  # one receipt, whoever of them it was
    assert np.array_equal(group.belief(table, move, 100, ()), unlooked.belief(table, move, 100, ()))
    assert len(asked) == 2


def test_heads_are_remembered_beside_hands() -> None:
    hands = (np.zeros((2, 3), np.float32), np.ones(2, np.float32))
    slots = (Slot({3: hands}, {3: ANN.astype(np.float32)}), Slot({}), Slot({5: hands}, {5: BOB.astype(np.float32)}))
    memory = Weighing(slots=slots)
    memory = replace(memory, watch=replace(memory.watch, end=40))  # two seconds: ten slots
    heads = memory.heads((5, 3))
    assert memory.first == 7 == memory.hands(("b", "a"), (5, 3), ()).first
    assert heads.shape == (3, 2, 3)
    assert heads[0, 1] == pytest.approx(ANN)
    assert heads[2, 0] == pytest.approx(BOB)
    assert np.isnan(heads[1]).all()
    assert np.isnan(heads[0, 0]).all()
    assert memory.heads(()).shape == (3, 0, 3)
    assert Weighing().heads((1, 2)).shape == (0, 2, 3)


def before(point_m: Float, away_m: float) -> Float:
    """A point so far out of the wall shelf."""
    return np.asarray(point_m + away_m * STORE.lanes[0].outward_m)


class Two(Sees):
    """Ann and Bob stand side by side from when they come; Ann's hands are in a lane, Bob's before it. Nothing moves."""

    def __init__(self, head: Float | None, hand: Float = FRONT, people: tuple[float, ...] = ()) -> None:
        super().__init__(head, hand)
        self.spots = ((ANN, before(FRONT, -0.1)), (BOB, before(FRONT, 0.12)))
        self.came = 0
        self.people = people

    def place(self, floor_m: Float32, spread_m: float) -> Arrays:
        fresh = super().place(floor_m, spread_m)
        if len(floor_m):
            head, hand = self.spots[self.came]
            self.came += 1
            fresh["floor"] = head[None, :2].astype(np.float32)
            fresh["head"] = head[None].astype(np.float32)
            fresh["hands"] = np.tile(hand.astype(np.float32), (1, 2, 1))
        return fresh

    def write(self, view: TickView) -> list[WrittenEvent]:
        return [replace(e, people=self.people) for e in super().write(view)] if self.people else []


def bought(
    eyes: Two, steps: list[tuple[float, int, float]], store: Store = STORE, video: bool = True
) -> dict[str, dict[str, int]]:
    """Every visit's receipt in the end: units by the last digits of a GTIN."""
    sent = with_film(shopping(steps, GATES, 16.0), films(16.0))
    *_, last = run(store, sent, eyes, video=video)
    return {
        visit: {line.gtin[-4:]: line.quantity for line in receipt.lines} for visit, receipt in last.receipts.items()
    }


TAKEN, COLAS = [(6.0, 0, -GRAMS[COLA])], {COLA[-4:]: 1}


@pytest.mark.parametrize("people", [(), (0.55, 0.45)])
def test_who_is_seen_gets_it_although_anothers_hand_is_believed_nearer(people: tuple[float, ...]) -> None:
    """Whether somebody wrote it down at once, or nobody did."""
    assert bought(Two(BOB, people=people), TAKEN) == {"ann": {}, "bob": COLAS}
    assert bought(Two(ANN, people=people), TAKEN) == {"ann": COLAS, "bob": {}}
    assert bought(Two(None, people=people), TAKEN) == {"ann": COLAS, "bob": {}}


def test_without_pictures_nothing_is_asked() -> None:
    eyes = Two(BOB)
    assert bought(eyes, TAKEN, video=False) == {"ann": COLAS, "bob": {}}
    assert eyes.asked == []


def test_a_word_that_is_sure_is_not_overturned_by_a_look() -> None:
    assert bought(Two(BOB, people=(0.999, 0.001)), TAKEN) == {"ann": COLAS, "bob": {}}


@pytest.mark.parametrize("lane", [0, 1])
def test_the_lane_is_where_the_hand_was_seen(lane: int) -> None:
    """Of two products of one mass on one scale."""
    store = shared_store()

    class Reaches(Two):
        def actor(self, frames: UInt8, area: UInt8, features: Float32) -> Float32 | None:
            return sure_of(self.spots[0][0], self.hand, views_of(store)[0])

    eyes = Reaches(ANN, hand=grasps(store.lanes[lane])[1])
    between = (store.lanes[0].front_m + store.lanes[1].front_m) / 2
    eyes.spots = ((ANN, between), (BOB, before(between, 0.5)))
    assert bought(eyes, [(6.0, 0, -GRAMS[COLA])], store) == {"ann": {(COLA, BEANS)[lane][-4:]: 1}, "bob": {}}


def test_frames_of_a_run_are_those_of_the_event() -> None:
    """The light goes up a little, in all cameras, at the slot in which something is taken."""
    eyes = Two(BOB)
    bright = START + 6_000_000_000

    def lit() -> Iterator[VideoFrame]:
        for frame in films(16.0):
            yield replace(frame, rgb=frame.rgb + np.uint8(8 * (frame.time_ns >= bright)))

    sent = with_film(shopping([(6.1, 0, -GRAMS[COLA])], GATES, 16.0), lit())
    list(run(STORE, sent, eyes))
    assert len(eyes.asked) == 1  # one event, one slot
    ((frames, _, _),) = eyes.asked
    assert len(frames) == 2
    for window in frames:
        before = 1 + sum(s < 0 for s in ACTOR_SLOTS)
        assert levels(window) == pytest.approx([90] * before + [98] * (len(ACTOR_SLOTS) + 1 - before), abs=1)


def test_film_is_kept_while_somebody_is_there_to_be_seen() -> None:
    eyes = Two(BOB)
    setup, state = set_up(STORE, eyes)
    states: list[State] = []
    sent = with_film(shopping([], [(2.5, "entry", "ann"), (8.0, "exit", "")], 12.0), films(12.0))
    for tick in Ticker(STORE).ticks(sent):
        state, _ = step(state, tick, eyes, setup)
        states.append(state)
        assert state.film.slot == FRAME_HZ * len(states)  # the number of slots, whether anybody is there or not
    taken = [bool(shot) for shot in state.film.shots]
    assert taken[: 2 * FRAME_HZ] == [False] * 2 * FRAME_HZ
    assert all(taken[3 * FRAME_HZ : 7 * FRAME_HZ])
    assert not any(taken[10 * FRAME_HZ :])
    for off in (replace(setup, video=False), replace(setup, scales=False), replace(setup, settles=False)):
        assert film(states[4], tick, off).film is states[4].film


def test_a_look_that_says_nobody_is_undecided_among_people() -> None:
    """That something was moved is the scale's word."""

    class Empty(Sees):
        def actor(self, frames: UInt8, area: UInt8, features: Float32) -> Float32 | None:
            told = np.full((len(frames), 2, OUTSIDE + 2), -14.0, np.float32)
            told[..., NOBODY] = 0.0
            return told

    look = looks(Empty(BOB))(0, sample_of(20))
    assert look is not None
    assert np.exp(look.people) == pytest.approx([0.5, 0.5], abs=0.01)
