"""The benchmark's bookkeeping: cases, the resumable cache, and tables that add up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from openaisle.bench.jobs import Job, run_jobs
from openaisle.bench.report import build_report, markdown
from openaisle.bench.results import CaseResult, append, code_hash, load, result_key
from openaisle.bench.suites import DEFAULT_SEEDS, FIRST, Case, parse_seeds, suite
from openaisle.errors import ScenarioError
from openaisle.receipts.metrics import VisitScore

KIOSK, CORNER = "random:kiosk", "random:corner"


def visit(name: str, exact: bool, shoppers: int = 1) -> VisitScore:
    hits = 2 if exact else 1
    return VisitScore(
        name, exact, 0.9, hits, 2, 2, 0, 0, 100, ((0.9, exact),), shoppers=shoppers, events=2, credited=hits,
        latency_s=(1.25,), final_s=0.5,
    )  # fmt: skip


def job(case: Case, model: str = "small") -> Job:
    return Job(result_key(case, model, "abc", "code"), case, model, "abc")


def played(one: Job) -> CaseResult:
    """A stand-in for the simulator: even seeds and the model "small" get everything right."""
    right = one.model == "small" or one.case.seed % 2 == 0
    visits = (visit("v1", right), visit("v2", True, shoppers=5))
    return CaseResult(one.key, one.case, one.model, one.model_sha256, visits, 60.0, 9.0, 6.0, (10.0, 20.0, 30.0))


def test_the_first_slice_is_test_seeds_only_and_seeds_come_first() -> None:
    cases = FIRST.cases(DEFAULT_SEEDS)
    assert len(cases) == 10 * 2 * 4
    assert all(850_000 <= case.seed < 900_000 for case in cases)
    assert [case.seed for case in cases[:8]] == [850_000] * 8
    assert len(set(cases)) == len(cases)


def test_suites_by_name() -> None:
    assert suite("first") == FIRST
    assert suite("crowd", (KIOSK,)).cases([850_001]) == (Case(KIOSK, "crowd", 850_001),)
    with pytest.raises(ScenarioError, match="no such scenario"):
        suite("nonsense")


def test_seed_ranges() -> None:
    assert list(parse_seeds("5:7")) == [5, 6]
    assert list(parse_seeds("5")) == [5]
    for wrong in ("", "a:b", "7:5", "5:", "5-7"):
        with pytest.raises(ScenarioError, match="--seeds"):
            parse_seeds(wrong)


def test_results_are_kept_and_not_played_twice(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.jsonl"
    jobs = [job(Case(KIOSK, "solo", seed)) for seed in (850_000, 850_001)]
    asked: list[int] = []

    def counting(one: Job) -> CaseResult:
        asked.append(one.case.seed)
        return played(one)

    first = run_jobs(jobs[:1], counting, path)
    both = run_jobs(jobs, counting, path)
    assert asked == [850_000, 850_001]
    assert both[0] == first[0] == played(jobs[0])
    assert run_jobs(jobs[::-1], counting, path) == both[::-1]


def test_a_kill_costs_one_line(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    one, two, three = (played(job(Case(KIOSK, "solo", seed))) for seed in (1, 2, 3))
    append(path, one)
    append(path, two)
    path.write_bytes(path.read_bytes()[:-40])
    append(path, three)
    assert set(load(path, [one.key, two.key, three.key])) == {one.key, three.key}


def test_two_processes_give_the_same_results(tmp_path: Path) -> None:
    jobs = [job(Case(KIOSK, "solo", seed)) for seed in range(850_000, 850_004)]
    assert run_jobs(jobs, played, tmp_path / "a", processes=2) == run_jobs(jobs, played, tmp_path / "b")


def test_a_key_follows_everything_a_result_depends_on() -> None:
    case = Case(KIOSK, "solo", 1)
    keys = {
        result_key(case, "small", "abc", "code"),
        result_key(replace(case, seed=2), "small", "abc", "code"),
        result_key(case, "rule", "abc", "code"),
        result_key(case, "small", "abd", "code"),
        result_key(case, "small", "abc", "other code"),
    }
    assert len(keys) == 5


def test_the_code_hash_ignores_comments_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "sim").mkdir()
    file = tmp_path / "sim" / "a.py"

    def hashed(text: str) -> str:
        file.write_text(text)
        return code_hash(tmp_path)

    plain = hashed("def f():\n    return 1\n")
    assert hashed('"""Caption."""\n\ndef f():  # why\n    """What."""\n    return  1\n') == plain
    assert hashed("def f():\n    return 2\n") != plain


def test_tables_group_visits_and_name_their_origin() -> None:
    cases = [Case(store, "solo", seed) for store in (KIOSK, CORNER) for seed in (850_000, 850_001)]
    played_by = [played(job(case, model)) for case in cases for model in ("small", "rule")]
    report = build_report(played_by, "aisle bench", 50)
    rows = {(row.group, row.model): row for row in report.rows}
    assert rows["all visits", "small"].metrics.exact == 1.0
    assert rows["all visits", "rule"].metrics.exact == 0.75
    assert rows["1 shopper present", "rule"].metrics.exact == 0.5
    assert rows["4+ shoppers present", "rule"].metrics.exact == 1.0
    assert rows[KIOSK, "rule"].metrics.visits == 4
    low, high = rows["all visits", "rule"].intervals["exact"].low, rows["all visits", "rule"].intervals["exact"].high
    assert low <= 0.75 <= high
    text = markdown(report)
    solo = next(line for line in text.splitlines() if line.startswith("| solo |"))
    assert solo.split(" | ")[1:4:2] == ["8", "1.000 [1.00, 1.00]"]
    assert "0.750 [" in solo
    assert "| attribution | 1.000 | 0.875 |" in text
    assert "| pipeline, times real time | 10.0 | 10.0 |" in text
    assert "`aisle bench`" in text
    plain = json.loads(json.dumps(report.to_json()))
    assert plain["rows"][0]["exact"] == 1.0
    assert plain["models"] == {"small": "abc", "rule": "abc"}
