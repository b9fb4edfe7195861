"""The contest's score by hand-counted cases, in all forms of answers and truth, and what is wrong with them."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from openaisle.cli.app import app
from openaisle.errors import ReceiptError
from openaisle.receipts.contest import Baskets, contest_score, read_baskets
from openaisle.receipts.document import LineRecord, ReceiptRecord, ReceiptsDocument
from openaisle.receipts.render import autocheckout
from tests.recording.mutations import mutated

WATER, CHIPS = "632565000012", "120130"


def answer(case: str, *receipts: tuple[str | int, dict[str, int]]) -> dict[str, object]:
    listed = [
        {"target_id": target, "products": [{"barcode": code, "quantity": n} for code, n in products.items()]}
        for target, products in receipts
    ]
    return {"testcase": case, "user": "me", "receipts": listed}


def label(target: str, code: str, putback: int = 0) -> dict[str, object]:
    return {"observation": {"target_id": target, "products": [{"id": code}]}, "putback": putback}


def scored(tmp_path: Path, truth: object, answers: object) -> dict[str, object]:
    for name, data in (("truth", truth), ("answers", answers)):
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    result = contest_score(read_baskets(tmp_path / "truth.json"), read_baskets(tmp_path / "answers.json"))
    return dict(result.to_json())


def test_units_are_counted_per_target_and_product(tmp_path: Path) -> None:
    truth = answer("a", ("1", {WATER: 3, CHIPS: 1}), ("2", {WATER: 1}))
    given = answer("a", (1, {WATER: 2, "01201303": 1}), ("2", {CHIPS: 1}))  # 3 of 4 answered right, of 5
    assert scored(tmp_path, truth, given) == {
        "cases": 1, "f1": pytest.approx(2 * 3 / (4 + 5)), "precision": 3 / 4, "recall": 3 / 5,
        "by_case": {"a": pytest.approx(6 / 9)},
    }  # fmt: skip


def test_the_score_is_the_mean_over_cases(tmp_path: Path) -> None:
    truth = [answer("a", ("1", {WATER: 1})), answer("b", ("1", {})), answer("c", ("1", {WATER: 1}))]
    given = [answer("b"), answer("a", ("1", {WATER: 1}))]
    result = scored(tmp_path, truth, given)
    assert result["by_case"] == {"a": 1.0, "b": 1.0, "c": 0.0}, "nothing against nothing; no answer"
    assert result["f1"] == pytest.approx(2 / 3)


def test_labelled_events_are_truth_with_returns(tmp_path: Path) -> None:
    events = [label("7", WATER), label("7", CHIPS), label("7", WATER), label("7", WATER, 1), label("8", CHIPS)]
    truth = {"lists": [{"dataset": "BASELINE-1", "events": events}] * 2}
    assert scored(tmp_path, truth, answer("BASELINE-1", ("7", {WATER: 1, CHIPS: 1}), ("8", {CHIPS: 1})))["f1"] == 1.0
    assert scored(tmp_path, truth, answer("BASELINE-1", ("7", {WATER: 2, CHIPS: 1})))["f1"] == pytest.approx(4 / 6)


def test_our_own_answers_are_read(tmp_path: Path) -> None:
    line = LineRecord(gtin=WATER, quantity=2, unit_price_cents=100, confidence=0.9)
    record = ReceiptRecord(
        visit="-8523249213675307221", lines=[line], total_cents=200, currency="USD", needs_review=False
    )
    document = ReceiptsDocument(recording="r", model="small", receipts=[record])
    given = autocheckout(document, "a", "me")
    assert scored(tmp_path, answer("a", (-8523249213675307221, {WATER: 2})), given)["f1"] == 1.0


def test_strangers_are_named_and_single_cases_belong_together() -> None:
    one = Baskets(("a",), Counter({("1", WATER): 1}))
    other = Baskets(("uuid",), Counter({("1", WATER): 1}))
    assert contest_score([one], [other]).cases[0].f1 == 1.0
    result = contest_score([one], [one, other])
    assert (result.cases[0].f1, result.strangers) == (1.0, ("uuid",))


def test_the_command_scores_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "answers").mkdir()
    for name in ("a", "b"):
        (tmp_path / "answers" / f"{name}.json").write_text(json.dumps(answer(name, ("1", {WATER: 1}))))
    (tmp_path / "truth.json").write_text(json.dumps([answer("a", ("1", {WATER: 1})), answer("b", ("1", {CHIPS: 1}))]))
    result = CliRunner().invoke(app, ["score", str(tmp_path / "truth.json"), str(tmp_path / "answers"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["f1"] == 0.5
    table = CliRunner().invoke(app, ["score", str(tmp_path / "truth.json"), str(tmp_path / "answers")])
    assert "0.5" in table.stdout


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{", "file"), ("[]", "file"), ('{"testcase": "a"}', "receipts"), ('{"lists": [{"events": []}]}', "dataset"),
        ('{"receipts": [{"target_id": "1", "products": [{"barcode": "1", "quantity": -1}]}]}', "quantity"),
        (json.dumps([answer("a", ("1", {WATER: 1})), answer("a")]), "testcase"), ("{" * 100_000, "file"),
    ],
)  # fmt: skip
def test_wrong_answers_are_named(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "answer.json").write_text(text)
    with pytest.raises(ReceiptError) as caught:
        read_baskets(tmp_path / "answer.json")
    problem = caught.value.problems[0]
    assert problem.file == str(tmp_path / "answer.json")
    assert place in problem.place
    assert problem.fix


@given(data=st.data())
def test_any_answer_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    valid = [answer("a", ("1", {WATER: 1})), {"lists": [{"dataset": "a", "events": [label("1", WATER)]}]}]
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(data.draw(mutated(data.draw(st.sampled_from(valid))))))
    with suppress(ReceiptError):
        found = read_baskets(path)
        assert 0 <= contest_score(found, found).cases[0].f1 <= 1
