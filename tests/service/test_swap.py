"""Another model in a running store: the same visits go on, a wrong one is refused, and a restart agrees."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from openaisle.edge.runtime import WEIGHTS
from openaisle.errors import ModelError, Problem, ServiceError
from openaisle.predictor import Arrays, Predictor, TickView, VisualTokens, WrittenEvent
from openaisle.service import models, swap
from openaisle.service.album import Album
from openaisle.service.day import bounds_ns, day_story, today
from openaisle.service.desk import Desk
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.health import health
from openaisle.service.metrics import StoreCollector
from openaisle.service.models import OrderState
from openaisle.service.serve import KEY_FILE
from openaisle.service.tables import LedgerRow, ModelChange, ModelOrder, Run, Visit
from openaisle.service.worker import work
from openaisle.tokens.tick import Sensed
from tests.service import stream
from tests.service.shop import open_shop
from tests.service.test_kill import PATIENCE_S, free_port
from tests.service.test_serve import AISLE
from tests.service.test_worker import after, corner, job, ledger, receipts, recording, sent, settle

__all__ = ["corner", "recording", "sent"]  # fixtures
SECOND_SURE = 0.61
EARLY, MID, LATE = 60, 140, 170  # looks of a worker: somebody is inside at MID
DIGEST = "0123456789abcdef" * 4


class Second(stream.Doorman):
    """The same words, less sure of them, so that one sees who wrote; `fails` from so many ticks on."""

    def __init__(self, fails: int = 10**6) -> None:
        super().__init__()
        self.fails = fails

    def write(self, view: TickView) -> list[WrittenEvent]:
        if len(self.views) >= self.fails:
            raise RuntimeError("the graph wants other inputs")
        return [replace(event, confidence=SECOND_SURE) for event in super().write(view)]


class Dead(stream.Doorman):
    """Fails in its first tick."""

    def look(self, slots: list[VisualTokens]) -> list[Arrays]:
        raise RuntimeError("the graph wants other inputs")


class Wide(stream.Doorman):
    """Of other widths."""

    def __init__(self) -> None:
        super().__init__()
        self.widths = (24, self.widths[1])


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tick after an order waits for the model, so that tests know which one that is."""
    monkeypatch.setattr(swap, "WAIT_S", 60.0)


def ask(desk: Desk, base: str = "scripted", digest: str = DIGEST) -> int:
    """An order as `aisle model swap` leaves it."""
    with desk.database.write() as session:
        order = ModelOrder(base=base, digest=digest, words="second", state=OrderState.ASKED, at_ns=desk.clock())
        session.add(order)
        session.flush()
        return order.id


def order_of(desk: Desk, order_id: int) -> ModelOrder:
    """An order now."""
    with desk.database.read() as session:
        found = session.get(ModelOrder, order_id)
    assert found is not None
    return found


def changes(desk: Desk) -> list[tuple[int, int]]:
    """(tick, order) of all changes."""
    with desk.database.read() as session:
        rows = session.scalars(select(ModelChange).order_by(ModelChange.at_ns, ModelChange.tick))
        return [(row.tick, row.order) for row in rows]


def sure(desk: Desk) -> list[float]:
    """Confidences in the ledger, in order."""
    with desk.database.read() as session:
        bodies = session.scalars(select(LedgerRow.body).order_by(LedgerRow.seq)).all()
    return [json.loads(body)["confidence"] for body in bodies]


class Shelf:
    """What models are kept, by folder; counts loads."""

    def __init__(self, make: Callable[[], Predictor]) -> None:
        self.make, self.loads = make, 0

    def __call__(self, path: str) -> Predictor:
        self.loads += 1
        assert Path(path).name == DIGEST
        return self.make()


def test_the_run_goes_on_with_the_new_model_and_no_visit_is_lost(
    corner: Desk, recording: Path, sent: list[Sensed], tmp_path: Path
) -> None:
    asked, shelf = job(recording), Shelf(Second)
    assert not work(corner, asked, stream.predictor(), after(MID), tmp_path, shelf)
    with corner.database.read() as session:
        inside = [visit.id for visit in session.scalars(select(Visit).where(Visit.state == "inside"))]
    before = sure(corner)
    order_id = ask(corner)
    assert work(corner, asked, stream.predictor(), folder=tmp_path, load=shelf)
    settle(corner, tmp_path)
    told = sure(corner)
    assert len(inside) == 1
    assert told[: len(before)] == before == [0.95] * len(before)
    assert told[len(before) :] == [SECOND_SURE] * (7 - len(before))
    assert 0 < len(before) < 7
    assert receipts(corner) == stream.undisturbed(sent)
    order = order_of(corner, order_id)
    assert (order.state, order.error) == (OrderState.TAKEN, "")
    assert [order for _, order in changes(corner)] == [order_id]
    with corner.database.read() as session:
        run = session.scalars(select(Run)).one()
        assert models.running(session, run).model == f"second ({DIGEST[:12]})"
        rows = {visit.id: models.of_visit(session, visit) for visit in session.scalars(select(Visit))}
    assert rows[inside[0]] == ("scripted", f"second ({DIGEST[:12]})")
    assert {len(names) for names in rows.values()} == {1, 2}


@pytest.mark.parametrize("looks", [MID - 10, MID + 10, LATE])
def test_a_restart_of_the_worker_changes_models_at_the_same_tick(
    corner: Desk, recording: Path, sent: list[Sensed], tmp_path: Path, looks: int
) -> None:
    asked, shelf = job(recording), Shelf(Second)
    assert not work(corner, asked, stream.predictor(), after(EARLY), tmp_path, shelf)
    ask(corner)
    assert not work(corner, asked, stream.predictor(), after(looks), tmp_path, shelf)
    known, told = changes(corner), sure(corner)
    assert SECOND_SURE in told
    assert work(corner, asked, stream.predictor(), folder=tmp_path, load=shelf)
    settle(corner, tmp_path)
    entries = ledger(corner)
    assert len(entries) == len(set(entries)) == 7  # nothing was said again with other words
    assert sure(corner)[: len(told)] == told
    assert changes(corner) == known
    assert receipts(corner) == stream.undisturbed(sent)
    assert shelf.loads == 2


def test_the_next_run_begins_with_it(corner: Desk, recording: Path, tmp_path: Path) -> None:
    asked, shelf = job(recording), Shelf(Second)
    assert not work(corner, asked, stream.predictor(), after(MID), tmp_path, shelf)
    order_id = ask(corner)
    assert work(corner, asked, stream.predictor(), folder=tmp_path, load=shelf)
    assert work(corner, asked, stream.predictor(), folder=tmp_path, load=shelf)
    assert sure(corner)[7:] == [SECOND_SURE] * 7
    assert changes(corner)[1] == (0, order_id)
    with corner.database.read() as session:
        names = [[spell.model for spell in models.spells(session, run)] for run in session.scalars(select(Run))]
    assert sorted(len(one) for one in names) == [1, 2]
    assert work(corner, replace(asked, model="another"), stream.predictor(), folder=tmp_path, load=shelf)
    assert sure(corner)[14:] == [0.95] * 7  # who serves another model has said so


def broken() -> Predictor:
    """Not there."""
    raise ModelError([Problem("second", "file", "is not a usable graph", "export it again")])


@pytest.mark.parametrize(
    ("make", "why"),
    [(broken, "not a usable graph"), (Wide, r"appearance: vectors of \[24\] where"), (Dead, "failed at tick")],
    ids=["cannot be loaded", "other widths", "fails in its first tick"],
)
def test_what_is_wrong_is_refused_and_the_old_one_goes_on(
    corner: Desk, recording: Path, sent: list[Sensed], tmp_path: Path, make: Callable[[], Predictor], why: str
) -> None:
    asked, shelf = job(recording), Shelf(make)
    assert not work(corner, asked, stream.predictor(), after(MID), tmp_path, shelf)
    order_id = ask(corner)
    assert work(corner, asked, stream.predictor(), folder=tmp_path, load=shelf)
    settle(corner, tmp_path)
    order = order_of(corner, order_id)
    assert order.state == OrderState.REFUSED
    assert re.search(why, order.error)
    assert {order for _, order in changes(corner)} <= {0}  # it has not done a single one
    assert receipts(corner) == stream.undisturbed(sent)
    assert sure(corner) == [0.95] * 7
    with corner.database.read() as session:
        seen = health(session, corner, None, Album(None)).pipeline
    assert seen is not None
    assert (seen.model, seen.refused) == ("scripted", order.error)


def test_one_that_fails_later_gives_its_place_back_and_a_restart_agrees(
    corner: Desk, recording: Path, sent: list[Sensed], tmp_path: Path
) -> None:
    asked, shelf = job(recording), Shelf(lambda: Second(9))
    order_id = ask(corner)
    assert not work(corner, asked, stream.predictor(), after(LATE), tmp_path, shelf)
    (first, taken), (last, back) = changes(corner)
    assert (taken, back) == (order_id, 0)
    assert last > first
    told = sure(corner)
    assert set(told) == {SECOND_SURE, 0.95}
    assert work(corner, asked, stream.predictor(), folder=tmp_path, load=shelf)
    settle(corner, tmp_path)
    entries = ledger(corner)
    assert len(entries) == len(set(entries)) == 7
    assert sure(corner)[: len(told)] == told
    assert changes(corner) == [(first, order_id), (last, 0)]
    assert receipts(corner) == stream.undisturbed(sent)
    assert order_of(corner, order_id).state == OrderState.REFUSED


def test_one_that_ends_the_worker_is_not_tried_again(corner: Desk, recording: Path, tmp_path: Path) -> None:
    order_id = ask(corner)
    with corner.database.write() as session:
        order = session.get(ModelOrder, order_id)
        assert order is not None
        order.state = OrderState.TRYING  # as the worker left it when the kernel ended it
    shelf = Shelf(Second)
    assert work(corner, job(recording), stream.predictor(), folder=tmp_path, load=shelf)
    assert shelf.loads == 0
    assert "ended while it was tried" in order_of(corner, order_id).error


def test_a_model_that_a_run_needs_again_and_that_is_gone_is_named(
    corner: Desk, recording: Path, tmp_path: Path
) -> None:
    asked = job(recording)
    ask(corner)
    assert not work(corner, asked, stream.predictor(), after(MID), tmp_path, Shelf(Second))
    told = ledger(corner)
    with pytest.raises(ModelError, match=DIGEST):
        work(corner, asked, stream.predictor(), folder=tmp_path, load=Shelf(broken))
    assert ledger(corner) == told  # rather nothing than lines that were never seen
    assert work(corner, asked, stream.predictor(), folder=tmp_path, load=Shelf(Second))


def test_of_two_orders_the_newest_is_taken_and_orders_of_another_store_are_not(
    corner: Desk, recording: Path, tmp_path: Path
) -> None:
    first, second, foreign = ask(corner), ask(corner), ask(corner, base="another")
    assert work(corner, job(recording), stream.predictor(), folder=tmp_path, load=Shelf(Second))
    states = [order_of(corner, one).state for one in (first, second, foreign)]
    assert states == [OrderState.REFUSED, OrderState.TAKEN, OrderState.ASKED]
    assert "since" in order_of(corner, first).error


def test_api_metrics_health_and_day_tell_which_model_runs(corner: Desk, recording: Path, tmp_path: Path) -> None:
    name = f"second ({DIGEST[:12]})"
    asked, shelf = job(recording), Shelf(Second)
    shop = open_shop(corner, FakeGateway(tmp_path / "gateway.sqlite"), tmp_path)
    assert shop.get("/v1/model").json() == {"run": "", "model": "", "since_ns": 0, "orders": []}
    assert not work(corner, asked, stream.predictor(), after(MID), tmp_path, shelf)
    assert shop.get("/v1/model").json()["model"] == "scripted"
    ask(corner)
    assert not work(corner, asked, stream.predictor(), after(LATE), tmp_path, shelf)
    told = shop.get("/v1/model", "reviewer").json()
    assert (told["model"], told["orders"][0]["state"]) == (name, "taken")
    assert told["since_ns"] > 0
    registry = CollectorRegistry()
    registry.register(StoreCollector(corner))
    assert registry.get_sample_value("openaisle_model_info", {"model": name}) == 1.0
    day = today(corner)
    with corner.database.read() as session:
        seen = health(session, corner, None, Album(None)).pipeline
        story = day_story(session, corner, day)
        assert models.of_time(session, *(at - 10**18 for at in bounds_ns(day, "UTC"))) == []
        visit = session.scalars(select(Visit.id).order_by(Visit.entered_ns.desc())).first()
    assert seen is not None
    assert (seen.model, seen.refused) == (name, "")
    assert [spell.model for spell in story.models] == ["scripted", name]
    assert shop.get("/v1/day").json()["models"] == ["scripted", name]
    assert shop.get(f"/v1/visits/{visit}").json()["models"][-1] == name
    shop.client.post("/login", data={"key": shop.secrets["reviewer"]})
    for page in ("/health", "/day", f"/visits/{visit}"):
        assert name in shop.client.get(page).text


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A model folder of one's own."""
    folder = tmp_path / "my-model"
    shutil.copytree(WEIGHTS / "small", folder)
    return folder


def test_a_folder_is_checked_and_kept(corner: Desk, recording: Path, tmp_path: Path, exported: Path) -> None:
    order = order_of(corner, models.hand_in(corner, tmp_path, job(recording), str(exported)))
    assert (order.state, order.base, order.words) == (OrderState.ASKED, "scripted", str(exported))
    again = order_of(corner, models.hand_in(corner, tmp_path, job(recording), f"modular:{exported}"))
    assert (again.kind, again.digest) == ("modular", order.digest)
    assert models.kept(tmp_path, again) == f"modular:{tmp_path / 'models' / order.digest}"
    assert [path.name for path in (tmp_path / "models").iterdir()] == [order.digest]
    shutil.rmtree(exported)  # the run needs the copy only
    assert (tmp_path / "models" / order.digest / "model.json").is_file()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: shutil.rmtree(folder), r"model\.json: file: cannot be read"),
        (lambda folder: (folder / "model.json").write_text("{"), r"model\.json: file: cannot be read"),
        (lambda folder: _written(folder, version=4), "not a complete model of this version"),
        (lambda folder: (folder / "write.onnx").unlink(), r"write\.onnx: is not a complete model"),
        (lambda folder: _cut(folder / "look.onnx"), r"look\.onnx: sha256: is not the file"),
        (lambda folder: _written(folder, config={}), "does not tell the sizes"),
    ],
    ids=["missing", "no json", "version", "half", "corrupt", "no sizes"],
)
def test_a_folder_that_is_no_model_is_never_asked_for(
    corner: Desk, recording: Path, tmp_path: Path, exported: Path, spoil: Callable[[Path], object], why: str
) -> None:
    spoil(exported)
    with pytest.raises(ModelError, match=why):
        models.hand_in(corner, tmp_path, job(recording), str(exported))
    with corner.database.read() as session:
        assert session.scalars(select(ModelOrder)).all() == []
    assert not (tmp_path / "models").exists()


def test_a_store_without_a_pipeline_takes_none(corner: Desk, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="--source"):
        models.hand_in(corner, tmp_path, None, "small")


def _written(folder: Path, **other: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | other))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def aisle(*words: str) -> subprocess.CompletedProcess[str]:
    """The command line."""
    call = [sys.executable, "-c", AISLE, *words]
    return subprocess.run(call, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def test_the_command_line_swaps_the_model_of_a_store_that_runs(tmp_path: Path, exported: Path) -> None:
    rec = stream.write(tmp_path / "rec", stream.shoppers(8))
    data, port = tmp_path / "data", free_port()
    words = ["serve", "--source", str(rec), "--data", str(data), "--port", str(port)]
    popen = subprocess.Popen([sys.executable, "-c", AISLE, *words], stderr=subprocess.DEVNULL)
    try:
        _until(lambda: _inside(data, port) == 1, "nobody comes in")
        done = aisle("model", "swap", str(exported), "--data", str(data))
        assert done.returncode == 0, done.stderr
        assert "reads the store now" in done.stderr
        assert str(exported) in aisle("model", "show", "--data", str(data)).stdout
        _written(exported, version=4)
        refused = aisle("model", "swap", str(exported), "--data", str(data))
        assert (refused.returncode, "version" in refused.stderr) == (2, True)
        _until(lambda: _inside(data, port) == 1, "nobody is inside any more")
    finally:
        popen.send_signal(signal.SIGTERM)
        popen.wait(PATIENCE_S)
    assert popen.returncode == 0


def test_the_command_line_names_a_folder_that_is_no_live_store(tmp_path: Path) -> None:
    done = aisle("model", "swap", "small", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "aisle serve" in done.stderr


def _inside(data: Path, port: int) -> int:
    try:
        key = (data / KEY_FILE).read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        return int(httpx.get(f"http://127.0.0.1:{port}/v1/day", headers=headers).json()["inside"])
    except (OSError, httpx.HTTPError):
        return -1


def _until(done: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end_s, what
        time.sleep(0.2)
