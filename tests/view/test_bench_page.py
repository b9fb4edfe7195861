"""The benchmark's page: self-contained, its curves agree with the metrics, nothing of it breaks out of the markup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import av
import pytest

from openaisle.bench.jobs import Job
from openaisle.bench.play import play
from openaisle.bench.report import build_report
from openaisle.bench.results import CaseResult
from openaisle.bench.suites import Case, plan
from openaisle.bench.wrong import WrongLine, WrongVisit, wrong_visits
from openaisle.messages import TruthReceipt
from openaisle.receipts.document import LineRecord, ReceiptRecord, ReceiptsDocument
from openaisle.receipts.metrics import VisitScore, metrics
from openaisle.store.schema import ProductSpec
from openaisle.view.bench_curves import LATEST_S, latency, reliability, review
from openaisle.view.bench_page import write_page
from openaisle.view.worst import FOLDER, Worst, worst_of, write_clips
from tests.bench.played import KIOSK, job, played, visit

CASES = [Case(KIOSK, name, seed) for name in ("solo", "crowd") for seed in (850_000, 850_001)]
MANY = [visit(f"v{i}", i % 3 > 0 or i > 20, 1 + i % 5, 0.3 + (i * 37 % 60) / 100) for i in range(40)]


def results() -> list[CaseResult]:
    """Two systems on four cases, on one axis, and one of them without a sense."""
    asked = (*plan(CASES, ["small", "rule"], ["dark"]), *plan(CASES, ["small-no-video"]))
    return [played(job(case, model)) for case, model in asked]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of these results."""
    out = tmp_path_factory.mktemp("page") / "report.html"
    write_page(build_report(results(), "aisle bench --model <mine>", 20), results(), out)
    return out.read_text(encoding="utf-8")


def test_nothing_is_fetched(page: str) -> None:
    assert not re.search(r"https?:|<script|<link|@import|url\(|\bsrc=", page)


def test_what_others_wrote_stays_text(page: str) -> None:
    assert "Cola &lt;b&gt;" in page
    assert "--model &lt;mine&gt;" in page
    assert "<b>Cola" not in page
    assert "Cola <b>" not in page


def test_drawings_are_whole_and_all_there(page: str) -> None:
    drawings = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    assert len(drawings) == 6  # by suite, by shoppers, and four curves
    for drawing in drawings:
        width, height = (float(n) for n in drawing.attrib["viewBox"].split()[2:])
        for circle in drawing.iter("circle"):
            assert 0 <= float(circle.attrib["cx"]) <= width
            assert 0 <= float(circle.attrib["cy"]) <= height
            title = next((one for one in drawing.iter("title")), None)
            assert title is not None
            assert title.text
    assert len(list(drawings[0].iter("circle"))) == 4  # two suites by two systems
    assert len(list(drawings[5].iter("circle"))) == 8  # a mark a case and system


SAID = (
    "By kind of store", "What is new to everybody", "two fifths of the light", "What each sense is worth",
    "small-no-video", "rule: the worst 2 of 2 wrong receipts", "small: every receipt is exact",
)  # fmt: skip


def test_sections(page: str) -> None:
    assert all(words in page for words in SAID)
    plain = [result for result in results() if not result.case.axis and result.model != "small-no-video"]
    assert "What is new" not in _written(plain)


def _written(some: Sequence[CaseResult], folder: Path | None = None) -> str:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        out = (folder or Path(name)) / "report.html"
        write_page(build_report(some, "aisle bench", 10), some, out)
        return out.read_text(encoding="utf-8")


def test_films_are_linked_where_they_are(tmp_path: Path) -> None:
    worst = worst_of(results(), "rule", 1)[0]
    assert "film</a>" not in _written(results(), tmp_path)
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / worst.clip).write_bytes(b"")
    assert f"href='{FOLDER}/{worst.clip}'" in _written(results(), tmp_path)


def test_the_worst_is_who_pays_most_too_much() -> None:
    one = played(job(CASES[1], "rule"))
    over = WrongVisit("a", 1, (WrongLine("1", "x", 1, 0, 300),))
    under = WrongVisit("b", 1, (WrongLine("1", "x", 0, 1, 500),))
    found = worst_of([replace(one, wrong=(under, over))], "rule", 5)
    assert [worst.wrong.visit for worst in found] == ["a", "b"]
    assert (over.over_cents, over.under_cents, under.over_cents, under.under_cents) == (300, 0, 0, 500)
    assert worst_of(results(), "rule", 1)[0].wrong.visit == "v1"


def test_wrong_visits_list_what_was_charged_against_the_truth() -> None:
    def record(name: str, *lines: tuple[str, int]) -> ReceiptRecord:
        units = [LineRecord(gtin=g, quantity=n, unit_price_cents=1, confidence=1.0) for g, n in lines]
        return ReceiptRecord(visit=name, lines=units, total_cents=0, currency="EUR", needs_review=False)

    tea = ProductSpec(gtin="00000000000017", name="Tea", price_cents=250, weight_grams=5, width_mm=10, height_mm=10,
                      depth_mm=10)  # fmt: skip
    document = ReceiptsDocument(
        recording="r", model="m", receipts=[record("right", ("17", 2)), record("never", ("17", 1)), record("few")]
    )
    truth = [TruthReceipt(5, "right", (("17", 2),)), TruthReceipt(9, "few", (("17", 3),))]
    found = wrong_visits(document, truth, [tea])
    assert [(one.visit, one.end_ns, one.over_cents, one.under_cents) for one in found] == [
        ("few", 9, 0, 750), ("never", 0, 250, 0),
    ]  # fmt: skip
    assert found[0].lines == (WrongLine("00000000000017", "Tea", 0, 3, 250),)


def test_curves_agree_with_the_metrics() -> None:
    measured = metrics(MANY)
    left = review(MANY, "m", 0)
    assert left.line[0] == (0.0, measured.exact)
    enough = next((share for share, exact in left.line if exact >= 0.999), 1.0)
    assert enough == pytest.approx(measured.review_rate)
    last_s, shown = latency(MANY, "m", 0).line[-1]
    assert last_s == LATEST_S
    assert shown == pytest.approx(measured.attribution)
    assert latency([], "m", 0).line == ()
    sure = reliability([VisitScore("v", True, 1, 1, 1, 1, 0, 0, 1, ((0.95, True), (0.97, False)))], "m", 0)
    assert len(sure.points) == 1
    assert sure.points[0].x == pytest.approx(0.96)
    assert sure.points[0].y == 0.5


def test_a_film_of_a_worst_visit(tmp_path: Path) -> None:
    scenario = tmp_path / "short.yaml"
    scenario.write_text("name: short\nduration_s: 12\nshoppers: [1, 1]\npicks: [1, 1]\narrival_s: [0, 1]\n")
    (result,) = play([Job("key", Case(KIOSK, str(scenario), 850_000), "rule-oracle", "")])
    name = result.visits[0].visit
    worst = Worst(result, WrongVisit(name, 1, (WrongLine("1", "x", 1, 0, 300),)))
    films = write_clips([worst], tmp_path / FOLDER)
    assert [film.name for film in films] == [worst.clip]
    with av.open(str(films[0])) as film:
        assert film.duration is not None
        assert 3 < film.duration / av.time_base < result.stream_s + 5
        picture = next(film.decode(video=0)).to_ndarray(format="rgb24")
    assert picture.std() > 10
    before = films[0].stat().st_mtime_ns
    assert write_clips([worst], tmp_path / FOLDER) == films
    assert films[0].stat().st_mtime_ns == before  # not made twice
    assert result.cameras == 4
    assert result.shopper_s > 0
    assert result.memory_mb > 50
