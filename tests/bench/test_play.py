"""A case end to end without weights: simulator, scales, pipeline, rule on true tracks, receipts, score."""

from __future__ import annotations

from pathlib import Path

import pytest

import openaisle.bench.play as play_module
from openaisle.bench.meters import Meter
from openaisle.bench.models import Contender, contender, model_sha256, whole_of, without_senses
from openaisle.bench.play import play_case
from openaisle.bench.scene import scene_of
from openaisle.bench.suites import Case
from openaisle.errors import ModelError
from openaisle.state import StepResult
from openaisle.store.store import Store


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

    def spy(store: Store, messages: object, predictor: object, *, video: bool, scales: bool) -> list[StepResult]:
        seen.update(pictures=len(store.pictures), video=video, scales=scales)
        return []

    monkeypatch.setattr(play_module, "run", spy)
    monkeypatch.setattr(play_module, "predictor_of", lambda found: None)
    scene = scene_of(Case("random:kiosk", "solo", 850_000), video=False)
    for name, expected in {
        "small": (True, True, True), "small-no-video": (True, False, True), "small-no-scales": (True, True, False),
        "small-no-pictures": (False, True, True),
    }.items():  # fmt: skip
        play_module._results(contender(name), scene, Meter(), [])
        assert (bool(seen["pictures"]), seen["video"], seen["scales"]) == expected
