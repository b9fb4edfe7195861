"""A case end to end without weights: simulator, scales, pipeline, rule on true tracks, receipts, score."""

from __future__ import annotations

import pytest

from openaisle.bench.play import RULE_ORACLE, model_sha256, play_case
from openaisle.bench.suites import Case
from openaisle.errors import ModelError


def test_a_rule_on_the_truth_writes_receipts_that_can_be_scored() -> None:
    scored, watch = play_case(Case("random:kiosk", "solo", 800_001), RULE_ORACLE)
    m = scored.metrics
    assert m.visits == 1
    assert m.extra_visits == 0
    assert [visit.shoppers for visit in scored.visits] == [1]
    assert len(watch.compute_s) > 60  # one step a second
    assert m.recall > 0.3
    assert m.latency_s is not None
    assert 0 < m.latency_s.p50 < 3  # an update cannot come before its event, nor much after its tick
    assert m.final_latency_s is not None


def test_models_have_hashes_and_unknown_ones_are_refused() -> None:
    assert model_sha256(RULE_ORACLE) == ""
    for missing in ("no-such-model", "rule:no-such-folder", "no-such-model-oracle"):
        with pytest.raises(ModelError, match="no-such"):
            model_sha256(missing)
