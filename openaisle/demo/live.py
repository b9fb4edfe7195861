"""Live: the whole thing: simulated cameras and scales on real protocols, the live store over them, and its dashboard.

In this process: the supervisor of the live store, and a screen that reads its database. Beside it: the process of the
hardware (hardware.py) and those of the store (service/processes.py). Everything ends with this one, however it ends.
"""

from __future__ import annotations

import signal
import time
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from openaisle.demo import place
from openaisle.demo.days import Plan
from openaisle.demo.hardware import Began, Closed, Hardware
from openaisle.demo.run import OWN_SCENARIO, Demo, demo_scenario
from openaisle.demo.show import Show
from openaisle.demo.tally import Tally
from openaisle.errors import OpenAisleError
from openaisle.messages import TruthReceipt
from openaisle.sim.hardware.shop import Ports, write_settings
from openaisle.sim.scenario import Scenario, parse_scenario
from openaisle.sim.stores import open_store
from openaisle.store.load import save_store

if TYPE_CHECKING:
    from openaisle.service.beside import Beside

HTTP, RTSP, MQTT = 8080, 18554, 18830  # others where somebody has these
LOOK_S = 0.2
START_S = 180.0  # for the processes to start; a busy machine needs more than a minute
AHEAD_S, FAST = 40.0, 2.0  # simulated before the shop opens, less where that is faster than real time by so much
STALLED_S = 60.0  # nothing has come out of the live store for so long
RECORD_S = 90.0  # of the first day, for the film
QUIET_S = (6.0, 5.0)  # before the only day's first shopper, and after its last one
NEEDS = ("fastapi", "uvicorn", "sqlalchemy", "alembic", "jinja2", "babel", "prometheus_client")
WIRES = ("aiomqtt", "amqtt")
SETTINGS = "wait_s: 4.0\nlate_s: 3.0\noffline_s: 5.0\nkeep_hours: 1.0\n"  # for a busy machine


@dataclass(frozen=True)
class Way:
    """How sensors reach the live store, and where it is; ports that are 0 are refused."""

    http: int
    rtsp: int = 0
    mqtt: int = 0
    remark: str = ""

    @property
    def wired(self) -> bool:
        """Real RTSP and MQTT; otherwise sensors' messages go straight into the journal."""
        return bool(self.rtsp and self.mqtt)


@dataclass
class Shift:
    """One demo under way."""

    demo: Demo
    beside: Beside
    hardware: Hardware
    show: Show
    tally: Tally = field(default_factory=Tally)
    shift_ns: int = 0
    closed: Closed | None = None
    stopped: list[int] = field(default_factory=list)  # signals
    news_s: float = field(default_factory=time.monotonic)
    _early: list[TruthReceipt] = field(default_factory=list)  # before the shop was dated

    def look(self) -> None:
        """A moment of the main loop."""
        self.beside.look()
        for told in self.hardware.told():
            match told:
                case Began():
                    self.shift_ns = told.shift_ns
                case Closed():
                    self.closed = told
                case TruthReceipt():
                    self._early.append(told)
        if self.shift_ns:
            for truth in self._early:
                self.tally.truths[truth.visit] = replace(truth, time_ns=truth.time_ns + self.shift_ns)
            self._early.clear()
        news = self.beside.observer.look()
        if news.stays or news.time_ns > self.tally.time_ns:
            self.news_s = time.monotonic()
        self.tally.time_ns = max(self.tally.time_ns, news.time_ns)
        self.tally.stays |= {stay.name: stay for stay in news.stays}
        for name in news.merged:
            self.tally.stays.pop(name, None)
        self.show.tell(news, self.tally, self.beside.way_in)

    @property
    def settled(self) -> bool:
        """The shop has closed, and every receipt is there, or does not come any more."""
        if self.closed is None:
            return False
        stalled = time.monotonic() - self.news_s > STALLED_S
        return stalled or not self.tally.lost(self.tally.truths.values())


def run_live(demo: Demo, model: str, way: Way) -> int:
    """The demo with a live store; returns the exit code: 1 when the live store lost a visit. Raises OpenAisleError."""
    scenario = scenario_of(demo)
    console = Console(highlight=False, emoji=False)
    if way.remark:
        console.print(f"remark: {way.remark}", markup=False)
    with place.alone(demo.out), _signals() as stopped:
        recording = place.fresh_folder(demo.out)
        store = open_store(demo.store, demo.seed)
        save_store(store, demo.out / "store")
        plan = Plan(demo.out / "store", demo.store, scenario, demo.seed, not demo.headless, recording, RECORD_S)
        show = Show(demo, store, console)
        with ExitStack() as stack:
            shift = _started(stack, plan, way, show, model, stopped)
            if shift is None:
                return 130
            _watch(shift, way)
            hurried = bool(stopped)
            console.print("Closing the shop and the live store ..." if hurried else "The shop has closed.")
            shift.look()
            shift.hardware.stop()
        return _finished(shift, model, hurried)


def scenario_of(demo: Demo) -> Scenario:
    """What people do: one day of a scenario when headless, or days of it, one after the other."""
    if demo.headless:
        chosen = demo_scenario(demo.scenario)
        return chosen.model_copy(update={"quiet_s": QUIET_S})
    text = files("openaisle.demo").joinpath("endless.yaml").read_text(encoding="utf-8")
    own = parse_scenario(text, "endless.yaml")
    if demo.scenario == OWN_SCENARIO:
        return own
    times = {name: getattr(own, name) for name in ("duration_s", "shoppers", "arrival_s", "quiet_s", "fill")}
    return demo_scenario(demo.scenario).model_copy(update=times)


def way_of(demo: Demo, in_process: bool = False) -> Way | None:
    """How a live store can run here; None without the packages that it needs."""
    if any(find_spec(name) is None for name in NEEDS):
        return None
    http = place.free_port(HTTP)
    if not http:
        return Way(0, remark="ports are refused here: no dashboard, and sensors write straight into the journal")
    if in_process:
        return Way(http)
    if any(find_spec(name) is None for name in WIRES):
        return Way(http, remark="no RTSP and MQTT without the extra: pip install 'openaisle[live]'")
    return Way(http, place.free_port(RTSP), place.free_port(MQTT))


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM are noted while the block runs."""
    stopped: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda got, _: stopped.append(got)) for number in numbers]
    try:
        yield stopped
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _started(stack: ExitStack, plan: Plan, way: Way, show: Show, model: str, stopped: list[int]) -> Shift | None:
    """Everything runs and the shop has opened; None when somebody stopped it before."""
    from openaisle.service.beside import Beside, journal_of, planned
    from openaisle.service.serve import Wish

    out = show.demo.out
    ports = Ports(place.HOST, way.rtsp, way.mqtt) if way.wired else None
    source = str(write_settings(out, settings_of(show, ports))) if ports is not None else ""
    serve = planned(Wish(out / "service", str(plan.store), source, model=model, host=place.HOST, port=way.http))
    hardware = stack.enter_context(Hardware(plan, ports, journal_of(serve)))
    beside = Beside(serve, show.say)
    stack.callback(beside.close)
    stack.callback(beside.stop)
    shift = Shift(show.demo, beside, hardware, show, stopped=stopped)
    end_s = time.monotonic() + START_S
    with show.console.status("starting the shop's cameras and scales, and the live store ..."):
        while not (hardware.ready and beside.ready and hardware.ahead_s >= _enough(hardware, show)):
            shift.look()
            if stopped:
                return None
            if shift.closed is not None:
                raise OpenAisleError(shift.closed.problem)
            if time.monotonic() > end_s:
                raise OpenAisleError(f"the live store does not start within {START_S:.0f} s; see {serve.path / 'log'}")
            time.sleep(LOOK_S)
    hardware.open()
    return shift


def _enough(hardware: Hardware, show: Show) -> float:
    """How much must be simulated before the shop opens, in seconds."""
    pace = hardware.ahead_s / max(1.0, time.monotonic() - show.began_s)
    return AHEAD_S / 4 if pace >= FAST else AHEAD_S


def settings_of(show: Show, ports: Ports) -> str:
    """sensors.yaml, which leads to the hardware."""
    from openaisle.sim.hardware.shop import FakeShop

    return FakeShop(show.store, ports).settings_yaml() + SETTINGS


def _watch(shift: Shift, way: Way) -> None:
    """Until Ctrl-C, or until the day is over and every receipt is there."""
    show, address = shift.show, shift.beside.way_in
    show.where(way.wired, address)
    if address and not shift.demo.headless and shift.demo.browser and place.has_desktop():
        webbrowser.open(address)
    with _screen(show):
        while not shift.stopped and not shift.settled:
            shift.look()
            time.sleep(LOOK_S)
            if shift.closed is not None and shift.closed.problem:
                raise OpenAisleError(shift.closed.problem)


@contextmanager
def _screen(show: Show) -> Iterator[None]:
    if not show.drawn:
        yield
        return
    with Live(get_renderable=show.render, console=show.console, refresh_per_second=8, screen=True):
        yield


def _finished(shift: Shift, model: str, hurried: bool) -> int:
    """Receipts against the truth, film and report; the exit code."""
    from openaisle.demo.finish import Finish, finish

    truths = shift.tally.due() if hurried else list(shift.tally.truths.values())
    lost = shift.tally.lost(truths)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C leaves the film out
    finish(Finish(shift.show, shift.tally, truths, lost, shift.shift_ns, model))
    return 1 if lost else 0
