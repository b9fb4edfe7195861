"""Live: a whole live store under a load in real time: cameras by RTSP, scales and gates by MQTT, on this machine.

A day is simulated to disk first. Then it is played, at its own pace, on real sockets (sim/hardware) into the service's
own processes, while somebody watches (live_watch.py). The hardware runs in this process; its share of the processor is
told apart. Latency is from the moment at which an item left its shelf (or came back) until its line was in the ledger.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread

from sqlalchemy import select

from openaisle.bench.live_report import HARDWARE, LivePlan, LiveReport, Load
from openaisle.bench.live_watch import Watch
from openaisle.errors import Problem, ScenarioError
from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, TruthEvent, VideoPacket
from openaisle.receipts.events import LedgerEvent
from openaisle.recording.files import Logged
from openaisle.recording.reader import Recording, open_recording
from openaisle.service import book
from openaisle.service.desk import Desk
from openaisle.service.intake import HEALTH, journal_folder
from openaisle.service.jobs import Job
from openaisle.service.source import LIVE
from openaisle.service.startup import Serve, open_desk, write_startup
from openaisle.service.tables import LedgerRow, Run
from openaisle.sim.hardware.shop import FakeShop, Ports, recorded, write_settings
from openaisle.sim.record import simulate
from openaisle.sim.scenario import load_scenario
from openaisle.sim.stores import open_store
from openaisle.store.load import save_store
from openaisle.store.store import Store
from openaisle.stress.storm import Shop, free_port

MATCH_S = 5.0  # between a true event and the ledger's
SCALE_HZ = 10.0
VISIT_S = 40.0  # about what a simulated visit takes: so many inside need an arrival every VISIT_S / count
AFTER_S = 30.0  # so long what is still under way may take
READY_S = 300.0


def live_store(kind: str, seed: int, load: Load) -> Store:
    """A generated store cut down to the load's cameras and scales; raises ScenarioError when it has fewer."""
    store = open_store(kind, seed)
    cameras, scales = store.spec.cameras, store.spec.scales
    if len(cameras) < load.cameras or len(scales) < load.scales:
        what = f"{kind} with seed {seed} has {len(cameras)} cameras and {len(scales)} scales"
        raise ScenarioError([Problem("--load", f"{load.cameras}x{load.scales}", what, "ask for less")])
    chosen = [cameras[i * len(cameras) // load.cameras] for i in range(load.cameras)]
    slower = [scale.model_copy(update={"rate_hz": SCALE_HZ}) for scale in scales[: load.scales]]
    return replace(store, spec=store.spec.model_copy(update={"cameras": tuple(chosen), "scales": tuple(slower)}))


def measure(plan: LivePlan, folder: Path, progress: Callable[[float], None] = lambda share: None) -> LiveReport:
    """Simulate the day, then play it in real time; raises ServiceError when the shop does not open."""
    store = live_store(plan.store, plan.seed, plan.load)
    gap_s = VISIT_S / plan.load.shoppers
    count = min(1000, max(1, round(60 * plan.minutes / gap_s)))
    changes = {"shoppers": (count, count), "arrival_s": (0.5 * gap_s, 1.5 * gap_s), "duration_s": 60 * plan.minutes}
    scenario = load_scenario("crowd").model_copy(update=changes)
    simulate(store, scenario, plan.seed, folder / "day", progress=lambda now_s, all_s: progress(0.5 * now_s / all_s))
    return play(plan, open_recording(folder / "day"), folder, lambda share: progress(0.5 + 0.5 * min(1.0, share)))


def play(plan: LivePlan, day: Recording, folder: Path, progress: Callable[[float], None]) -> LiveReport:
    """Play a recorded day into a live store, and watch."""
    shop = FakeShop(day.store, Ports(rtsp=free_port(), mqtt=free_port()))
    shop.prime(recorded(day))
    serve = _serve(plan, shop, folder)
    desk = open_desk(serve)
    counted: Counter[str] = Counter()
    with Shop(serve) as running:
        assert running.popen is not None, "just started"
        watch = Watch(serve.path, {HARDWARE: os.getpid(), "supervisor": running.popen.pid}, lambda: _behind_s(desk))

        async def scene() -> None:
            await asyncio.to_thread(running.wait, lambda: _ready(serve), READY_S, "the shop does not open")
            with watch:
                length_s = (day.manifest.end_ns - day.manifest.start_ns) / NANOSECONDS
                Thread(target=_tick, args=(watch, length_s, progress), daemon=True).start()
                await shop.play(_counted(day, counted))
                await _until_quiet(desk, day.manifest.end_ns + shop.shift_ns)

        asyncio.run(shop.run(scene))
        known = json.loads((serve.path / HEALTH).read_text(encoding="utf-8"))["sensors"]
    with desk.database.read() as session:
        rows = [(book.EVENT.validate_json(row.body), row.at_ns) for row in session.scalars(select(LedgerRow))]
    desk.database.close()
    truth = [one for one in day.truth() if isinstance(one, TruthEvent) and not one.staff and one.lane]
    return LiveReport(
        plan, _machine(), len(truth), tuple(latencies(truth, rows, shop.shift_ns)), dict(counted),
        lost_of(known, counted), tuple(watch.behind), tuple(watch.readings),
    )  # fmt: skip


def latencies(truth: Sequence[TruthEvent], rows: Sequence[tuple[LedgerEvent, int]], shift_ns: int) -> list[float]:
    """Seconds from each true event that the ledger has, to the moment at which it was there; a row counts once."""
    out, free = [], list(rows)
    for one in sorted(truth, key=lambda event: event.time_ns):
        at_ns = one.time_ns + shift_ns
        for row in free:
            event, written_ns = row
            same = event.kind == one.kind and event.visit.partition(".")[2] == one.visit
            place = event.gtin == one.gtin or event.lane == one.lane
            if same and place and abs(event.time_ns - at_ns) <= MATCH_S * NANOSECONDS:
                out.append((written_ns - at_ns) / NANOSECONDS)
                free.remove(row)
                break
    return out


def lost_of(known: Sequence[Mapping[str, object]], sent: Mapping[str, int]) -> dict[str, int]:
    """Messages that were sent and not taken in, by kind, from what the intake tells of its sensors at the end.

    Gates repeat themselves, so theirs are the gaps that were given up.
    """
    taken: Counter[str] = Counter()
    gaps = 0
    for row in known:
        taken[str(row["kind"])] += int(str(row["messages"])) - int(str(row["dropped"]))
        gaps += int(str(row["lost"])) + int(str(row["missing"])) if row["kind"] == "gate" else 0
    pictures, scales = sent["pictures"] - taken["camera"], sent["scales"] - taken["scale"]
    return {"pictures": max(0, pictures), "scales": max(0, scales), "gates": gaps}


def most(plan: LivePlan, run: Callable[[LivePlan], LiveReport]) -> tuple[LiveReport | None, list[LiveReport]]:
    """By bisection: the run with the most cameras (and shoppers in proportion) that is sustained, and all runs."""
    low, high, runs = 0, plan.load.cameras + 1, list[LiveReport]()
    best: LiveReport | None = None
    cameras = plan.load.cameras
    while low + 1 < high:
        found = run(replace(plan, load=plan.load.share(cameras)))
        runs.append(found)
        if found.sustained:
            low, best = cameras, found
        else:
            high = cameras
        cameras = (low + high) // 2
    return best, runs


def _serve(plan: LivePlan, shop: FakeShop, folder: Path) -> Serve:
    save_store(shop.store, folder / "store")
    settings = write_settings(folder, shop.settings_yaml())
    data = folder / "data"
    job = Job(f"{LIVE}:{journal_folder(data, open_store(str(folder / 'store'), 0))}", plan.model, plan.seed, 0.0)
    serve = Serve(str(data), str(folder / "store"), port=free_port(), job=job, sensors=str(settings))
    write_startup(serve)
    return serve


def _ready(serve: Serve) -> bool:
    """Whether the intake hears the broker and the worker has loaded its model."""
    try:
        known = json.loads((serve.path / HEALTH).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(known["broker"]["up"]) and (serve.path / "beats" / "worker").exists()


def _counted(day: Recording, counted: Counter[str]) -> Iterator[Logged]:
    kinds = {VideoPacket: "pictures", ScaleBatch: "scales", GateEvent: "gates"}
    for logged in recorded(day):
        counted[kinds.get(type(logged.message), "others")] += 1
        yield logged


def _behind_s(desk: Desk) -> float | None:
    with desk.database.read() as session:
        time_ns = session.scalars(select(Run.time_ns).order_by(Run.at_ns.desc())).first()
    return (time.time_ns() - time_ns) / NANOSECONDS if time_ns else None


async def _until_quiet(desk: Desk, end_ns: int) -> None:
    """Until the pipeline has seen all of it, or half a minute has passed."""
    until_s = time.monotonic() + AFTER_S
    while time.monotonic() < until_s:
        behind_s = await asyncio.to_thread(_behind_s, desk)
        if behind_s is not None and time.time_ns() - round(behind_s * NANOSECONDS) >= end_ns:
            return
        await asyncio.sleep(0.5)


def _tick(watch: Watch, length_s: float, progress: Callable[[float], None]) -> None:
    while (share := (time.monotonic() - watch.began_s) / length_s) < 1.0:
        progress(share)
        time.sleep(1.0)


def _machine() -> str:
    load = os.getloadavg()[0]
    return f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, load {load:.1f} at the end"
