"""A case end to end without weights: simulator, scales, pipeline, rule on true tracks, receipts, score."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import openaisle.bench.play as play_module
from openaisle.bench.models import Contender, contender, model_sha256, whole_of, without_senses
from openaisle.bench.play import play_case, play_together
from openaisle.bench.side_by_side import eyes_of, predictors_of
from openaisle.bench.suites import Case
from openaisle.edge.runtime import OnnxPredictor
from openaisle.errors import ModelError
from openaisle.predictor import Arrays, GraphPredictor
from openaisle.receipts.document import ReceiptsDocument
from openaisle.state import StepResult
from openaisle.store.store import Store
from openaisle.tokens.tick import Tick


def test_a_rule_on_the_truth_writes_receipts_that_can_be_scored() -> None:
    played = play_case(Case("random:kiosk", "solo", 800_001), "rule-oracle")
    scored = played.score
    m = scored.metrics
    assert m.visits == 1
    assert m.extra_visits == 0
    assert [visit.shoppers for visit in scored.visits] == [1]
    assert len(played.compute_s) > 60  # one step a second
    assert 0 < played.cpu_s < 3 * sum(played.compute_s) + 2
    assert m.recall > 0.3
    assert m.latency_s is not None
    assert 0 < m.latency_s.p50 < 3  # an update cannot come before its event, nor much after its tick
    assert m.final_latency_s is not None


def test_models_have_hashes_and_unknown_ones_are_refused() -> None:
    assert model_sha256("rule-oracle") == ""
    for missing in ("no-such-model", "rule:no-such-folder", "no-such-model-oracle"):
        with pytest.raises(ModelError, match="no-such"):
            model_sha256(missing)


def test_names_of_contenders(tmp_path: Path) -> None:
    assert contender("small") == Contender("small", "small")
    assert contender("small-no-scales-no-pictures") == Contender(
        "small-no-scales-no-pictures", "small", scales=False, pictures=False
    )
    assert contender("rule:some/folder-oracle").base == "rule:some/folder"
    assert contender("rule-oracle").blind
    assert contender("answers:theirs").answers == Path("theirs")
    odd = tmp_path / "mine-no-video"
    odd.mkdir()
    assert contender(str(odd)).video  # a folder may be called anything
    with pytest.raises(ModelError, match="all senses"):
        contender("small-no-scales-oracle")
    assert without_senses(("small", "rule", "rule:x", "small-oracle", "answers:theirs")) == (
        "small-no-scales", "small-no-video", "small-no-pictures",
    )  # fmt: skip
    assert whole_of("small-no-scales-no-video") == "small"


def test_a_sense_that_is_taken_away_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def spy(store: Store, messages: object, predictor: object, *, video: bool, scales: bool) -> Iterator[StepResult]:
        seen.update(pictures=len(store.pictures), video=video, scales=scales)
        return iter(())

    monkeypatch.setattr(play_module, "run", spy)
    for name, expected in {
        "small": (True, True, True), "small-no-video": (True, False, True), "small-no-scales": (True, True, False),
        "small-no-pictures": (False, True, True),
    }.items():  # fmt: skip
        play_case(Case("random:kiosk", "solo", 850_000), name)
        assert (bool(seen["pictures"]), seen["video"], seen["scales"]) == expected


SHORT = "name: short\nduration_s: 10\nshoppers: [1, 1]\npicks: [1, 1]\narrival_s: [0, 1]\n"


def test_playing_together_changes_nothing_but_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = tmp_path / "short.yaml"
    scenario.write_text(SHORT)
    case = Case("random:kiosk", str(scenario), 800_001)
    models = ["small", "rule", "modular"]
    asked: list[str] = []
    run_graph = OnnxPredictor.call

    def counting(self: OnnxPredictor, graph: str, feed: Arrays) -> list[NDArray[np.generic]]:
        asked.append(graph)
        return run_graph(self, graph, feed)

    monkeypatch.setattr(OnnxPredictor, "call", counting)
    alone = [play_case(case, model) for model in models]
    separately = asked.count("look")
    asked.clear()
    together = play_together(case, models)
    assert 0 < asked.count("look") == separately / 3
    for one, other in zip(alone, together, strict=True):
        assert _timeless(one.document) == _timeless(other.document)
        assert one.score.visits[0].exact == other.score.visits[0].exact
        assert len(one.compute_s) == len(other.compute_s)
        assert sum(other.compute_s) > 0.4 * sum(one.compute_s)  # charged for what another one waited for
        assert other.cpu_s > 0.4 * one.cpu_s


def _timeless(document: ReceiptsDocument) -> str:
    """A document without the times that computing took."""
    receipts = [
        r.model_copy(
            update={"updates": [u.model_copy(update={"compute_s": 0.0}) for u in r.updates], "final_compute_s": 0.0}
        )
        for r in document.receipts
    ]
    return document.model_copy(update={"receipts": receipts}).model_dump_json()


def test_who_can_watch_together() -> None:
    assert eyes_of(contender("small")) == eyes_of(contender("rule")) == eyes_of(contender("modular-no-scales")) != ""
    assert eyes_of(contender("rule:mine")) == eyes_of(contender("mine")) != eyes_of(contender("small"))
    for alone in ("small-oracle", "rule-oracle", "answers:theirs", "openvino", "modular-own"):
        assert eyes_of(contender(alone)) == ""


def test_answers_are_shared_and_charged_to_everybody() -> None:
    class Slow(GraphPredictor):
        asked = 0

        def call(self, graph: str, feed: Arrays) -> list[NDArray[np.generic]]:
            Slow.asked += 1
            time.sleep(0.05)
            return [feed["x"] * 2]

    players, accesses, (network,) = predictors_of(
        [contender("small"), contender("rule")], lambda folder: Slow("slow", (2, 2))
    )
    first, second = (access for access in accesses if access is not None)
    assert players[0] is first
    one: Arrays = {"x": np.arange(3, dtype=np.float32)}
    assert first.call("look", one)[0].tolist() == second.call("look", dict(one))[0].tolist() == [0, 2, 4]
    assert Slow.asked == 1
    result = StepResult(0, Tick(0, 0, (), np.zeros((0, 20), np.float32), ()), (), (), {}, {}, 0.01)
    assert first.settle(result)[0].compute_s == pytest.approx(0.01, abs=0.01)
    assert second.settle(result)[0].compute_s > 0.055  # it has waited for nothing, and is charged
    assert second.settle(result)[0].compute_s == 0.01  # settled
    second.call("write", one)
    second.call("look", {"x": one["x"].astype(np.float64)})
    second.call("look", {"x": one["x"] + 1})
    assert Slow.asked == 4
    second.settle(result)
    first.call("pictures", one)
    second.call("pictures", one)
    asked, owed = second.settle(result)
    assert asked.compute_s == 0.01  # before the first step, which is timed without it
    assert owed.wall_s == 0.0
    assert Slow.asked == 5
    with pytest.raises(ValueError, match="read-only"):
        first.call("look", one)[0][0] = 1  # another one reads it
    network.answers.clear()
    first.call("look", one)
    assert Slow.asked == 6
