"""Storm: kill -9 at random over all processes of a live store; nothing may be lost, doubled or charged twice.

A day is played twice through `aisle serve`'s own processes: once in peace, once while processes, the supervisor among
them, are killed at moments drawn from a seed. Moments are of the store's time, so that a slow machine does not get
another storm. Scales and gates speak to the intake meanwhile (storm_sensors.py). What both shops have in their books at
the end is compared (storm_books.py), and nobody may be left running.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from sqlalchemy import select

from openaisle.errors import Problem, ServiceError
from openaisle.messages import NANOSECONDS
from openaisle.recording.manifest import STORE_FOLDER
from openaisle.recording.writer import whole_recording
from openaisle.service import courier, keys
from openaisle.service.beats import STATUS
from openaisle.service.desk import Desk, Rules
from openaisle.service.fake_gateway import KNOWN, FakeGateway
from openaisle.service.health import intake_of
from openaisle.service.intake import journal_folder
from openaisle.service.jobs import Job
from openaisle.service.keys import Role
from openaisle.service.startup import Serve, open_desk, write_startup
from openaisle.service.tables import Run
from openaisle.sim.scenario import load_scenario
from openaisle.sim.source import SimulatedStore
from openaisle.store.load import load_store
from openaisle.stress import storm_shop
from openaisle.stress.storm_books import Books, Difference, difference, read_books, settled
from openaisle.stress.storm_light import LIGHT, SIDE, storm_store, without_side
from openaisle.stress.storm_outside import Mailbox, Terminal
from openaisle.stress.storm_sensors import Kept, Sensors

SUPERVISOR = "supervisor"
VICTIMS = ("api", "clerk", "courier", "worker", SUPERVISOR)
INTAKE = "intake"  # a victim where sensors speak
ARRIVAL_S = (3.0, 7.0)  # a visit every five seconds: several are inside at any time
LOOK_S = 0.05
STOP_S = 15.0
ORPHAN_S = 30.0  # for what a killed supervisor left behind to end by itself


@dataclass(frozen=True, slots=True)
class StormPlan:
    """What is asked for."""

    visits: int = 50
    kills: int = 200
    seed: int = 850_000
    store: str = "random:kiosk"
    model: str = LIGHT
    speed: float = 4.0  # of the day in the storm, times real time
    patience_s: float = 600.0  # for anything at all to happen
    intake: bool = True  # scales and gates speak MQTT meanwhile, and the intake is killed, too (live extra)

    @property
    def victims(self) -> tuple[str, ...]:
        """Who may be killed."""
        return (*VICTIMS, INTAKE) if self.intake else VICTIMS


@dataclass(frozen=True)
class StormReport:
    """What the storm did."""

    plan: StormPlan
    killed: dict[str, int]
    difference: Difference
    lines: int  # in the calm day's ledger
    entries: int  # acknowledged by the API in the storm
    entries_lost: tuple[str, ...]  # of them: not there, not closed, or two of one name
    refused: tuple[str, ...]  # answers of the API that should not be
    captures_wrong: tuple[str, ...]  # visits captured twice, or not what their receipt says
    letters: int
    letters_lost: int
    letters_repeated: int
    seconds: float
    messages: Kept | None = None  # of scales and gates; None where none spoke
    left_running: tuple[str, ...] = ()  # processes that were there after the stop
    said: tuple[str, ...] = field(default=(), repr=False)

    @property
    def claims(self) -> dict[str, bool]:
        """What is promised, and whether it was kept."""
        found, kept = self.difference, self.messages
        sensors = kept is None or (kept.acknowledged > kept.late and not kept.lost and not kept.doubled)
        return {
            "every kill was made": sum(self.killed.values()) == self.plan.kills,
            "the day was played": found.equal + len(found.marked) >= self.plan.visits and self.lines > 0,
            "receipts are equal, or ask for a person": not found.different,
            "no line is lost": not found.lost and not found.foreign,
            "no line is doubled": not found.doubled,
            "acknowledged entries are kept": self.entries > 0 and not self.entries_lost and not self.refused,
            "acknowledged messages are kept": sensors and (kept is not None or not self.plan.intake),
            "nobody is captured twice or wrongly": not self.captures_wrong,
            "every webhook came at least once": self.letters > 0 and not self.letters_lost,
            "no process is left running": not self.left_running,
        }

    @property
    def kept(self) -> bool:
        """Whether all of it was."""
        return all(self.claims.values())

    def to_json(self) -> dict[str, object]:
        """Everything, for programs."""
        whole = asdict(self)
        return {"kept": self.kept, "claims": self.claims, **whole}


def storm(plan: StormPlan, folder: Path, progress: Callable[[float], None] = lambda share: None) -> StormReport:
    """Play the day twice and compare; raises ServiceError when a shop does not come to an end."""
    began_s = time.monotonic()
    recording = folder / "day"
    with_video = plan.model != LIGHT
    write_day(plan, recording, video=with_video)
    calm = play_calm(plan, recording, folder / "calm")
    progress(0.1)
    storm_folder = folder / "storm"
    with sensors_of(plan, recording) as sensors:
        played = play_storm(plan, recording, storm_folder, sensors, lambda s: progress(0.1 + 0.9 * s))
    killed, stormy, outside, mailbox = played
    left = orphans((folder / "calm", storm_folder), ORPHAN_S)
    kept = sensors.judge(journal_folder(storm_folder, load_store(recording / STORE_FOLDER))) if sensors else None
    lost = [key for key, visit in outside.acknowledged.items() if visit not in stormy.entered]
    open_still = [name for name, bill in stormy.entered.items() if bill.state != "closed" and bill.state != "refused"]
    same = [name for name, count in Counter(outside.acknowledged.values()).items() if count > 1]
    return StormReport(
        plan=plan, killed=dict(sorted(killed.items())), difference=difference(calm, stormy), lines=calm.ledger.total(),
        entries=len(outside.acknowledged), entries_lost=(*lost, *open_still, *same), refused=tuple(outside.wrong),
        captures_wrong=(*calm.captures, *stormy.captures), letters=len(stormy.letters),
        letters_lost=len(stormy.letters - mailbox.came.keys()) + stormy.undelivered,
        letters_repeated=sum(count - 1 for count in mailbox.came.values()), seconds=time.monotonic() - began_s,
        messages=kept, left_running=left,
    )  # fmt: skip


def write_day(plan: StormPlan, out: Path, *, video: bool) -> None:
    """A simulated day as a recording; without pictures where nobody looks at them."""
    store = storm_store(plan.store, plan.seed, cameras=video)
    gaps = plan.visits * sum(ARRIVAL_S) / 2
    changes = {"shoppers": (plan.visits, plan.visits), "arrival_s": ARRIVAL_S, "duration_s": max(30.0, gaps)}
    scenario = load_scenario("everything").model_copy(update={**changes, "staff": (0, 0), "group": 0.0})
    scenario = scenario.model_copy(update={"faults": type(scenario.faults)(), "scales": True})
    with whole_recording(out, store) as writer:
        for message in SimulatedStore(without_side(store), scenario, plan.seed, video=video, truth=False):
            writer.write(message)


def play_calm(plan: StormPlan, recording: Path, folder: Path) -> Books:
    """The day in peace, as fast as it goes."""
    serve = _serve(replace(plan, speed=0.0), recording, folder)
    write_startup(serve)
    desk = open_desk(serve)
    with Shop(serve) as shop:
        shop.wait(lambda: settled(desk), plan.patience_s, "the calm day does not end")
    return _close(desk, serve)


def sensors_of(plan: StormPlan, recording: Path) -> AbstractContextManager[Sensors | None]:
    """Scales and gates of the day, where the intake is to be killed."""
    return Sensors(recording, (free_port(), free_port())) if plan.intake else nullcontext()


def play_storm(
    plan: StormPlan, recording: Path, folder: Path, sensors: Sensors | None, progress: Callable[[float], None]
) -> tuple[Counter[str], Books, Terminal, Mailbox]:
    """The day under fire."""
    serve = _serve(plan, recording, folder)
    if sensors is not None:
        serve = replace(serve, sensors=str(sensors.settings(folder)))
    write_startup(serve)
    desk = open_desk(serve)
    with Mailbox() as mailbox, Shop(serve) as shop:
        if sensors is not None:
            shop.wait(lambda: _hears(serve), plan.patience_s, "the intake does not hear the broker")
            sensors.open()
        terminal = Terminal(f"http://{serve.host}:{serve.port}", _prepare(desk, mailbox.url), SIDE)
        terminal.start()
        try:
            killed = _kill_all(plan, desk, shop, terminal, progress)
            shop.wait(lambda: _ended(desk), plan.patience_s, "the day in the storm does not end")
        finally:
            terminal.stop()
        end_s = time.monotonic() + plan.patience_s
        terminal.close_all(lambda: time.monotonic() < end_s and shop.keep())
        shop.wait(lambda: settled(desk), plan.patience_s, "the storm's visits are not settled")
        if sensors is not None:  # while the intake is there to hear the last of it
            sensors.stop()
    return killed, _close(desk, serve), terminal, mailbox


def _kill_all(
    plan: StormPlan, desk: Desk, shop: Shop, terminal: Terminal, progress: Callable[[float], None]
) -> Counter[str]:
    """All kills, each when the worker has first come to its moment of the day, and while somebody asks to come in."""
    rng = np.random.Generator(np.random.PCG64(plan.seed))
    assert shop.serve.job is not None, "a day is played"
    moments = np.sort(rng.integers(*_span(Path(shop.serve.job.source)), plan.kills)).tolist()
    victims = rng.choice(plan.victims, plan.kills).tolist()
    killed: Counter[str] = Counter()
    for number, (moment_ns, victim) in enumerate(zip(moments, victims, strict=True)):
        shop.wait(partial(_reached, desk, moment_ns), plan.patience_s, "the day does not go on")
        terminal.call()
        killed[shop.kill(victim, plan.patience_s)] += 1
        progress((number + 1) / plan.kills)
    return killed


@dataclass
class Shop:
    """A live store's supervisor as a process of its own; started again when it dies, as a system's init does."""

    serve: Serve
    popen: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Shop:
        """Open it."""
        self.keep()
        return self

    def __exit__(self, *_: object) -> None:
        """SIGTERM, and SIGKILL for what does not hear it."""
        if self.popen is None:
            return
        self.popen.terminate()
        try:
            self.popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def keep(self) -> bool:
        """Start the supervisor (again) if it does not run."""
        if self.popen is None or self.popen.poll() is not None:
            words = [sys.executable, "-m", storm_shop.NAME, "serve", self.serve.folder, str(os.getpid())]
            with (self.serve.path / "log.txt").open("ab") as log:
                self.popen = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
        return True

    def wait(self, until: Callable[[], bool], patience_s: float, what: str) -> None:
        """Until something is so, with the supervisor kept running."""
        end_s = time.monotonic() + patience_s
        while not until():
            self.keep()
            if time.monotonic() > end_s:
                fix = f"read {self.serve.path / 'log.txt'}; it may be a bug worth reporting"
                raise ServiceError([Problem(self.serve.folder, "storm", f"{what} within {patience_s:.0f} s", fix)])
            time.sleep(LOOK_S)

    def kill(self, name: str, patience_s: float) -> str:
        """kill -9 of a process as soon as it runs; another one where its work is done. Who it was."""
        assert self.popen is not None, "entered"
        if name == SUPERVISOR:
            self.keep()
            self.popen.kill()
            self.popen.wait()
            self.keep()
            return name
        self.wait(lambda: self._ended(name) or self._pid(name) > 0, patience_s, f"{name} does not run")
        if self._ended(name):
            return self.kill("clerk", patience_s)
        pid = self._pid(name)
        try:
            if pid and f"\0{self.serve.folder}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
                return name
        except (ProcessLookupError, FileNotFoundError):
            pass
        time.sleep(LOOK_S)  # it has just died; the table will say so
        return self.kill(name, patience_s)

    def _table(self) -> dict[str, dict[str, str | int]]:
        try:
            table: dict[str, dict[str, str | int]] = json.loads((self.serve.path / STATUS).read_text(encoding="utf-8"))
        except FileNotFoundError:  # it has not looked for the first time
            return {}
        return table

    def _pid(self, name: str) -> int:
        return int(self._table().get(name, {}).get("pid", 0))

    def _ended(self, name: str) -> bool:
        return self._table().get(name, {}).get("state") == "ended"


def _serve(plan: StormPlan, recording: Path, folder: Path) -> Serve:
    rules = Rules(walk_in_method=KNOWN[0], requests_per_s=1e6, request_burst=10**6, awaiting_limit_s=1e6)
    job = Job(str(recording), plan.model, plan.seed, plan.speed)
    return Serve(str(folder), str(recording / STORE_FOLDER), port=free_port(), job=job, rules=rules)


def _prepare(desk: Desk, url: str) -> str:
    """A receiver of webhooks and a gate's key, before anything runs."""
    with desk.database.write() as session:
        courier.add_endpoint(session, url, desk.clock())
        return keys.create_key(session, "terminal", Role.GATE, desk.clock())


def _close(desk: Desk, serve: Serve) -> Books:
    try:
        return read_books(desk, FakeGateway(serve.path / "fake-gateway.sqlite"))
    finally:
        desk.database.close()


def _span(recording: Path) -> tuple[int, int]:
    manifest = json.loads((recording / "manifest.json").read_text(encoding="utf-8"))
    return int(manifest["start_ns"]), int(manifest["end_ns"]) - 3 * NANOSECONDS


def _reached(desk: Desk, at_ns: int) -> bool:
    with desk.database.read() as session:
        runs = session.execute(select(Run.time_ns, Run.ended)).all()
    return any(ended or time_ns >= at_ns for time_ns, ended in runs)


def _hears(serve: Serve) -> bool:
    """Whether the intake is at the broker."""
    told = intake_of(serve.path)
    return told is not None and told.broker is not None and told.broker.up


def _ended(desk: Desk) -> bool:
    with desk.database.read() as session:
        return bool(session.scalars(select(Run.ended)).first())


def orphans(folders: Sequence[Path], patience_s: float) -> tuple[str, ...]:
    """Names of processes of these shops that still run after so long; they are killed then."""
    end_s = time.monotonic() + patience_s
    while (running := _running(folders)) and time.monotonic() < end_s:
        time.sleep(LOOK_S)
    for pid in running:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return tuple(sorted(running.values()))


def _running(folders: Sequence[Path]) -> dict[int, str]:
    """{pid: name} of processes that `storm_shop` was started for in these folders; zombies do not run."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:  # it has just ended, or is not ours to read
                continue
            if storm_shop.NAME in words and {str(folder) for folder in folders} & set(words):
                found[int(entry.name)] = words[words.index(storm_shop.NAME) + 1]
    return found


def free_port() -> int:
    """A port nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
