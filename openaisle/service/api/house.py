"""House: keys, webhooks, the day's figures, and whether all is well."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, cast

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from openaisle.service import beats, courier, database, keys, models, room, visits
from openaisle.service.api.access import AsOperator, AsReviewer, Here
from openaisle.service.api.forms import (
    DayAnswer,
    KeyAnswer,
    KeyForm,
    KeyLine,
    ModelAnswer,
    OrderLine,
    WebhookAnswer,
    WebhookForm,
)
from openaisle.service.day import FIRST_DAY, LAST_DAY, bounds_ns, day_figures, today

Day = Annotated[date | None, Query(ge=FIRST_DAY, le=LAST_DAY)]
router = APIRouter(tags=["house"])


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """This process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {}})
def readyz(request: Request, here: Here) -> JSONResponse:
    """The database answers, there is room, and every process beats; 503 with what is missing otherwise."""
    folder = cast(Path | None, request.app.state.folder)
    problems = [] if database.is_ready(here.desk.database) else ["database"]
    warnings = []
    if folder is not None:
        problems += ["disk"] if room.is_full(folder) else []
        problems += beats.troubled(folder)
        warnings = ["low disk: pictures are not kept"] if room.is_low(folder, here.desk.rules.low_disk_mb) else []
    told = {"status": "not ready" if problems else "ready", "problems": problems, "warnings": warnings}
    return JSONResponse(told, 503 if problems else 200)


@router.get("/metrics")
def metrics(request: Request, caller: AsReviewer) -> Response:
    """Figures for Prometheus (give it a reviewer's key)."""
    return Response(
        generate_latest(cast(CollectorRegistry, request.app.state.registry)), media_type=CONTENT_TYPE_LATEST
    )


@router.get("/v1/day")
def read_day(here: Here, caller: AsReviewer, day: Day = None) -> DayAnswer:
    """Figures of a day (default: today)."""
    with here.desk.database.read() as session:
        chosen = day or today(here.desk)
        figures = day_figures(session, here.desk, chosen)
        spells = models.of_time(session, *bounds_ns(chosen, here.desk.store.spec.time_zone))
    return DayAnswer(
        day=figures.day.isoformat(), visits=figures.visits, inside=figures.inside,
        waiting_for_review=figures.waiting_for_review, final_receipts=figures.final_receipts,
        takings_cents=figures.takings_cents, captured_cents=figures.captured_cents,
        refunded_cents=figures.refunded_cents, review_rate=figures.review_rate, currency=figures.currency,
        models=[spell.model for spell in spells],
    )  # fmt: skip


@router.get("/v1/model")
def read_model(here: Here, caller: AsReviewer) -> ModelAnswer:
    """Which model reads the store, and what operators asked for (`aisle model swap`)."""
    with here.desk.database.read() as session:
        run = visits.newest_run(session)
        spell = models.running(session, run) if run is not None else None
        orders = models.latest(session)
    return ModelAnswer(
        run=run.id if run else "", model=spell.model if spell else "", since_ns=spell.at_ns if spell else 0,
        orders=[
            OrderLine(
                id=order.id, model=order.words, digest=order.digest, state=order.state, error=order.error,
                asked_ns=order.at_ns, done_ns=order.done_ns,
            )
            for order in orders
        ],
    )  # fmt: skip


@router.post("/v1/keys", status_code=201)
def create_key(form: KeyForm, here: Here, caller: AsOperator) -> KeyAnswer:
    """A new API key, shown this once."""
    with here.desk.database.write() as session:
        secret = keys.create_key(session, form.name, form.role, here.desk.clock())
    return KeyAnswer(name=form.name, role=form.role, key=secret)


@router.get("/v1/keys")
def list_keys(here: Here, caller: AsOperator) -> list[KeyLine]:
    """All keys, without what opens doors."""
    with here.desk.database.read() as session:
        cards = keys.list_keys(session)
    return [
        KeyLine(id=card.id, name=card.name, role=card.role, created_ns=card.created_ns, revoked=card.revoked)
        for card in cards
    ]


@router.delete("/v1/keys/{key_id}", status_code=204)
def revoke_key(key_id: str, here: Here, caller: AsOperator) -> None:
    """Nobody gets in by this key any more."""
    with here.desk.database.write() as session:
        keys.revoke_key(session, key_id, here.desk.clock())


@router.post("/v1/webhooks", status_code=201)
def add_webhook(form: WebhookForm, here: Here, caller: AsOperator) -> WebhookAnswer:
    """A new receiver of all webhooks; its secret is shown this once."""
    with here.desk.database.write() as session:
        endpoint, secret = courier.add_endpoint(session, form.url, here.desk.clock())
    return WebhookAnswer(id=endpoint, url=form.url, secret=secret)


@router.get("/v1/webhooks")
def list_webhooks(here: Here, caller: AsOperator) -> list[WebhookAnswer]:
    """All receivers."""
    with here.desk.database.read() as session:
        return [WebhookAnswer(id=one.id, url=one.url) for one in courier.endpoints(session)]


@router.delete("/v1/webhooks/{endpoint}", status_code=204)
def remove_webhook(endpoint: str, here: Here, caller: AsOperator) -> None:
    """No more webhooks there."""
    with here.desk.database.write() as session:
        courier.remove_endpoint(session, endpoint, here.desk.clock())
