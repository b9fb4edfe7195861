"""Metrics of single tasks against cases made by hand, and a few seconds of a shop from end to end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import openaisle.bench.tasks.run as run_module
import openaisle.bench.tasks.watch as watch_module
from openaisle.bench.jobs import Job
from openaisle.bench.scene import Scene
from openaisle.bench.suites import Case
from openaisle.bench.tasks.boxes import blobs, body_box
from openaisle.bench.tasks.detection import average_precision
from openaisle.bench.tasks.interactions import (
    LANE,
    SIGN,
    VISIT,
    accounts,
    lanes_by_hand,
    misplaced,
    nearest_hand,
    spotted,
    steps,
    stock_told,
    told_lanes,
)
from openaisle.bench.tasks.measure import TaskRow, measure
from openaisle.bench.tasks.observed import Observed, load
from openaisle.bench.tasks.people import followed, holds
from openaisle.bench.tasks.run import watch_cases
from openaisle.bench.tasks.table import markdown
from openaisle.bench.tasks.tracking import Tracks, TrackScore, standing, track_score
from openaisle.bench.tasks.watch import counted_events, observe, stocks
from openaisle.cli.app import app
from openaisle.errors import MissingExtraError, ModelError
from openaisle.messages import Truth, TruthLane
from openaisle.model.scores import (
    absolute_relative_error,
    average_precision_per_class,
    binary_average_precision,
    f1_per_class,
    jaccard_per_class,
    top_k,
    within_ratio,
)
from openaisle.receipts.events import LedgerEvent
from openaisle.receipts.ledger import Ledger
from openaisle.sim.stores import open_store
from openaisle.store.geometry import Camera, look_at
from openaisle.tokens.tick import Sensed
from openaisle.training.instants import boxes_of_cells
from tests.bench.observed import SECOND, START, perfect

# --- metrics by the fields' libraries -------------------------------------------------------------------------


def two_people(first: tuple[int, int], second: tuple[int, int], off_m: float = 0.0) -> tuple[Tracks, Tracks]:
    """Two people 5 m apart over four slots; the track at each person's place in the first and in the second half."""
    slot = np.repeat(np.arange(4), 2)
    floor = np.tile([[0.0, 0.0], [5.0, 0.0]], (4, 1))
    names = np.array([*first, *first, *second, *second])
    return Tracks(slot, np.tile([0, 1], 4), floor), Tracks(slot, names, floor + np.array([off_m, 0.0]))


def test_tracks_by_trackeval() -> None:
    assert track_score([two_people((7, 9), (7, 9))]) == TrackScore(1.0, 1.0, 1.0)
    exchanged = track_score([two_people((7, 9), (9, 7))])
    assert exchanged is not None
    assert exchanged.mota == pytest.approx(1 - 2 / 8)  # both change their names once
    assert exchanged.idf1 == pytest.approx(0.5)
    assert exchanged.hota == pytest.approx(math.sqrt(1 / 3))  # each name is right in 2 of 4 + 4 - 2 slots
    off = track_score([two_people((7, 9), (7, 9), 0.55)])
    assert off is not None
    assert (off.idf1, off.mota) == (1.0, 1.0)
    assert off.hota == pytest.approx(14 / 19)  # alike by 0.725: 14 of 19 thresholds
    lost = track_score([two_people((7, 9), (7, 9), 1.15)])
    assert lost is not None
    assert (lost.idf1, lost.mota) == (0.0, -1.0)
    assert lost.hota == pytest.approx(8 / 19)  # alike by 0.425
    nobody = Tracks(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)))
    assert track_score([(nobody, nobody)]) is None
    pooled = track_score([two_people((7, 9), (7, 9)), two_people((7, 9), (9, 7))])
    assert pooled is not None
    assert pooled.mota == pytest.approx(1 - 2 / 16)


def test_the_trivial_tracker_stands_still() -> None:
    tracks = Tracks(np.array([3, 1, 2]), np.array([4, 4, 5]), np.array([[9.0, 9.0], [1.0, 2.0], [3.0, 3.0]]))
    assert standing(tracks).floor_m.tolist() == [[1.0, 2.0], [1.0, 2.0], [3.0, 3.0]]


def test_boxes_by_coco() -> None:
    truth = np.array([[0, 0, 10, 10, 20, 40], [0, 1, 10, 10, 20, 40]], dtype=float)  # two cameras, one box each
    right = np.column_stack([truth, [0.9, 0.8]])
    perfect_score = average_precision(truth, right)
    assert perfect_score is not None
    assert [perfect_score.ap, perfect_score.ap50] == pytest.approx([1, 1])
    half = average_precision(truth, np.array([[0, 0, 10, 10, 20, 40, 0.9], [0, 0, 90, 90, 9, 9, 0.1]]))
    assert half is not None
    assert half.ap50 == pytest.approx(51 / 101)  # precision 1 up to a recall of a half, at 101 recalls
    shifted = average_precision(truth, right + np.array([0, 0, 0, 9, 0, 0, 0]))  # overlap 31 / 49
    assert shifted is not None
    assert [shifted.ap, shifted.ap50] == pytest.approx([3 / 10, 1])  # 0.50, 0.55, 0.60
    other = average_precision(truth, np.column_stack([truth + np.array([7, 0, 0, 0, 0, 0]), [0.9, 0.8]]))
    assert other is not None
    assert other.ap == 0
    assert average_precision(truth[:0], right) is None


def test_scores_by_torchmetrics() -> None:
    truth, guess = np.array([0, 0, 1, 1, 3]), np.array([0, 1, 1, 1, 0])
    f1 = f1_per_class(guess, truth, 5)
    assert f1[:2].tolist() == pytest.approx([0.5, 0.8])
    assert f1[3] == 0
    assert np.isnan(f1[[2, 4]]).all()
    assert jaccard_per_class(guess, truth, 5)[:2].tolist() == pytest.approx([1 / 3, 2 / 3])
    chances = np.eye(5)[truth]
    assert average_precision_per_class(chances, truth, 5)[[0, 1, 3]].tolist() == pytest.approx([1, 1, 1])
    even = average_precision_per_class(np.full((5, 5), 0.2), truth, 5)
    assert even[[0, 1, 3]].tolist() == pytest.approx([0.4, 0.4, 0.2])  # how often each is true
    scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    assert [top_k(scores, np.array([2, 0]), k) for k in (1, 2)] == [0.5, 1.0]
    assert top_k(scores, np.array([2, 0]), 5) == 1.0  # a catalogue of three
    assert binary_average_precision(np.array([1.0, 0, 1, 0]), np.array([1, 0, 0, 0])) == pytest.approx(0.5)
    depth = np.array([2.0, 4.0])
    assert absolute_relative_error(np.array([3.0, 4.4]), depth) == pytest.approx(0.3)
    assert within_ratio(np.array([3.0, 4.4]), depth) == 0.5


# --- what is measured -----------------------------------------------------------------------------------------


def events(*rows: tuple[float, int, int, int, int]) -> NDArray[np.int64]:
    """Events of second, sign, lane, product and units."""
    return np.array([(round(s * SECOND), sign, 0, lane, p, n) for s, sign, lane, p, n in rows]).reshape(-1, 6)


def test_events_are_spotted_within_a_second_in_their_lane() -> None:
    truth = events((10, 1, 3, 0, 1), (20, -1, 3, 0, 1), (30, 1, 4, 0, 1))
    assert spotted(truth, truth).f1 == 1
    told = events((10.9, 1, 3, 0, 1), (10.1, 1, 3, 0, 1), (20, 1, 3, 0, 1), (31.1, 1, 4, 0, 1))
    found = spotted(truth, told)
    assert (found.hits, found.told, found.true) == (1, 4, 3)  # one twice, one the wrong way round, one late
    assert found.f1 == pytest.approx(2 / 7)
    assert spotted(truth[:0], told[:0]).f1 == 1
    assert spotted(truth, told[:0]).f1 == 0
    elsewhere = events((10, 1, 8, 5, 1), (10.5, 1, 9, 0, 1), (20.5, -1, 3, 0, 1), (30, 1, 4, 5, 1))
    assert told_lanes(truth, elsewhere).tolist() == [9, 3, -1]  # by product: another moved nearer in time


def test_units_told_in_parts_are_one_account() -> None:
    truth = events((10, 1, 3, 0, 3), (20, -1, 3, 1, 1))
    told = events((10, 1, 3, 0, 2), (11.5, 1, 3, 0, 1), (20, -1, 3, 0, 1), (40, 1, 3, 0, 1))
    units, grams = accounts(truth, told, np.array([100.0, 40.0]))
    assert units.tolist() == [3, 1]
    assert grams.tolist() == [300.0, -100.0]  # what came back is named wrongly, and weighs otherwise


def test_scales_alone_spot_jumps() -> None:
    o = perfect()
    assert spotted(o.true_events, steps(o)).f1 == 1
    assert steps(o)[0].tolist() == [START + 2 * SECOND, 1, 0, 0, 0, 2]
    assert spotted(o.true_events, steps(replace(o, visit=1 - o.visit)), (SIGN, LANE, VISIT)).f1 == 0
    assert lanes_by_hand(o).tolist() == [0]
    assert lanes_by_hand(replace(o, lane_front_m=o.lane_front_m[::-1])).tolist() == [1]
    assert nearest_hand(o, START + 60 * SECOND, o.lane_front_m) == (-1, -1)
    quiet = replace(o, grams=np.full_like(o.grams, 10.0))
    assert not len(steps(quiet))


def test_stock_and_misplaced_things() -> None:
    o = perfect()
    assert (stock_told(o) == o.stock_last).all()
    assert (stock_told(replace(o, events=o.events[:0])) == o.stock_first).all()
    truth, told = misplaced(o, 5)
    assert len(truth) == 2 * (2 * 4 - 2)  # two looks at all lanes and products that are not the lane's own
    assert truth.sum() == told.sum() == 2
    assert not misplaced(replace(o, lying=o.lying[:0]), 5)[1].any()


def test_true_stock_follows_the_lanes() -> None:
    store = open_store("random:kiosk", 800_001)
    own, other = (product.gtin for product in (store.products[store.lane_product[0]], store.products[1]))
    if other == own:
        other = store.products[0].gtin
    lane = store.lanes[0].id
    truth = [TruthLane(START, lane, ((own, 4),), 1.0), TruthLane(START + 2 * SECOND, lane, ((other, 1), (own, 4)), 1.0)]
    found = stocks(truth, store, START + np.arange(4) * SECOND)
    assert found["stock_first"][0, store.product_index[own]] == 4
    assert found["stock_last"][0].sum() == 5
    assert found["true_lying"].tolist() == [[t, 0, store.product_index[other]] for t in (1, 2, 3)]


def test_the_ledger_is_read_with_its_corrections() -> None:
    store = open_store("random:kiosk", 800_001)
    gtin, other = store.products[0].gtin, store.products[1].gtin
    lane = store.lanes[2].id
    ledger = Ledger().extend([
        LedgerEvent("a", 5, "take", "v", gtin, 2, 1.0, lane),
        LedgerEvent("b", 9, "correction", "v", other, 1, 1.0, lane, supersedes="a"),
        LedgerEvent("c", 11, "take", "v", gtin, 1, 1.0, lane),
        LedgerEvent("d", 12, "correction", "v", gtin, 0, 1.0, supersedes="c"),
        LedgerEvent("e", 20, "return", "w", gtin, 1, 1.0, lane),
        LedgerEvent("f", 30, "hand_over", "v", gtin, 1, 1.0, to_visit="w"),
    ])  # fmt: skip
    assert counted_events(ledger, store, {"v": 0, "w": 1}).tolist() == [[5, 1, 0, 2, 1, 1], [20, -1, 1, 2, 0, 1]]


def test_bodies_and_hands_are_found_again_in_either_order() -> None:
    o = perfect()
    pairs = followed(o)
    assert (pairs.true == pairs.told).all()
    assert pairs.hand_m.max() == pairs.head_m.max() == 0
    assert (pairs.hand == [1, 0]).all()
    assert pairs.stretched.sum() == len(o.slot)  # the left hands
    assert pairs.standing_m == pytest.approx(0.1, abs=1e-5)
    away = followed(replace(o, floor_m=o.floor_m + np.float32(5.0)))
    assert not len(away.true)
    moved = followed(replace(o, hands_m=o.hands_m + np.array([0.0, 0.0, 0.3], np.float32)))
    assert moved.hand_m == pytest.approx(0.3, abs=1e-5)


def test_a_hold_is_one_question() -> None:
    o = perfect()
    held = holds(o, followed(o))
    assert sorted(held.product.tolist()) == [1, 2]
    assert (held.scores.argmax(-1) == held.product).all()
    assert held.shown.all()
    assert not holds(replace(o, product=o.product * 0), followed(o)).shown.any()


def test_boxes_around_bodies_and_patches() -> None:
    camera = Camera("c", 320, 240, 5, 200, 200, 160, 120, (0, 0, 0, 0, 0), look_at([0, -4, 1], [0, 0, 1]))
    box = body_box(camera, np.array([0.0, 0.0]), 1.6)
    assert box is not None
    left, top, width, height = box
    assert left + width / 2 == pytest.approx(160)
    assert width == pytest.approx(200 * 0.5 / 4, rel=0.01)  # half a metre at 4 m
    assert top == pytest.approx(120 - 200 * 0.72 / 3.75, abs=0.5)
    assert top + height == pytest.approx(120 + 200 * 1.0 / 3.75, abs=0.5)
    assert body_box(camera, np.array([0.0, -9.0]), 1.6) is None  # behind the camera
    assert body_box(camera, np.array([30.0, 0.0]), 1.6) is None
    assert blobs(np.array([[1, 2], [2, 3], [7, 0]])) == [((32, 16, 32, 32), 2), ((0, 112, 16, 16), 1)]


def test_cells_become_boxes() -> None:
    patches = np.array([[0, 0], [0, 1]])
    shown = np.zeros((2, 16), dtype=bool)
    shown[0, [3, 7]] = shown[1, 0] = True  # right edge of the first patch, and beside it
    shown[1, 15] = True
    chance = np.where(shown, 0.5, 0.0).astype(np.float32)
    boxes = boxes_of_cells(patches, chance, shown)
    assert sorted(boxes.tolist()) == [[0, 12, 0, 8, 8, 0.5], [0, 28, 12, 4, 4, 0.5]]
    assert len(boxes_of_cells(patches[:0], chance[:0], shown[:0])) == 0


# --- the table ------------------------------------------------------------------------------------------------


def by_name(rows: list[TaskRow]) -> dict[tuple[str, str], TaskRow]:
    """Rows by task and metric."""
    return {(row.task, row.metric): row for row in rows}


def test_who_believes_the_truth_is_right_everywhere_and_never_worse_than_the_trivial() -> None:
    rows = measure([perfect(), perfect()])
    for row in rows:
        if row.value is None:
            assert row.n == 0
            continue
        best = 1.0 if row.higher else 0.0
        assert row.value == pytest.approx(best, abs=1e-5), row
        assert row.baseline is not None
        assert (row.baseline <= row.value) if row.higher else (row.baseline >= row.value), row
    found = by_name(rows)
    assert found["hands in 3D", "mean error"].n == 160
    assert found["hands in 3D", "mean error"].unit == "cm"
    assert found["weight change of a lane", "MAE"].baseline == pytest.approx(200)
    assert found["units of a take or return that was found", "exact"].baseline == 0
    assert found["product in hand, whole catalogue", "top-1"].baseline == 0.25
    assert found["activity", "F1, take"].value is None


def test_who_believes_nothing_has_numbers_too() -> None:
    o = perfect()
    m, none = slice(0, 0), np.zeros((0, 7), np.float32)
    empty = replace(
        o, slot=o.slot[m], number=o.number[m], floor_m=o.floor_m[m], head_m=o.head_m[m], hands_m=o.hands_m[m],
        activity=o.activity[m], product=o.product[m], boxes=none, events=o.events[m], lying=o.lying[m],
        held_boxes=none, true_cells=o.true_cells[m], cells=o.cells[m],
    )  # fmt: skip
    found = by_name(measure([empty]))
    assert found["people, boxes", "AP"].value == 0
    assert found["tracks on the floor", "MOTA"].value == 0
    assert found["takes and returns, right lane", "F1 at ±1 s"].value == 0
    assert found["hands in 3D", "mean error"].value is None
    assert found["segmentation of changed cells", "mIoU"].value is None


def test_the_table_reads_well() -> None:
    rows = [
        TaskRow("heads in 3D", "mean error", 4.26, 12.0, "1.6 m up", 1234, "heads", "cm", higher=False),
        TaskRow("activity", "mAP", None, None, "nothing", 0, "people", by="torchmetrics"),
    ]
    assert markdown(rows, "notes").splitlines()[2:] == [
        "| heads in 3D | mean error, cm ↓ | 4.3 | 12.0 | 1.6 m up | 1,234 heads | formula |",
        "| activity | mAP | – | – | nothing | 0 people | torchmetrics |", "", "notes",
    ]  # fmt: skip


# --- from end to end ------------------------------------------------------------------------------------------


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run_module, "find_spec", lambda package: None if package == "trackeval" else package)
    with pytest.raises(MissingExtraError, match=r"trackeval .*openaisle\[tasks,tracking\]"):
        watch_cases([Case("random:kiosk", "solo", 800_001)], "small", tmp_path)


def test_only_whole_networks_have_tasks(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="all senses"):
        watch_cases([], "small-no-video", tmp_path)


def test_a_broken_file_is_watched_again(tmp_path: Path) -> None:
    path = tmp_path / "case.npz"
    assert load(path) is None
    perfect().save(path)
    kept = load(path)
    assert kept is not None
    assert (kept.events == perfect().events).all()
    path.write_bytes(path.read_bytes()[:-200])
    assert load(path) is None


def test_results_are_kept_and_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watched: list[Case] = []

    def stand_in(job: Job) -> Observed:
        watched.append(job.case)
        return perfect()

    monkeypatch.setattr(run_module, "observe", stand_in)
    docs = tmp_path / "docs.md"
    docs.write_text("before\n<!-- tasks -->\nold\n<!-- /tasks -->\nafter\n")
    words = ["bench", "tasks", "--suite", "solo", "--store", "random:kiosk", "--seeds", "800000:800002", "--processes",
             "1", "--folder", str(tmp_path), "--write-docs", str(docs)]  # fmt: skip
    runs = [CliRunner().invoke(app, words) for _ in range(2)]
    assert [run.exit_code for run in runs] == [0, 0]
    assert [case.seed for case in watched] == [800_000, 800_001]
    assert "| tracks on the floor | HOTA | 1.000 |" in runs[1].stdout
    assert "\nold\n" not in docs.read_text()
    assert "| hands in 3D | mean error, cm ↓ | 0.0 |" in docs.read_text()


def test_a_few_seconds_of_a_shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = watch_module._messages

    def short(scene: Scene, truth: list[Truth]) -> Iterator[Sensed]:
        end_ns = scene.shop.start_ns + 9 * SECOND
        return takewhile(lambda message: message.time_ns < end_ns, whole(scene, truth))

    monkeypatch.setattr(watch_module, "_messages", short)
    monkeypatch.setattr(watch_module, "INSTANTS", 2)  # at the first, at the door, no camera shows anybody
    o = observe(Job("", Case("random:kiosk", "solo", 800_001), "small", ""))
    path = tmp_path / "case.npz"
    o.save(path)
    assert load(path) is not None
    assert len(o.true_slot)
    assert len(o.true_boxes)
    assert o.stock_first.sum() == o.stock_last.sum() > 100
    assert o.images[0] == 2 * len(open_store("random:kiosk", 800_001).cameras)
    assert len(o.cells) == len(o.true_cells) > 0
    found = by_name(measure([o]))
    depth, error = found["depth of changed patches", "AbsRel"], found["hands in 3D", "mean error"]
    assert depth.value is not None
    assert depth.baseline is not None
    assert 0 < depth.value < depth.baseline
    assert error.value is not None
    assert error.baseline is not None
    assert 0 < error.value < error.baseline
    hota = found["tracks on the floor", "HOTA"]
    assert hota.value is not None
    assert hota.value > 0.5
