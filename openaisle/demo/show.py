"""Show: what the terminal tells of a live store: where everything is, people and receipts as they change, who left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.text import Text

from openaisle.demo.run import STATUS_S, Demo
from openaisle.demo.tally import Tally
from openaisle.messages import NANOSECONDS
from openaisle.receipts.render import money
from openaisle.store.store import Store
from openaisle.tokens.tick import SLOT_NS
from openaisle.view.terminal import Screen
from openaisle.view.timeline import Timeline, happening_of, signed

if TYPE_CHECKING:
    from openaisle.service.observer import News, Stay
    from openaisle.service.tracks import Person

HEAD_M, HANDS_M = 1.65, 0.9  # heights that the live store does not tell; the plan does not show them
PAID = {"review": "waits for a person", "closed": "final"}


@dataclass
class Show:
    """One demo's screen, or its lines where there is none."""

    demo: Demo
    store: Store
    console: Console
    screen: Screen = field(init=False)
    began_s: float = field(default_factory=time.monotonic)
    first_receipt_s: float | None = None
    head: Text = field(default_factory=Text)
    _known: dict[str, int] = field(default_factory=dict)  # visit → updates that were told
    _ended: set[str] = field(default_factory=set)
    _time_ns: int = 0
    _status_ns: int = 0
    _way_in: str = ""
    _opened: bool = False

    def __post_init__(self) -> None:
        self.screen = Screen(Timeline(self.store), self.store.spec.name, 0)

    @property
    def drawn(self) -> bool:
        """Whether there is a screen to draw on."""
        return self.console.is_terminal and not self.demo.headless

    @property
    def timeline(self) -> Timeline:
        """What was told so far."""
        return self.screen.timeline

    def say(self, text: str) -> None:
        """A line for a person."""
        if self.drawn:
            self.screen.log.append(Text(text, "dim"))
        else:
            self.console.print(text, markup=False, soft_wrap=True)

    def where(self, wired: bool, way_in: str) -> None:
        """The lines that tell a newcomer what runs where."""
        how = "real RTSP and MQTT" if wired else "a journal, without ports"
        sensors = f"{len(self.store.spec.cameras)} cameras, {len(self.store.spec.scales)} scales"
        self.say(f"{self.store.spec.name}: {sensors} by {how}; everything lies in {self.demo.out}")
        if way_in:
            self.say(f"Dashboard (signs in once, then take the newest link): {way_in}")
        self._way_in, self._opened = way_in, True

    def tell(self, news: News, tally: Tally, way_in: str) -> None:
        """Show what a look brought."""
        with self.screen.lock:
            if news.time_ns > self._time_ns:
                self._moved(news)
            for name in news.merged:
                if name in self._known:
                    self.timeline.drop_receipt(self._time_ns, name)
            for stay in news.stays:
                self._stay(stay)
            self.head = self._head(tally, way_in)
        if self._way_in and way_in != self._way_in:
            self._way_in = way_in
            if not self.drawn:
                self.say(f"The link was used; the next one: {way_in}")
        if self._opened and not self.drawn and self._time_ns - self._status_ns >= STATUS_S * NANOSECONDS:
            self._status_ns = self._time_ns
            self.console.print(self.screen.status())

    def _moved(self, news: News) -> None:
        self._time_ns = news.time_ns
        if not self._opened:
            return
        if not self.screen.start_ns:
            self.screen.start_ns = self._status_ns = news.time_ns
            self.began_s = time.monotonic()
        here: dict[str, int] = {}
        for person in news.people:
            name = person.visit.partition(".")[2] or person.visit
            number = here[name] = here.get(name, 0) + 1  # members of a group share a visit
            self.timeline.add_body(news.time_ns - SLOT_NS, str(number), name, points_of(person))
        self.screen.advance(news.time_ns, max(1e-3, time.monotonic() - self.began_s))

    def _stay(self, stay: Stay) -> None:
        """New lines of a receipt, and its end."""
        self.timeline.add_receipt(self._time_ns, stay.receipt)
        updates = [update for update in stay.record.updates if signed(update) and update.gtin]
        for update in updates[self._known.get(stay.name, 0) :]:
            happening = happening_of(update, stay.name, max(update.time_ns, self._time_ns))
            self.timeline.add_happening(happening)
            self._line(self.screen.sentence(happening))
            if self.first_receipt_s is None:
                self.first_receipt_s = time.monotonic() - self.began_s
        self._known[stay.name] = max(len(updates), self._known.get(stay.name, 0))
        if stay.settled and stay.name not in self._ended:
            self._ended.add(stay.name)
            symbol = self.timeline.symbols().get(stay.name, "?")
            total = money(stay.receipt.total_cents, stay.receipt.currency)
            self._line(Text(f"       {symbol} has left: {total}, {PAID[stay.state]}"))

    def _line(self, text: Text) -> None:
        if self.drawn:
            self.screen.log.append(text)
        else:
            self.console.print(text)

    def _head(self, tally: Tally, way_in: str) -> Text:
        inside = sum(not stay.left_ns for stay in tally.stays.values())
        lag_s = max(0.0, (time.time_ns() - tally.time_ns) / NANOSECONDS) if tally.time_ns else 0.0
        figures = f"{inside} inside, {len(tally.stays)} visits, {tally.waiting} receipts wait for a person"
        behind = f", the store is {lag_s:.0f} s behind: this machine is busy" if lag_s > 8 else ""
        line = Text(f"{figures}{behind}  ·  Ctrl-C ends")
        if not way_in:
            return line
        return Text.assemble("Dashboard, signs in once: ", (way_in, f"bold link {way_in}"), "\n", line, overflow="fold")

    def render(self) -> RenderableType:
        """The whole screen."""
        layout = Layout()
        height = 3 + self.head.plain.count("\n") + (len(self.head.plain) > self.console.width)
        layout.split_column(Layout(Panel(self.head), size=height), Layout(self.screen.render()))
        return layout


def points_of(person: Person) -> list[tuple[float, float, float]]:
    """A body as the timeline has it; hands that are at no lane hang down."""
    x, y = person.x_m, person.y_m
    hands = [(hand[0], hand[1], HANDS_M) for hand in person.hands_m[:2]]
    return [(x, y, 0.0), (x, y, HEAD_M), *hands, *[(x, y, HANDS_M)] * (2 - len(hands))]
