"""Every verb explains itself with an example that the docs know; mistakes end with a message, not a traceback."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from openaisle.cli import app as cli
from openaisle.store.load import load_store, save_store

ROOT = Path(__file__).resolve().parents[2]
runner = CliRunner()


def verbs(command: object = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every verb."""
    command = get_command(cli.app) if command is None else command
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path
        return
    for name, one in inner.items():
        yield from verbs(one, (*path, name))


def aisle(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    call = [sys.executable, "-c", "from openaisle.cli.app import main; main()", *words]
    return subprocess.run(call, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize("words", list(verbs()), ids=" ".join)
def test_help_has_an_example_that_the_docs_know(words: tuple[str, ...]) -> None:
    result = runner.invoke(cli.app, [*words, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0
    example = re.search(r"Example: (aisle .+?)\s*$", result.output, re.MULTILINE)
    assert example, result.output
    assert example[1].split()[1 : 1 + len(words)] == list(words)
    assert example[1] in (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("store", "check", "no-such-store"), "no-such-store"),
        (("recording", "info", "no-such-recording"), "no-such-recording"),
        (("receipts", "no-such-recording", "--out", "r.json"), "no-such-recording"),
        (("score", "no-such-recording", "no-such-receipts.json"), "no-such"),
        (("simulate", "--store", "random:castle", "--scenario", "solo", "--out", "rec"), "random:castle"),
        (("simulate", "--store", "random:kiosk", "--scenario", "sollo", "--out", "rec"), "sollo"),
        (("bench", "--seeds", "many"), "many"),
        (("nonsense",), "nonsense"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_mistakes_exit_2_and_name_the_culprit(words: tuple[str, ...], message: str) -> None:
    done = aisle(*words)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_store_check_as_json(tmp_path: Path) -> None:
    good = aisle("store", "check", "stores/kiosk", "--json")
    assert good.returncode == 0
    assert json.loads(good.stdout)["sound"] is True
    assert json.loads(good.stdout)["remarks"] == []
    (tmp_path / "store.yaml").write_text("version: 1\nnme: typo\n")
    bad = aisle("store", "check", str(tmp_path), "--json")
    assert bad.returncode == 2
    problems = json.loads(bad.stdout)["problems"]
    assert len(problems) > 1
    assert {"file", "place", "what", "fix"} == set(problems[0])


def test_store_check_remarks_on_what_deserves_a_look(tmp_path: Path) -> None:
    kiosk = load_store(ROOT / "stores" / "kiosk")
    bare = kiosk.spec.model_copy(update={"cameras": (), "scales": kiosk.spec.scales[1:]})
    save_store(replace(kiosk, spec=bare), tmp_path / "bare")
    done = aisle("store", "check", str(tmp_path / "bare"))
    assert done.returncode == 0
    first, *remarks = done.stderr.splitlines()
    assert "bare: sound. " in first
    lane = kiosk.spec.scales[0].lanes[0]
    assert remarks == [
        "remark: store.yaml: cameras: there are no cameras (fix: add some, or work with scales only)",
        f"remark: store.yaml: scales: no scale carries {lane} (fix: add scales, or rely on the cameras there)",
    ]
    told = json.loads(aisle("store", "check", str(tmp_path / "bare"), "--json").stdout)
    assert [remark["place"] for remark in told["remarks"]] == ["cameras", "scales"]


def test_help_is_quick_because_rooms_are_imported_late() -> None:
    script = "import sys, openaisle.cli.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "numba", "cv2", "av", "onnxruntime", "torch"} & set(loaded)


def test_the_store_of_the_docs_is_sound(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "add-a-store.md").read_text(encoding="utf-8")
    blocks = re.findall(r"`(store\.yaml|catalog\.csv|planogram\.csv)`:.*?```\w+\n(.*?)```", page, re.DOTALL)
    assert [name for name, _ in blocks] == ["store.yaml", "catalog.csv", "planogram.csv"]
    for name, text in blocks:
        (tmp_path / name).write_text(text, encoding="utf-8")
    store = load_store(tmp_path)
    assert len(store.lanes) == 2
    assert len(list(csv.DictReader((tmp_path / "catalog.csv").open()))) == len(store.products)


def test_links_in_the_docs_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert not broken


def test_the_path_of_a_pick_is_as_the_docs_tell_it() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d \| `([^`]+)` \| ([^|]+) \|", page, re.MULTILINE)
    assert 4 < len(rows) < 9
    missing = [
        f"{file}: {name}"
        for file, names in rows
        for name in re.findall(r"`([^`]+)`", names)
        for word in name.split(".")
        if not re.search(rf"^ *(def|class) {word}\b", (ROOT / "openaisle" / file).read_text(), re.MULTILINE)
    ]
    assert not missing
    state = (ROOT / "openaisle" / "pipeline.py").read_text().partition("class State:")[2].partition("\n\n\n")[0]
    told = page.partition("## Where state lives")[2].partition("##")[0]
    assert [name for name in re.findall(r"^    (\w+): ", state, re.MULTILINE) if f"`{name}`" not in told] == []
