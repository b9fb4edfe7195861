"""Page: a live store under load as one self-contained HTML file: claims, latency, how far behind, memory, processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from openaisle.bench.live_report import BEHIND_S, LATENCY_S, LiveReport
from openaisle.bench.live_watch import Reading
from openaisle.view.bench_curves import QUARTERS, ceiling, thinned, ticks
from openaisle.view.bench_page import table, write_whole
from openaisle.view.charts import COLOURS, Axis, Series, chart, legend


def write_live_page(reports: Sequence[LiveReport], out: Path, command: str) -> None:
    """One page about one or more runs, the last first; runs of a search stand below each other."""
    title = "A live store under load"
    runs = "".join(_run(report) for report in reversed(reports))
    found = _search(reports) if len(reports) > 1 else ""
    origin = f"<h2>Where these numbers come from</h2><p><code>{escape(command)}</code></p>"
    write_whole(title, f"<h1>{title}</h1>{found}{runs}{origin}", out)


def _search(reports: Sequence[LiveReport]) -> str:
    rows = [
        [str(one.plan.load.cameras), str(one.plan.load.scales), str(one.plan.load.shoppers), _yes(one.sustained),
         _seconds(one.percentile(99)), _seconds(one.behind_s[-1][1] if one.behind_s else None)]
        for one in sorted(reports, key=lambda one: one.plan.load.cameras)
    ]  # fmt: skip
    head = ["cameras", "scales", "shoppers", "sustained", "update latency p99", "behind at the end"]
    return f"<h2>What this machine keeps up with</h2>{table(head, rows)}"


def _run(report: LiveReport) -> str:
    load = report.plan.load
    lead = f"{load.cameras} cameras, {load.scales} scales, about {load.shoppers} shoppers at once, {report.machine}"
    claims = table(["claim", "kept"], [[escape(claim), _yes(kept)] for claim, kept in report.claims.items()])
    charts = "".join(
        f"<figure><figcaption>{escape(t)}</figcaption>{svg}</figure>" for t, svg in _charts(report).items()
    )
    return (
        f"<h2>{escape(report.plan.model)}: {report.plan.minutes:g} minutes</h2><p class='lead'>{escape(lead)}</p>"
        f"{claims}{_figures(report)}{legend(report.processes)}<div class='charts'>{charts}</div>"
    )


def _figures(report: LiveReport) -> str:
    rows = [[f"update latency p{share}", _seconds(report.percentile(share))] for share in (50, 95, 99)]
    rows += [["true takes and returns, shown", f"{report.events}, {len(report.latency_s)}"]]
    rows += [[f"{kind} sent, lost", f"{report.sent.get(kind, 0)}, {lost}"] for kind, lost in report.lost.items()]
    rows += [["pictures dropped", f"{report.dropped:.2%}"]]
    grown, cores = report.growth_mb, report.cores
    processes = [[escape(name), f"{cores[name]:.2f}", f"{grown[name]:+.1f}"] for name in report.processes]
    return table(["", ""], rows) + table(["process", "cores busy", "memory growth, MB"], processes)


def _charts(report: LiveReport) -> dict[str, str]:
    end_s = ceiling(max((one.at_s for one in report.readings), default=1.0))
    time_axis = Axis("seconds since the shop opened", 0, end_s, ticks(end_s))
    late = sorted(report.latency_s)
    latest = ceiling(max([LATENCY_S, *late]))
    events = max(1, report.events)
    steps = [(second, (i + up) / events) for i, second in enumerate(late) for up in (0, 1)]
    shares = [(0.0, 0.0), *steps, (latest, len(late) / events)]
    behind = ceiling(max([BEHIND_S, *(seconds for _, seconds in report.behind_s)]))
    return {
        "Updates in time": chart(
            Axis("seconds after the item left the shelf, or came back", 0, latest, ticks(latest)),
            Axis("share of takes and returns shown", 0, 1, QUARTERS), [Series("", 0, (), thinned(shares))],
            ((LATENCY_S, 0), (LATENCY_S, 1))),
        "How far the pipeline is behind": chart(
            time_axis, Axis("seconds behind the clock", 0, behind, ticks(behind)),
            [Series("", 0, (), thinned(list(report.behind_s)))], ((0, BEHIND_S), (end_s, BEHIND_S))),
        "Memory": _by_process(report, time_axis, "resident megabytes", lambda one: one.memory_mb),
        "Processor": _by_process(report, time_axis, "cores busy", lambda one: one.cores),
    }  # fmt: skip


def _by_process(report: LiveReport, time_axis: Axis, title: str, value: Callable[[Reading], float]) -> str:
    high = ceiling(max((value(one) for one in report.readings), default=1.0))
    lines = [
        Series(name, i % COLOURS, (), thinned([(r.at_s, value(r)) for r in report.readings if r.process == name]))
        for i, name in enumerate(report.processes)
    ]
    return chart(time_axis, Axis(title, 0, high, ticks(high)), lines)


def _yes(kept: bool) -> str:
    return "yes" if kept else "<b>NO</b>"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"
