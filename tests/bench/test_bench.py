"""The benchmark's bookkeeping: cases, the resumable cache, and tables that add up."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import openaisle.bench.run as bench_run
from openaisle.bench.axes import AXES
from openaisle.bench.jobs import Job, Play, run_jobs
from openaisle.bench.report import build_report, markdown
from openaisle.bench.results import CaseResult, append, code_hash, load, played_code, result_key
from openaisle.bench.run import jobs_of, run_bench
from openaisle.bench.suites import ALL, DEFAULT_SEEDS, FIRST, Case, full_plan, parse_seeds, plan, suite
from openaisle.errors import ModelError, Problem, ScenarioError
from openaisle.sim.scenario import SUITES
from tests.bench.played import CORNER, KIOSK, all_played, job, played


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

    def counting(jobs: Sequence[Job]) -> list[CaseResult]:
        asked.extend(one.case.seed for one in jobs)
        return all_played(jobs)

    first = run_jobs(jobs[:1], counting, path)
    both = run_jobs(jobs, counting, path)
    assert asked == [850_000, 850_001]
    assert both[0] == first[0] == played(jobs[0])
    assert run_jobs(jobs[::-1], counting, path) == both[::-1]


def test_models_that_share_a_network_play_a_case_together(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    models = ("small", "rule", "rule-oracle")
    jobs = [job(Case(KIOSK, "solo", seed), model) for seed in (850_000, 850_001) for model in models]
    asked: list[list[tuple[int, str]]] = []

    def counting(group: Sequence[Job]) -> list[CaseResult]:
        asked.append([(one.case.seed, one.model) for one in group])
        return all_played(group)

    def network(model: str) -> str:
        return "" if model.endswith("oracle") else "small"

    run_jobs(jobs[:1], counting, path, together=network)
    assert run_jobs(jobs, counting, path, together=network) == all_played(jobs)
    assert asked == [
        [(850_000, "small")], [(850_000, "rule")], [(850_000, "rule-oracle")],
        [(850_001, "small"), (850_001, "rule")], [(850_001, "rule-oracle")],
    ]  # fmt: skip


def test_the_benchmark_knows_who_can_watch_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def counting(group: Sequence[Job]) -> list[CaseResult]:
        asked.append([one.model for one in group])
        return all_played(group)

    monkeypatch.setattr(bench_run, "play", counting)
    run_bench(
        plan([Case(KIOSK, "solo", 850_000)], ["small", "rule", "rule-oracle", "modular-own", "modular"]), tmp_path
    )
    assert asked == [["small", "rule", "modular"], ["rule-oracle"], ["modular-own"]]


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
    assert run_jobs(jobs, all_played, tmp_path / "a", processes=2) == run_jobs(jobs, all_played, tmp_path / "b")


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


def test_a_key_follows_the_files_that_a_case_names(tmp_path: Path) -> None:
    store, scenario = tmp_path / "shop", tmp_path / "evening.yaml"
    store.mkdir()
    (store / "store.yaml").write_text("name: a")
    scenario.write_text("name: evening")
    case = Case(str(store), str(scenario), 1)
    keys = [result_key(case, "small", "abc", "code")]
    (store / "store.yaml").write_text("name: b")
    keys.append(result_key(case, "small", "abc", "code"))
    scenario.write_text("name: morning")
    keys.append(result_key(case, "small", "abc", "code"))
    assert len(set(keys)) == 3


def test_the_code_hash_ignores_comments_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "openaisle"
    (root / "bench").mkdir(parents=True)
    (root / "bench" / "play.py").write_text("import openaisle.a\n")
    file = root / "a.py"

    def hashed(text: str) -> str:
        file.write_text(text)
        return code_hash(root)

    plain = hashed("def f():\n    return 1\n")
    assert hashed('"""Caption."""\n\ndef f():  # why\n    """What."""\n    return  1\n') == plain
    assert hashed("def f():\n    return 2\n") != plain


def test_the_code_hash_follows_imports_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "openaisle"
    texts = {
        "bench/play.py": "from openaisle.far import deep\n", "far/deep.py": "def f():\n    import openaisle.late\n",
        "far/__init__.py": "", "far/table.yaml": "a: 1", "late.py": "", "stranger.py": "",
    }  # fmt: skip
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert {path.relative_to(root).as_posix() for path in played_code(root)} == texts.keys() - {"stranger.py"}


def test_the_code_hash_holds_all_that_a_run_goes_through() -> None:
    names = {path.name for path in played_code()}
    assert {"pipeline.py", "settle.py", "tracking.py", "runtime.py", "video.py", "engine.py", "crowd.yaml"} <= names
    assert not names & {"report.py", "results.py", "train.py", "app.py"}


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


def test_axes_stand_beside_the_same_cases_without() -> None:
    cases = [Case(KIOSK, "solo", seed) for seed in (850_000, 850_001)]
    asked = plan(cases, ["small", "rule"], ["dark"])
    extra = plan([Case(KIOSK, "return", 850_000)], ["small", "rule"])
    report = build_report([played(job(case, model)) for case, model in (*asked, *extra)], "aisle bench", 20)
    rows = {(row.grouping, row.group, row.model): row.metrics for row in report.rows}
    assert rows["overall", "all visits", "rule"].visits == 6  # without those in the dark
    assert rows["axis", "dark", "rule"].visits == rows["axis", "as trained", "rule"].visits == 4
    assert "| dark | 4 |" in markdown(report)


def test_a_model_without_a_sense_is_compared_on_shared_cases_only() -> None:
    cases = [Case(KIOSK, "solo", seed) for seed in (850_000, 850_001)]
    asked = (*plan(cases, ["small", "rule"]), *plan(cases[1:], ["small-no-scales"]))
    report = build_report([played(job(case, model)) for case, model in asked], "aisle bench", 20)
    rows = {(row.grouping, row.model): row.metrics for row in report.rows}
    assert ("overall", "small-no-scales") not in rows
    assert rows["senses", "small"].visits == rows["senses", "small-no-scales"].visits == 2
    alone = build_report([played(job(cases[0], "small-no-scales"))], "aisle bench", 20)
    assert {row.grouping for row in alone.rows} == {"overall", "suite", "store", "shoppers"}


def test_the_full_plan_holds_every_suite_axis_and_sense_and_no_case_twice() -> None:
    everything = full_plan(["small", "rule"], ["small-no-video"])
    assert len(set(everything)) == len(everything)
    assert {case.scenario for case, _ in everything} == set(SUITES) == set(ALL.scenarios)
    assert {case.axis for case, _ in everything} == set(AXES)
    assert {case.store for case, _ in everything} == {KIOSK, CORNER, "random:market"}
    assert all(850_000 <= case.seed < 900_000 for case, _ in everything)
    plain = {(case, model) for case, model in everything if not case.axis}
    assert all((replace(case, axis=""), model) in plain for case, model in everything)
    assert all((case, "small") in plain for case, model in everything if model == "small-no-video")


def test_case_names_are_fit_for_files() -> None:
    assert Case(KIOSK, "hand-over", 850_000, "dark").name == "random-kiosk-hand-over-850000-dark"
    assert Case("stores/corner", "my own/evening.yaml", 7).name == "stores-corner-my-own-evening-7"
    everything = {case for case, _ in full_plan(["small"], [])}
    assert len({case.name for case in everything}) == len(everything)


def test_a_model_that_is_not_there_is_named_before_anything_is_played() -> None:
    with pytest.raises(ModelError, match="nowhere"):
        jobs_of(plan([Case(KIOSK, "solo", 850_000)], ["rule-oracle", "nowhere"]))


def failing(jobs: Sequence[Job]) -> list[CaseResult]:
    """A model that fails at the third seed."""
    if jobs[0].case.seed == 850_002:
        raise ModelError([Problem("weights.onnx", "file", "is broken", "export it again")])
    return all_played(jobs)


def dying(jobs: Sequence[Job]) -> list[CaseResult]:
    """Killed for its memory at the third seed."""
    if jobs[0].case.seed == 850_002:
        os.kill(os.getpid(), signal.SIGKILL)
    return all_played(jobs)


@pytest.mark.parametrize(("work", "words"), [(failing, "weights.onnx: file: is broken"), (dying, "--processes")])
def test_an_error_in_a_process_is_told_and_what_was_played_is_kept(tmp_path: Path, work: Play, words: str) -> None:
    jobs = [job(Case(KIOSK, "solo", seed)) for seed in range(850_000, 850_005)]
    path = tmp_path / "results.jsonl"
    run_jobs(jobs[:2], work, path)
    with pytest.raises(ModelError) as error:
        run_jobs(jobs, work, path, processes=2)
    assert words in str(error.value)
    assert len(error.value.problems) == 1
    assert len(load(path, [one.key for one in jobs])) >= 2
    assert run_jobs(jobs, all_played, path) == [played(one) for one in jobs]
