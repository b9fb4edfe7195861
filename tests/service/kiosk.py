"""A kiosk for tests of pages: a generated store with pictures, visits in every state, evidence, and a day's figures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS
from openaisle.receipts.events import Evidence, Kind, LedgerEvent
from openaisle.service import stock, till, visits
from openaisle.service.album import Album, Levels, Still, Trace
from openaisle.service.desk import Desk, Rules
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.states import HowLeft, Origin
from openaisle.service.stills import jpeg, masked, tile
from openaisle.service.tables import Run
from openaisle.service.tracks import PEOPLE, Person
from openaisle.service.visits import Opening
from openaisle.sim.stores import open_store
from openaisle.store.store import Lane, Store
from tests.service.desks import CARD, Clock, fresh_sqlite
from tests.service.painter import head_of, painted
from tests.service.shop import LiveShop, open_shop

RUN = "r5a1e2b3"
NOON_NS = 1_770_030_000 * NANOSECONDS  # Monday 2 February 2026, 12:00 in Berlin
SEED = 7
Rgb = NDArray[np.uint8]


@dataclass
class Kiosk:
    """The shop, its folder, and the names of its visits."""

    shop: LiveShop
    folder: Path
    clock: Clock
    inside: tuple[str, ...] = ()
    review: str = ""
    lost: str = ""
    closed: str = ""
    link: str = ""
    filming: bool = False  # whether cameras see what happens; painting takes its time

    @property
    def desk(self) -> Desk:
        """The shop's."""
        return self.shop.desk

    @property
    def store(self) -> Store:
        """The shop's."""
        return self.shop.desk.store

    def lane(self, number: int) -> Lane:
        """A lane that the planogram has."""
        return self.store.lanes[self.store.lane_index[self.store.planogram[number].lane]]

    def gtin(self, number: int) -> str:
        """Its product."""
        return self.store.planogram[number].gtin


def open_kiosk(folder: Path, clock: Clock | None = None) -> Kiosk:
    """A day in a kiosk, at half past twelve."""
    clock = clock or Clock(NOON_NS)
    store = open_store("random:kiosk", SEED)
    rules = Rules(request_burst=100_000, requests_per_s=1e6)
    desk = Desk(fresh_sqlite(folder), store, rules, clock)
    shop = open_shop(desk, FakeGateway(folder / "gateway.sqlite", clock), folder)
    kiosk = Kiosk(shop, folder, clock)
    _morning(kiosk)
    _now(kiosk)
    _house(kiosk)
    return kiosk


def came(kiosk: Kiosk, name: str, *, method: str = CARD, origin: Origin = Origin.GATE) -> str:
    """Somebody comes in."""
    with kiosk.desk.database.write() as session:
        opening = Opening(name, origin, "", kiosk.clock(), method=method, run=RUN)
        visits.open_visit(session, kiosk.desk, opening)
    kiosk.shop.clerk()
    return name


def took(
    kiosk: Kiosk, visit: str, number: int, units: int = 1, sure: float = 0.97, kind: Kind = "take", at: int = -1
) -> str:
    """Units of a lane's product are taken (or put back, or put down in lane `at`); with stills and weights."""
    kiosk.clock.pass_s(4.0)
    lane = kiosk.lane(at if at >= 0 else number)
    time_ns = kiosk.clock() - NANOSECONDS
    event_id = f"{RUN}:t{time_ns // NANOSECONDS % 1_000_000:06d}-{number}"
    seen = tuple(camera.id for camera in kiosk.store.cameras if camera.sees(lane.front_m))
    scale = kiosk.store.spec.scales[lane.scale].id
    evidence = Evidence(seen, (scale,), time_ns - NANOSECONDS // 2, time_ns + NANOSECONDS // 2, lane.id)
    event = LedgerEvent(
        event_id,
        time_ns,
        kind,
        visit,
        kiosk.gtin(number),
        units,
        sure,
        lane=lane.id,
        evidence=evidence,
    )
    with kiosk.desk.database.write() as session:
        till.record(session, event, f"run {RUN}", kiosk.clock())
    _keep(kiosk, event, lane, units if kind == "take" else -units)
    return event_id


def went(kiosk: Kiosk, visit: str, how: HowLeft = HowLeft.TRACK) -> None:
    """Somebody leaves, and the clerk does what there is to do."""
    kiosk.clock.pass_s(2.0)
    with kiosk.desk.database.write() as session:
        visits.leave(session, kiosk.desk, visit, how, kiosk.clock())
    kiosk.clock.pass_s(0.7)
    kiosk.shop.clerk()


def _keep(kiosk: Kiosk, event: LedgerEvent, lane: Lane, gone: int) -> None:
    """What a witness would have kept."""
    rng = np.random.default_rng(event.time_ns % 1000)
    unit_g = kiosk.store.products[kiosk.store.product_index[event.gtin]].weight_grams
    times = np.arange(-160, 80) / 20.0
    settled = 1.0 / (1.0 + np.exp(-6.0 * times))
    push = 40.0 * np.exp(-(((times + 0.3) / 0.25) ** 2))
    grams = (2400.0 - gone * unit_g * settled + push + rng.normal(0, 0.6, len(times))).astype(np.float32)
    start_ns = event.time_ns - 8 * NANOSECONDS
    cameras = [camera for camera in kiosk.store.cameras if bool(camera.sees(lane.front_m))][:2]
    stills = []
    for camera in cameras if kiosk.filming else ():
        for n in range(6):
            picture = masked(camera, painted(kiosk.store, camera, lane, n / 5), lane.front_m, head_of(lane)[None])
            stills.append(Still(camera.id, event.time_ns + (n - 3) * NANOSECONDS // 4, jpeg(picture)))
    with Album(kiosk.folder).pen() as pen:
        pen.event(event.event_id, stills, kiosk.clock())
        pen.trace(event.event_id, Trace(kiosk.store.spec.scales[lane.scale].id, start_ns, 20.0, grams))


def _morning(kiosk: Kiosk) -> None:
    """Visits since nine: most went well, one waits for a person, one was lost sight of."""
    noon_ns = kiosk.clock()
    with kiosk.desk.database.write() as session:
        session.add(
            Run(
                id=RUN,
                source="sim:everything",
                model="small",
                seed=SEED,
                start_ns=noon_ns,
                at_ns=noon_ns,
                beat_ns=noon_ns,
            )
        )
    kiosk.clock.pass_s(-3.2 * 3600)
    for number in range(14):
        kiosk.filming = number == 13
        visit = came(kiosk, f"{RUN}.visit-{number + 1}")
        for step in range(1 + number % 4):
            took(kiosk, visit, (5 * number + 3 * step) % len(kiosk.store.planogram), 1 + step % 2)
        went(kiosk, visit)
        kiosk.closed = visit
        kiosk.clock.pass_s(420.0 + 240.0 * (number % 5))
    kiosk.clock.now_ns = noon_ns - 1100 * NANOSECONDS
    kiosk.review = came(kiosk, f"{RUN}.visit-15")
    took(kiosk, kiosk.review, 2, 2, 0.93)
    took(kiosk, kiosk.review, 9, 1, 0.41)
    took(kiosk, kiosk.review, 12, 1, 0.88)
    took(kiosk, kiosk.review, 12, 1, 0.9, "return", at=14)
    went(kiosk, kiosk.review)
    kiosk.lost = came(kiosk, f"{RUN}.visit-16")
    took(kiosk, kiosk.lost, 4, 1, 0.97)
    went(kiosk, kiosk.lost, HowLeft.NEVER)
    kiosk.clock.now_ns = noon_ns


def _now(kiosk: Kiosk) -> None:
    """Three people are inside."""
    entry = kiosk.shop.post("/v1/entries", {"gate": _door(kiosk), "method": CARD}, "gate").json()
    kiosk.link = str(entry["link"])
    names = [str(entry["visit"]), came(kiosk, f"{RUN}.visit-17"), came(kiosk, f"{RUN}.visit-18")]
    took(kiosk, names[0], 1, 1)
    took(kiosk, names[0], 6, 2, 0.9)
    took(kiosk, names[1], 8, 1)
    kiosk.inside = tuple(names)
    low, high = np.asarray(kiosk.store.spec.floor_m).min(axis=0), np.asarray(kiosk.store.spec.floor_m).max(axis=0)
    people = []
    for number, visit in enumerate(names):
        lane = kiosk.lane((1, 8, 20)[number])
        at = lane.front_m[:2] + lane.outward_m[:2] * 0.55
        drift = np.array([(0.11, 0.05), (-0.06, 0.1), (0.09, -0.12)][number])
        trail = [np.clip(at + drift * k, low + 0.2, high - 0.2).round(2) for k in range(11, -1, -1)]
        hands = ((round(float(lane.front_m[0]), 2), round(float(lane.front_m[1]), 2)),) if number < 2 else ()
        x, y = (float(value) for value in trail[-1])
        points = tuple((float(point[0]), float(point[1])) for point in trail)
        head = (x, y, 1.65)
        reach = tuple((hand[0], hand[1], round(float(lane.front_m[2]), 2)) for hand in hands)
        people.append(Person(visit, x, y, points, hands, (lane.id,) if hands else (), head, reach))
    with kiosk.desk.database.write() as session:
        run = session.get(Run, RUN)
        assert run is not None
        run.tracks, run.beat_ns, run.time_ns = PEOPLE.dump_json(tuple(people)).decode(), kiosk.clock(), kiosk.clock()
        run.ticks = 11_520


def _house(kiosk: Kiosk) -> None:
    """Levels, tiles, processes and sensors."""
    store, now_ns = kiosk.store, kiosk.clock()
    first = {scale.id: 2400.0 for scale in store.spec.scales}
    with kiosk.desk.database.read() as session:
        lanes = stock.shelves(session, kiosk.desk, Album(None)).lanes
    grams = dict(first)
    for number, row in enumerate(lanes):
        lane = store.lanes[store.lane_index[row.lane]]
        gone = row.capacity - row.by_ledger + (2 if number == 6 else 0)  # one scale knows of something else
        grams[store.spec.scales[lane.scale].id] -= gone * store.products[store.product_index[row.gtin]].weight_grams
    wrong = store.products[store.product_index[kiosk.gtin(12)]]
    grams[store.spec.scales[kiosk.lane(14).scale].id] += wrong.weight_grams
    moved = dict.fromkeys(grams, 0.4)
    moved[store.spec.scales[kiosk.lane(1).scale].id] = 240.0
    with Album(kiosk.folder).pen() as pen:
        pen.levels(Levels(RUN, now_ns, now_ns, grams, moved, first))
        for camera in store.cameras:
            seen, heads = painted(store, camera, kiosk.lane(1), 0.8), head_of(kiosk.lane(1))[None]
            pen.tile(Still(camera.id, now_ns, jpeg(tile(camera, seen, heads))))
    rows = {
        name: {"state": "running", "pid": 1, "restarts": int(name == "worker")}
        for name in ("api", "clerk", "courier", "worker")
    }
    (kiosk.folder / "supervisor.json").write_text(json.dumps(rows), encoding="utf-8")
    (kiosk.folder / "beats").mkdir(exist_ok=True)
    for name in rows:
        (kiosk.folder / "beats" / name).touch()
    sensors = [
        {"sensor": camera.id, "kind": "camera", "state": "online", "seen_ns": now_ns} for camera in store.cameras
    ]
    sensors[1]["state"] = "late"
    sensors[2] |= {"state": "offline", "words": "no picture for 40 s"}
    (kiosk.folder / "sensors.json").write_text(json.dumps({"lag_s": 0.4, "sensors": sensors}), encoding="utf-8")


def _door(kiosk: Kiosk) -> str:
    return next(gate.id for gate in kiosk.store.spec.gates if gate.kind != "exit")
