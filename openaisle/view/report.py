"""Report: one self-contained HTML page of a recording: verdicts, film, paths, and a still of every event."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, Message, VideoFrame
from openaisle.receipts.render import money
from openaisle.recording.reader import Recording
from openaisle.store.store import Store
from openaisle.view import ink
from openaisle.view.mosaic import Mosaic, clock
from openaisle.view.plan import footprint
from openaisle.view.timeline import Happening, Timeline
from openaisle.view.verdict import Verdict, summary

STILLS = 12
STILL_WIDTH = 960
EMBED_BYTES = 12_000_000  # a larger film is linked, not embedded
STILL_DELAY_NS = 3 * NANOSECONDS // 10  # the glow of an event is on by then


@dataclass(frozen=True)
class Report:
    """What the page tells; `facts` are (name, value) pairs for its head."""

    title: str
    timeline: Timeline
    verdicts: Sequence[Verdict]
    facts: Sequence[tuple[str, str]]
    film: Path | None = None


def write_report(report: Report, recording: Recording, out: Path) -> None:
    """Write the page whole."""
    css = files("openaisle.view").joinpath("report.css").read_text(encoding="utf-8")
    partial = out.with_name(out.name + ".partial")
    parts = [
        f"<h1>{escape(report.title)}</h1><p class='lead'>{escape(summary(report.verdicts))}.</p>",
        _facts(report.facts),
        _film(report.film),
        "<h2>Receipts against the truth</h2><div class='cards'>" + "".join(map(_card, report.verdicts)) + "</div>",
        "<h2>Paths</h2>" + paths_svg(report.timeline, recording.start_ns, recording.end_ns),
        "<h2>What happened</h2>" + _stills(report, recording),
    ]
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
    page = f"<!doctype html>\n<html lang='en'><head>{head}<title>{escape(report.title)}</title><style>{css}</style>"
    partial.write_text(f"{page}</head><body>{''.join(parts)}</body></html>\n", encoding="utf-8")
    partial.replace(out)


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f"<dl>{rows}</dl>"


def _film(film: Path | None) -> str:
    if film is None:
        return ""
    if film.stat().st_size > EMBED_BYTES:
        return f"<p><a href='{escape(film.name)}'>{escape(film.name)}</a></p>"
    data = base64.b64encode(film.read_bytes()).decode("ascii")
    return f"<video controls muted playsinline src='data:video/mp4;base64,{data}'></video>"


def _card(verdict: Verdict) -> str:
    rows = "".join(
        f"<tr class='{'right' if line.right else 'wrong'}'><td>{escape(line.name)}</td><td>{line.charged}</td>"
        f"<td>{line.taken}</td><td>{'✓' if line.right else '✗'}</td></tr>"
        for line in verdict.lines
    )
    charged, true = money(verdict.charged_cents, verdict.currency), money(verdict.true_cents, verdict.currency)
    review = " <em>to be reviewed</em>" if verdict.needs_review else ""
    return (
        f"<article class='{'right' if verdict.exact else 'wrong'}'><h3>{escape(verdict.symbol)} "
        f"<small>{escape(verdict.visit)}</small>{review}</h3><table><tr><th>product</th><th>receipt</th><th>truth</th>"
        f"<th></th></tr>{rows}<tr class='total'><td>total</td><td>{charged}</td><td>{true}</td><td></td></tr></table>"
        "</article>"
    )


def paths_svg(timeline: Timeline, start_ns: int, end_ns: int) -> str:
    """The floor plan with everybody's path, as inline SVG (metres, y up)."""
    store = timeline.store
    shapes = [_polygon(store.spec.floor_m, "floor")]
    shapes += [_polygon(footprint(fixture)[:, :2].tolist(), "fixture") for fixture in store.spec.fixtures]
    shapes += [_polygon([gate.a_m, gate.b_m], "gate") for gate in store.spec.gates]
    for track, visit in timeline.tracks.items():
        index = timeline.visits.index(visit) if visit else -1
        path = timeline.trail(track, end_ns, end_ns - start_ns + 1)[:, :2].tolist()
        red, green, blue = ink.visit_colour(index)
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in path)
        shapes.append(f"<polyline class='path' stroke='rgb({red},{green},{blue})' points='{points}'/>")
    left, bottom, width, depth = _extent(store)
    view = f"{left:.2f} {-(bottom + depth):.2f} {width:.2f} {depth:.2f}"
    return f"<svg class='plan' viewBox='{view}'><g transform='scale(1,-1)'>{''.join(shapes)}</g></svg>"


def _extent(store: Store) -> tuple[float, float, float, float]:
    floor = np.array(store.spec.floor_m)
    low, high = floor.min(axis=0) - 0.2, floor.max(axis=0) + 0.2
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def _polygon(points_m: Sequence[Sequence[float]], name: str) -> str:
    points = " ".join(f"{x:.3f},{y:.3f}" for x, y in points_m)
    return f"<polygon class='{name}' points='{points}'/>"


def _stills(report: Report, recording: Recording) -> str:
    """Pictures of up to STILLS events, spread over the recording."""
    found = list(report.timeline.happenings(recording.start_ns - 1, recording.end_ns))
    if not found:
        return "<p>Nothing was taken.</p>"
    chosen = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(STILLS, len(found))).round().astype(int))]
    mosaic = Mosaic(report.timeline, report.title, recording.start_ns)
    out: list[str] = []
    for happening in chosen:
        time_ns = happening.time_ns + STILL_DELAY_NS
        canvas = _picture(mosaic, recording.messages(time_ns - NANOSECONDS, time_ns + NANOSECONDS), time_ns)
        if canvas is not None:
            words = _words(report.timeline, happening, recording.start_ns)
            out.append(f"<figure><img alt='{words}' src='{_jpeg(canvas)}'><figcaption>{words}</figcaption></figure>")
    return "".join(out)


def _picture(mosaic: Mosaic, messages: Iterator[Message], time_ns: int) -> ink.Canvas | None:
    frames: dict[str, NDArray[np.uint8]] = {}
    for message in messages:
        if isinstance(message, VideoFrame) and message.time_ns <= time_ns:
            frames[message.camera] = message.rgb
    return mosaic.draw(frames, time_ns) if frames else None


def _words(timeline: Timeline, happening: Happening, start_ns: int) -> str:
    names = {product.gtin: product.name for product in timeline.store.products}
    who = timeline.symbols().get(happening.visit, "?")
    what = f"{abs(happening.quantity)} × {names.get(happening.gtin, happening.gtin)}"
    return escape(f"{clock(happening.time_ns - start_ns)}  {who} {happening.verb()} {what}", quote=True)


def _jpeg(canvas: ink.Canvas) -> str:
    height = round(canvas.shape[0] * STILL_WIDTH / canvas.shape[1])
    small = cv2.resize(canvas, (STILL_WIDTH, height), interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert done, "JPEG encoding of a uint8 picture cannot fail"
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
