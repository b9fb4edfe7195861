"""Pictures: overlays land where the camera sees them, the film and the report are whole files."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
from rich.console import Console

from openaisle.messages import NANOSECONDS, TruthReceipt, VideoFrame
from openaisle.recording.reader import Recording
from openaisle.view import ink
from openaisle.view.film import instants, write_film
from openaisle.view.mosaic import HEIGHT, WIDTH
from openaisle.view.report import Report, write_report
from openaisle.view.scene import Stage, draw_scene
from openaisle.view.terminal import CharPlan, Screen
from openaisle.view.timeline import FLOOR, Timeline, add_truth
from openaisle.view.verdict import summary, verdicts
from tests.view.shop import SECONDS, START_NS, VISIT, record


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The scripted visit on disk."""
    return record(tmp_path_factory.mktemp("view") / "rec")


@pytest.fixture(scope="module")
def timeline(recording: Recording) -> Timeline:
    """Filled from the recording's truth."""
    return add_truth(Timeline(recording.store), recording.truth())


def test_a_body_is_drawn_where_the_camera_sees_it(timeline: Timeline) -> None:
    time_ns = START_NS + 2 * NANOSECONDS
    (body,) = timeline.bodies_at(time_ns)
    camera = next(c for c in timeline.store.cameras if c.sees(body.points_m[FLOOR]))
    blank = np.zeros((camera.height_px * 2, camera.width_px * 2, 3), dtype=np.uint8)
    draw_scene(Stage(blank, camera, 2.0), timeline, time_ns)
    x, y = ((camera.project(body.points_m[FLOOR])[0] + 0.5) * 2 - 0.5).round().astype(int)
    assert tuple(blank[y, x]) == ink.visit_colour(0)


def test_instants_are_evenly_spaced_and_hold_the_newest_pictures() -> None:
    black = np.zeros((2, 2, 3), dtype=np.uint8)
    times = [0, 190_000_000, 410_000_000, 3_000_000_000]
    pictures = [VideoFrame("a", t, black) for t in times] + [VideoFrame("b", 3_000_000_000, black)]
    seen = list(instants(iter(pictures), NANOSECONDS // 5))
    assert [time_ns for time_ns, _ in seen] == [i * NANOSECONDS // 5 for i in range(16)]
    assert "a" in seen[3][1]
    assert "a" not in seen[14][1]  # silent for longer than HOLD_NS
    assert set(seen[-1][1]) == {"a", "b"}


def test_film_has_every_instant(recording: Recording, timeline: Timeline, tmp_path: Path) -> None:
    shares: list[float] = []
    write_film(recording, timeline, tmp_path / "view.mp4", "Test", shares.append)
    with av.open(str(tmp_path / "view.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.width, stream.height) == (WIDTH, HEIGHT)
        assert sum(1 for _ in film.decode(stream)) == SECONDS * round(timeline.store.cameras[0].fps)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert not list(tmp_path.glob("*partial*"))


def test_a_film_that_fails_leaves_nothing(recording: Recording, timeline: Timeline, tmp_path: Path) -> None:
    def fail(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_film(recording, timeline, tmp_path / "view.mp4", "Test", fail)
    assert list(tmp_path.iterdir()) == []


def test_verdicts_count_what_is_wrong(recording: Recording, timeline: Timeline) -> None:
    true = [message for message in recording.truth() if isinstance(message, TruthReceipt)]
    end = timeline.receipts_at(recording.end_ns + NANOSECONDS)
    (right,) = verdicts(timeline, end, true)
    assert right.exact
    assert right.charged_cents == right.true_cents > 0
    (early,) = verdicts(timeline, timeline.receipts_at(START_NS + 4 * NANOSECONDS), true)
    assert not early.exact
    assert early.charged_cents == 2 * right.charged_cents
    (missing,) = verdicts(timeline, [], true)
    assert (missing.exact, missing.charged_cents) == (False, 0)
    assert summary([right, early]).startswith("1 of 2 receipts exact")
    phantoms = verdicts(timeline, end, [])
    assert [(v.visit, v.exact) for v in phantoms] == [(VISIT, False)]


def test_report_is_one_well_formed_page(recording: Recording, timeline: Timeline, tmp_path: Path) -> None:
    true = [message for message in recording.truth() if isinstance(message, TruthReceipt)]
    rows = verdicts(timeline, timeline.receipts_at(recording.end_ns + NANOSECONDS), true)
    write_report(Report("Test <shop>", timeline, rows, [("seed", "1")]), recording, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    tags: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)

    Tags().feed(text)
    assert "Test &lt;shop&gt;" in text
    assert tags.count("img") == 2  # a still of each event
    assert tags.count("polyline") == 1
    assert "http" not in text.replace("http-equiv", "")  # nothing is fetched


def test_terminal_shows_people_lanes_and_receipts(timeline: Timeline) -> None:
    screen = Screen(timeline, "Test", START_NS, time_ns=START_NS + round(3.5 * NANOSECONDS))
    for happening in timeline.happenings(START_NS, screen.time_ns):
        screen.say(happening)
    console = Console(width=120, height=40, record=True, force_terminal=True, file=None)
    with console.capture() as shown:
        console.print(screen.render())
    text = shown.get()
    assert "shopping" in text
    assert "2 ×" in text
    assert "▒" in text
    assert "takes" in text


def test_plan_cells_stay_inside(timeline: Timeline) -> None:
    plan = CharPlan(timeline.store, 40)
    cells = plan.cells([[-5.0, -5.0], [50.0, 50.0]])
    assert cells.min() >= 0
    assert (cells.max(axis=0) <= [39, plan.rows - 1]).all()
