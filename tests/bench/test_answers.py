"""An outside system enters: recordings in, one receipts.json each out; `aisle score` judges, the table lists it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from openaisle.bench.play import play_case
from openaisle.bench.suites import Case
from openaisle.cli.app import app
from openaisle.errors import ModelError, ReceiptError
from openaisle.recording.reader import open_recording

# A system of somebody else: it knows nothing of this package, reads the gates of the recording's files and charges
# everybody the first product of the catalogue once.
OUTSIDE = """
import csv, json, sys
from pathlib import Path
from mcap.reader import make_reader

cases, answers = Path(sys.argv[1]), Path(sys.argv[2])
for case in json.loads((cases / "cases.json").read_text())["cases"]:
    folder = cases / case["name"]
    with (folder / "store" / "catalog.csv").open() as file:
        product = next(csv.DictReader(file))
    visits = set()
    for path in sorted(folder.glob("sensors-*.mcap")):
        with path.open("rb") as file:
            for schema, channel, message in make_reader(file).iter_messages():
                if channel.topic == "/gate":
                    visits.add(json.loads(message.data)["visit"])
    cents = int(product["price_cents"])
    line = {"gtin": product["gtin"], "quantity": 1, "unit_price_cents": cents, "confidence": 0.5}
    receipts = [
        {"visit": visit, "lines": [line], "total_cents": cents, "currency": "EUR", "needs_review": True}
        for visit in sorted(visits - {""})
    ]
    document = {"version": 1, "recording": case["name"], "model": "first product", "receipts": receipts}
    (answers / (case["name"] + ".json")).write_text(json.dumps(document))
"""
SHORT = "name: short\nduration_s: 20\nshoppers: [1, 1]\npicks: [1, 1]\narrival_s: [0, 1]\n"


@pytest.fixture(scope="module")
def entered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scenario, cases with truth, and the answers of the outside script."""
    folder = tmp_path_factory.mktemp("entry")
    (folder / "short.yaml").write_text(SHORT)
    (folder / "script.py").write_text(OUTSIDE)
    (folder / "answers").mkdir()
    words = ["bench", "cases", *asked(folder), "--out", str(folder / "cases")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    run = [sys.executable, str(folder / "script.py"), str(folder / "cases"), str(folder / "answers")]
    subprocess.run(run, check=True, cwd=folder, env={"PATH": ""}, timeout=120)
    return folder


def asked(folder: Path) -> list[str]:
    """The words for one short case in a kiosk."""
    return ["--suite", str(folder / "short.yaml"), "--store", "random:kiosk", "--seeds", "850000"]


def case_of(folder: Path) -> Case:
    """That case."""
    return Case("random:kiosk", str(folder / "short.yaml"), 850_000)


def test_score_judges_an_outside_answer(entered: Path) -> None:
    name = case_of(entered).name
    words = ["score", str(entered / "cases" / name), str(entered / "answers" / f"{name}.json"), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["visits"] == 1
    assert result["extra_visits"] == 0
    assert 0 <= result["f1"] < 1
    assert result["overcharge"] > 0


def test_the_table_lists_it_beside_others(entered: Path) -> None:
    answers = f"answers:{entered / 'answers'}"
    folder, out = entered / "bench", entered / "bench.json"
    words = ["bench", *asked(entered), "--model", "rule-oracle", "--model", answers, "--folder", str(folder)]
    done = CliRunner().invoke(app, [*words, "--json", str(out), "--processes", "1"])
    assert done.exit_code == 0, done.output
    table = json.loads(out.read_text())
    rows = {row["model"]: row for row in table["rows"] if row["grouping"] == "overall"}
    assert rows.keys() == {"rule-oracle", answers}
    scored = play_case(case_of(entered), answers).score.metrics
    assert rows[answers]["overcharge"] == pytest.approx(scored.overcharge)
    assert rows["rule-oracle"]["visits"] == rows[answers]["visits"] == 1
    assert "worst" in (folder / "report.html").read_text()

    changed = entered / "answers" / f"{case_of(entered).name}.json"
    before = table["models"][answers]
    document = json.loads(changed.read_text())
    document["receipts"] = []
    whole = changed.read_text()
    changed.write_text(json.dumps(document))
    try:
        again = CliRunner().invoke(app, [*words, "--json", str(out), "--processes", "1"])
        assert again.exit_code == 0, again.output
        table = json.loads(out.read_text())
        assert table["models"][answers] != before  # other answers are not found in the cache
        row = next(row for row in table["rows"] if row["model"] == answers)
        assert row["recall"] == 0
    finally:
        changed.write_text(whole)


def test_cases_without_truth_are_the_same_otherwise(entered: Path) -> None:
    out = entered / "sealed"
    done = CliRunner().invoke(app, ["bench", "cases", *asked(entered), "--out", str(out), "--no-truth"])
    assert done.exit_code == 0, done.output
    name = case_of(entered).name
    sealed, told = open_recording(out / name), open_recording(entered / "cases" / name)
    assert told.has_truth
    assert not sealed.has_truth
    same = [[f.sha256 for f in one.manifest.of_kind("sensors")] for one in (sealed, told)]
    assert same[0] == same[1]


def test_missing_and_broken_answers_are_named(tmp_path: Path) -> None:
    case = Case("random:kiosk", "solo", 850_000)
    with pytest.raises(ModelError, match="no answer for the case random-kiosk-solo-850000"):
        play_case(case, f"answers:{tmp_path}")
    (tmp_path / f"{case.name}.json").write_text('{"recording": 3}')
    with pytest.raises(ReceiptError, match=r"random-kiosk-solo-850000\.json"):
        play_case(case, f"answers:{tmp_path}")
