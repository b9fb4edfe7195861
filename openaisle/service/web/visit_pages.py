"""Visits: the queue of receipts that wait for a person, and a visit with its evidence, to accept or to correct."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import date
from typing import Annotated, cast
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy.orm import Session

from openaisle.blind import TOO_SLOW
from openaisle.errors import RequestError
from openaisle.receipts.ledger import BasketLine, fold
from openaisle.receipts.pricing import Reason, Receipt, Why, local_day, price
from openaisle.service import amends, board, book, cashier, evidence, labels, models, prices, reviews, till
from openaisle.service.album import Album
from openaisle.service.api.access import AsReviewer, AsViewer, ByReviewer, Context, Here, whole
from openaisle.service.api.receipts import visit_of
from openaisle.service.evidence import Witnessed
from openaisle.service.keys import Caller
from openaisle.service.reviews import MOST_UNITS, Decision
from openaisle.service.states import HowLeft, VisitState
from openaisle.service.tables import Visit
from openaisle.service.web.frame import PageRoute, once, page, to, words_of
from openaisle.service.words import Words
from openaisle.store.schema import ProductSpec

router = APIRouter(include_in_schema=False, route_class=PageRoute)
MOST_FOUND = 12
UNITS = "units-"  # fields of the form: units-GTIN
Search = Annotated[str, Query(max_length=80)]
Number = Annotated[str, Query(max_length=14)]


@router.get("/review")
def queue(request: Request, here: Here, caller: AsReviewer) -> Response:
    """Receipts that wait for a person."""
    words = words_of(request)
    with here.desk.database.read() as session:
        rows = [(visit, board.card(session, here.desk, visit)) for visit in reviews.queue(session)]
        disputes = [(one, session.get_one(Visit, one.visit)) for one in amends.open_disputes(session)]
    waiting = [(visit, card, why(words, card.receipt, visit)) for visit, card in rows]
    return page(request, "review.html", caller, queue=waiting, disputes=disputes, now_ns=here.desk.clock())


@router.get("/visits/{visit}")
def visit_page(visit: str, request: Request, here: Here, caller: AsReviewer, gtin: Number = "") -> Response:
    """A visit: its receipt to accept or to correct, its evidence, its money, its disputes."""
    return _visit_page(request, here, caller, visit, gtin)


@router.get("/visits/{visit}/evidence")
def evidence_part(visit: str, request: Request, here: Here, caller: AsReviewer, gtin: Number = "") -> Response:
    """What speaks for a line."""
    visit_of(here.desk, visit)
    with here.desk.database.read() as session:
        found = evidence.evidence_of(session, here.desk.store, _album(request), visit, gtin)
        names = called(session, words_of(request), found)
    product = found[0].name if found else gtin
    return page(request, "evidence.html", caller, visit=visit, found=found, gtin=gtin, product=product, names=names)


@router.get("/visits/{visit}/stills/{camera}/{time_ns}.jpg")
def still(
    visit: str, camera: str, time_ns: int, request: Request, here: Here, caller: AsViewer, event: str = ""
) -> Response:
    """A picture of an event of this visit."""
    with here.desk.database.read() as session:
        mine = event in {entry.event.event_id for entry in book.entries_of(session, visit)}
    data = _album(request).still(event, camera, time_ns) if mine and 0 < time_ns < 2**63 else None
    if data is None:
        raise RequestError(404, "there is no such picture", "stills are kept for a while only")
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})


@router.get("/products")
def products(request: Request, here: Here, caller: AsReviewer, q: Search = "") -> Response:
    """Products by name or number, for the search field."""
    return page(request, "products.html", caller, found=found_products(here.desk.store.products, q), q=q)


@router.get("/visits/{visit}/total")
def total(visit: str, request: Request, here: Here, caller: AsReviewer) -> Response:
    """What the basket on the screen would cost."""
    wanted = _wanted({key: [value] for key, value in request.query_params.items()})
    with here.desk.database.read() as session:
        row = session.get(Visit, visit)
        if row is None:
            raise RequestError(404, f"there is no visit {visit!r}", "see the queue")
        basket = fold(book.ledger_of(session, visit), visit)
        costs = prices.prices_of(session, here.desk, row.prices)
        before = till.current(session, here.desk, row).total_cents
        captured = cashier.account_of(session, visit)
    lines = tuple(BasketLine(gtin, units, 1.0, (), 0) for gtin, units in sorted(wanted.items()) if units)
    day: date = local_day(max(row.left_ns or row.entered_ns, 0), costs.spec.time_zone)
    after = price(type(basket)(visit, lines), costs.spec, costs.products, day).total_cents
    back = max(0, captured.taken_cents - captured.refunded_cents - after) if row.state == VisitState.CLOSED else 0
    return page(request, "total.html", caller, before=before, after=after, back=back)


@router.post("/visits/{visit}/decision")
def decide(visit: str, request: Request, here: Here, sent: ByReviewer) -> Response:
    """A reviewer has looked: what the basket should hold."""
    decision = Decision(_wanted(sent.fields), sent.number("seen", 0, 2**62), sent.one("words")[:2000])
    try:
        reviews.decide(here.desk, visit, decision, sent.caller.name, sent.one("once") or once())
    except RequestError as error:
        if error.status != 409:
            raise
        answer = _visit_page(request, here, sent.caller, visit, error=error)
        answer.status_code = 409
        return answer
    with here.desk.database.read() as session:
        following = reviews.after(session, visit)
    return to(_at(following if following and sent.one("next") else visit))


@router.post("/visits/{visit}/disputes/{dispute}")
def answer_dispute(visit: str, dispute: str, here: Here, sent: ByReviewer) -> Response:
    """A person's answer to an objection."""
    words = sent.one("words").strip()[:2000]
    if not words or sent.one("verdict") not in ("accepted", "rejected"):
        raise RequestError(422, "the answer has no words or no verdict", "fill in the form")
    amends.answer(here.desk, visit, dispute, sent.one("verdict") == "accepted", words, sent.caller.name)
    return to(_at(visit))


def _visit_page(
    request: Request, here: Context, caller: Caller, visit_id: str, gtin: str = "", error: RequestError | None = None
) -> HTMLResponse:
    visit, words = visit_of(here.desk, visit_id), words_of(request)
    with here.desk.database.read() as session:
        receipt = till.current(session, here.desk, visit)
        gtin = gtin or most_doubtful(receipt)
        found = evidence.evidence_of(session, here.desk.store, _album(request), visit_id, gtin)
        values: dict[str, object] = {
            "final": till.final(session, visit_id),
            "account": cashier.account_of(session, visit_id),
            "disputes": amends.disputes_of(session, visit_id),
            "models": models.of_visit(session, visit),
            "names": called(session, words, found),
            "answers": labels.labels_of(session, visit_id),
            "seen": reviews.last_seq(session, visit_id),
            "following": reviews.after(session, visit_id),
        }
    open_now = visit.state in (VisitState.REVIEW, VisitState.CLOSED) and not visit.staff
    reasons = why(words, receipt, visit) if visit.state == VisitState.REVIEW else []
    return page(
        request, "visit.html", caller, visit=visit, editable=open_now, reasons=reasons, once=once(), error=error,
        most=MOST_UNITS, receipt=receipt, found=found, gtin=gtin, product=found[0].name if found else gtin, **values,
    )  # fmt: skip


def called(session: Session, words: Words, found: Sequence[Witnessed]) -> dict[str, str]:
    """Names for people of the visits that events go from and to."""
    out: dict[str, str] = {}
    for name in {visit for one in found for visit in one.event.visits()}:
        row = session.get(Visit, name)
        out[name] = words.shopper(row.number, name, staff=row.staff) if row is not None else name
    return out


def most_doubtful(receipt: Receipt) -> str:
    """The product to look at first."""
    return min(receipt.lines, key=lambda line: line.confidence).gtin if receipt.lines else ""


def why(words: Words, receipt: Receipt, visit: Visit) -> list[str]:
    """The reasons for a review, for people."""
    names = {line.gtin: line.name for line in receipt.lines}
    sure = {line.gtin: line.confidence for line in receipt.lines}
    out = [words("why.never")] if visit.how_left == HowLeft.NEVER else []
    for reason in receipt.reasons:
        about = names.get(reason.about, reason.about)
        if reason.why == Why.THIN_CONFIDENCE and reason.about == visit.id:
            out.append(words("why.thin_receipt", share=words.share(receipt.confidence)))
        elif reason == Reason(Why.BLIND_SENSOR, TOO_SLOW):
            out.append(words("why.too_slow"))
        else:
            share = words.share(sure.get(reason.about, receipt.confidence))
            out.append(words(f"why.{reason.why}", about=about, share=share))
    return out


def found_products(catalogue: tuple[ProductSpec, ...], query: str) -> list[ProductSpec]:
    """Products whose name has every word of a query, or whose number begins or ends with it; best first."""
    wanted = _plain(query).split()
    digits = query.strip()
    out = []
    for product in catalogue:
        name = _plain(product.name)
        if digits.isdecimal() and len(digits) >= 3 and digits in product.gtin:
            out.append((0, name, product))
        elif wanted and all(word in name for word in wanted):
            out.append((1 if name.startswith(wanted[0]) else 2, name, product))
    return [product for _, _, product in sorted(out, key=lambda row: row[:2])[:MOST_FOUND]]


def _plain(text: str) -> str:
    """Lower case without accents."""
    split = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in split if not unicodedata.combining(letter))


def _wanted(fields: dict[str, list[str]] | object) -> dict[str, int]:
    assert isinstance(fields, dict)
    out: dict[str, int] = {}
    for name, values in fields.items():
        if name.startswith(UNITS):
            gtin = name.removeprefix(UNITS)
            if not (gtin.isascii() and gtin.isdecimal() and len(gtin) == 14):
                raise RequestError(422, f"{name[:40]!r} names no GTIN-14", "see the page")
            out[gtin] = whole(values[0], name, 0, MOST_UNITS)
    return out


def _at(visit: str) -> str:
    return f"/visits/{quote(visit, safe='')}"


def _album(request: Request) -> Album:
    return cast(Album, request.app.state.album)
