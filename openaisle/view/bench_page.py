"""Page: the benchmark as one self-contained HTML file: tables with intervals, charts, and the worst visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from openaisle.bench.axes import AXES
from openaisle.bench.models import ORACLE
from openaisle.bench.report import PLAIN_AXIS, Report, Row, sections
from openaisle.bench.results import CaseResult
from openaisle.view.bench_curves import QUARTERS, charts_of
from openaisle.view.charts import COLOURS, Axis, Estimate, intervals, legend
from openaisle.view.worst import FOLDER, Worst, worst_of

WORST = 20
# Metrics in the order of the tables: name in the results, title, how to write it, is more better?
METRICS: tuple[tuple[str, str, str, bool], ...] = (
    ("exact", "exact receipts", ".3f", True),
    ("f1", "F1 of units", ".3f", True),
    ("precision", "precision", ".3f", True),
    ("recall", "recall", ".3f", True),
    ("overcharge", "overcharge", ".2%", False),
    ("undercharge", "undercharge", ".2%", False),
    ("attribution", "attribution", ".3f", True),
    ("review_rate", "review rate", ".3f", False),
    ("calibration", "calibration error", ".3f", False),
    ("latency_s.p50", "update latency p50, s", ".1f", False),
    ("latency_s.p95", "update latency p95, s", ".1f", False),
    ("latency_s.p99", "update latency p99, s", ".1f", False),
    ("final_latency_s.p50", "final latency p50, s", ".1f", False),
    ("final_latency_s.p95", "final latency p95, s", ".1f", False),
)
SPEED: tuple[tuple[str, str, str], ...] = (
    ("times_real_time", "pipeline, times real time", ".1f"),
    ("cpu_s_per_shopper_minute", "processor seconds per shopper-minute", ".1f"),
    ("step_p50_ms", "step p50, ms", ".0f"),
    ("step_p95_ms", "step p95, ms", ".0f"),
    ("step_p99_ms", "step p99, ms", ".0f"),
    ("memory_mb", "peak memory, simulator included, MB", ".0f"),
)
SHORTER = {".3f": ".2f", ".2%": ".1%", ".1f": ".1f"}  # of intervals
BY_SUITE = ("exact", "f1", "overcharge", "undercharge")


def write_page(report: Report, results: Sequence[CaseResult], out: Path) -> None:
    """Write the page whole; it links to films in the folder `worst` beside it, where they are."""
    write_whole("CheckoutBench", "".join(_parts(report, results, out.parent)), out)


def write_whole(title: str, body: str, out: Path) -> None:
    """A page of the benchmark with its style sheets in it, written whole or not at all."""
    css = files("openaisle.view").joinpath("report.css").read_text(encoding="utf-8")
    css += files("openaisle.view").joinpath("bench.css").read_text(encoding="utf-8")
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
    page = f"<!doctype html>\n<html lang='en'><head>{head}<title>{escape(title)}</title><style>{css}</style></head>"
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    partial.write_text(f"{page}<body>{body}</body></html>\n", encoding="utf-8")
    partial.replace(out)


def _parts(report: Report, results: Sequence[CaseResult], folder: Path) -> list[str]:
    main, _ = sections(results)
    models = list(dict.fromkeys(result.model for result in main))
    colours = {model: i % COLOURS for i, model in enumerate(models)}
    charts = charts_of(main, models)
    figures = "".join(f"<figure><figcaption>{escape(t)}</figcaption>{svg}</figure>" for t, svg in charts.items())
    lead = f"{len({result.case for result in results})} cases, {_visits(report)} visits by {len(models)} systems"
    parts = [
        f"<h1>CheckoutBench</h1><p class='lead'>{escape(lead)}. In brackets: 95% bootstrap intervals over visits.</p>",
        legend(models),
        "<h2>All visits</h2>", _overall(report, models),
        "<h2>Exact receipts by suite</h2>", _bars(report, "suite", colours),
        _groups(report, "suite", models),
        "<h2>Exact receipts by number of shoppers in the shop at once</h2>", _bars(report, "shoppers", colours),
        _groups(report, "shoppers", models),
        "<h2>By kind of store</h2>", _groups(report, "store", models),
        f"<h2>Trust, time, cost</h2>{legend(models)}<div class='charts'>{figures}</div>",
    ]  # fmt: skip
    if any(row.grouping == "axis" for row in report.rows):
        words = "The same cases with one thing harder than in any training; changes against the same cases without it."
        parts += [f"<h2>What is new to everybody</h2><p>{words}</p>", _axes(report, models), _axis_words(report)]
    if any(row.grouping == "senses" for row in report.rows):
        parts += ["<h2>What each sense is worth</h2><p>On the cases that all of them played.</p>", _senses(report)]
    parts += ["<h2>Worst visits</h2>", *(_worst(main, model, folder) for model in models), _origin(report)]
    return parts


def _visits(report: Report) -> int:
    return max((row.metrics.visits for row in report.rows if row.grouping == "overall"), default=0)


# --- tables -------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[str]], name: str = "") -> str:
    """A table of ready HTML cells that scrolls sideways where the window is narrow."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='wide'><table class='{name}'><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _value(row: Row | None, metric: str, form: str) -> str:
    """A metric with its interval, "–" for nothing measured."""
    interval = row.intervals.get(metric) if row else None
    if interval is None:
        return "–"
    low, high = (format(value, SHORTER[form]) for value in (interval.low, interval.high))
    return f"{interval.value:{form}} <small>[{low}, {high}]</small>"


def _rows(report: Report, grouping: str) -> Mapping[tuple[str, str], Row]:
    """By (group, model)."""
    return {(row.group, row.model): row for row in report.rows if row.grouping == grouping}


def _overall(report: Report, models: Sequence[str]) -> str:
    rows = {model: row for (_, model), row in _rows(report, "overall").items()}
    body = [
        [escape(title), *_marked([rows.get(model) for model in models], metric, form, more)]
        for metric, title, form, more in METRICS
    ]
    for name, title, form in SPEED:
        figures = [report.speed[model][name] for model in models]
        body.append([escape(title), *(format(figure, form) if figure else "–" for figure in figures)])
    return table(["", *map(escape, models)], body)


def _marked(rows: Sequence[Row | None], metric: str, form: str, more: bool) -> list[str]:
    """Cells of a metric, the best in bold; systems that are told where everybody is do not compete."""
    values = [row.intervals[metric].value if row and metric in row.intervals else None for row in rows]
    rivals = [v for row, v in zip(rows, values, strict=True) if row and v is not None and ORACLE not in row.model]
    best = (max if more else min)(rivals, default=None) if len(rivals) > 1 else None
    cells = [_value(row, metric, form) for row in rows]
    return [
        f"<b>{cell}</b>" if row and value is not None and value == best and ORACLE not in row.model else cell
        for cell, row, value in zip(cells, rows, values, strict=True)
    ]


def _groups(report: Report, grouping: str, models: Sequence[str]) -> str:
    """Four metrics by group, models below each other within it."""
    rows = _rows(report, grouping)
    titles = {metric: (title, form, more) for metric, title, form, more in METRICS}
    body = []
    for group in dict.fromkeys(group for group, _ in rows):
        cells = {
            metric: _marked(
                [rows.get((group, model)) for model in models], metric, titles[metric][1], titles[metric][2]
            )
            for metric in BY_SUITE
        }
        for i, model in enumerate(models):
            if row := rows.get((group, model)):
                name = escape(group) if i == 0 else ""
                body.append([name, escape(model), str(row.metrics.visits), *(cells[metric][i] for metric in BY_SUITE)])
    return table(["", "system", "visits", *(escape(titles[metric][0]) for metric in BY_SUITE)], body, "groups")


def _bars(report: Report, grouping: str, colours: Mapping[str, int]) -> str:
    rows = _rows(report, grouping)
    groups = []
    for group in dict.fromkeys(group for group, _ in rows):
        estimates = []
        for model, colour in colours.items():
            row = rows.get((group, model))
            if row and "exact" in row.intervals:
                i = row.intervals["exact"]
                words = f"{model}, {group}: {i.value:.3f} [{i.low:.2f}, {i.high:.2f}] of {row.metrics.visits} visits"
                estimates.append(Estimate(colour, i.value, i.low, i.high, words))
        groups.append((group, estimates))
    return f"{legend(list(colours))}{intervals(Axis('exact', 0, 1, QUARTERS), groups)}"


def _axes(report: Report, models: Sequence[str]) -> str:
    rows = _rows(report, "axis")
    names = [PLAIN_AXIS, *(name for name in AXES if any((name, model) in rows for model in models))]

    def cell(name: str, model: str, metric: str) -> str:
        value = _value(rows.get((name, model)), metric, ".3f")
        mine, plain = rows.get((name, model)), rows.get((PLAIN_AXIS, model))
        a, b = (row.intervals.get(metric) if row else None for row in (mine, plain))
        return f"{value} <small>{a.value - b.value:+.3f}</small>" if a and b and name != PLAIN_AXIS else value

    body = [
        [
            escape(name),
            str(max(row.metrics.visits for (group, _), row in rows.items() if group == name)),
            *(cell(name, model, metric) for model in models for metric in ("exact", "f1")),
        ]
        for name in names
    ]
    return table(["", "visits", *(f"{escape(model)}: {m}" for model in models for m in ("exact", "F1"))], body)


def _axis_words(report: Report) -> str:
    shown = {row.group for row in report.rows if row.grouping == "axis"}
    items = "".join(
        f"<dt>{escape(one.name)}</dt><dd>{escape(one.what)}</dd>" for one in AXES.values() if one.name in shown
    )
    return f"<dl>{items}</dl>"


def _senses(report: Report) -> str:
    rows = {model: row for (_, model), row in _rows(report, "senses").items()}
    titles = [(metric, title, form) for metric, title, form, _ in METRICS if metric in (*BY_SUITE, "attribution")]
    body = [
        [escape(model), str(row.metrics.visits), *(_value(row, metric, form) for metric, _, form in titles)]
        for model, row in rows.items()
    ]
    return table(["system", "visits", *(escape(title) for _, title, _ in titles)], body)


# --- the worst ----------------------------------------------------------------------------------------------


def _worst(results: Sequence[CaseResult], model: str, folder: Path) -> str:
    found = worst_of(results, model, WORST)
    if not found:
        return f"<p>{escape(model)}: every receipt is exact.</p>"
    cards = "".join(_card(one, folder) for one in found)
    wrong = sum(len(result.wrong) for result in results if result.model == model)
    title = f"{model}: the worst {len(found)} of {wrong} wrong receipts"
    return f"<details><summary>{escape(title)}</summary><div class='cards'>{cards}</div></details>"


def _card(one: Worst, folder: Path) -> str:
    rows = "".join(
        f"<tr class='{'right' if line.charged == line.taken else 'wrong'}'><td>{escape(line.name)}</td>"
        f"<td>{line.charged}</td><td>{line.taken}</td></tr>"
        for line in one.wrong.lines
    )
    case = one.result.case
    shoppers = next((v.shoppers for v in one.result.visits if v.visit == one.wrong.visit), 0)
    around = f", {shoppers} in the shop at once" if shoppers else ""
    value = f"{one.wrong.over_cents / 100:.2f} too much, {one.wrong.under_cents / 100:.2f} too little"
    film = (
        f"<a href='{FOLDER}/{escape(one.clip, quote=True)}'>film</a>" if (folder / FOLDER / one.clip).exists() else ""
    )
    never = "" if one.wrong.end_ns else " (this visit never was)"
    return (
        f"<article class='wrong'><h3>{escape(case.scenario)} {case.seed} <small>{escape(case.store)}, visit "
        f"{escape(one.wrong.visit)}{never}{escape(around)}</small> {film}</h3><table><tr><th>product</th>"
        f"<th>charged</th><th>taken</th></tr>{rows}</table><p><small>{value}, at list prices</small></p></article>"
    )


def _origin(report: Report) -> str:
    facts = [("commit", report.commit), ("splits", f"version {report.splits}"), ("machine", report.machine)]
    facts += [("command", report.command)]
    facts += [(model, sha[:12] or "no weights") for model, sha in report.models.items()]
    rows = "".join(f"<dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd>" for name, value in facts)
    return (
        f"<h2>Where these numbers come from</h2><dl>{rows}</dl><p>What the metrics mean is told in docs/benchmark.md. "
        "Films of the worst visits are made by <code>aisle bench --worst 20</code>.</p>"
    )
