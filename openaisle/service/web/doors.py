"""Doors: signing in and out, the language, and the files that every page loads."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, cast

import cv2
import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from openaisle.errors import RequestError
from openaisle.service import signins
from openaisle.service.api.access import FAILURE_COST, SESSION, Here, TooManyError, form_of, own_site
from openaisle.service.web.frame import LANGUAGE, READERS, STATIC, PageRoute, page, static_text, to
from openaisle.service.words import LANGUAGES
from openaisle.store.store import Store

router = APIRouter(include_in_schema=False, route_class=PageRoute)
YEAR_S = 365 * 24 * 3600
PICTURE_PX = 160  # longest side of a catalogue picture on a page


@router.get("/login")
def login_form(request: Request, link: Annotated[str, Query(max_length=64)] = "") -> Response:
    """Where a key becomes a session, or a link that was made for one: by a form, so that no preview uses it up."""
    return page(request, "login.html", wrong="", link=link)


@router.post("/login")
async def login(request: Request, here: Here) -> Response:
    """A cookie that only this site's own pages send, that is not the key, and that ends by itself."""
    if not own_site(request):
        raise RequestError(403, "this form does not come from a page of this site", "open /login")
    fields = await form_of(request)
    secret, link = (fields.get(name, [""])[0].strip() for name in ("key", "link"))
    host = request.client.host if request.client else "?"
    wait_s = here.limiter.wait_s(f"host:{host}", FAILURE_COST)
    if wait_s:
        raise TooManyError(wait_s)
    with here.desk.database.write() as session:
        now_ns = here.desk.clock()
        if link:
            word = signins.sign_in_by_link(session, link, READERS, now_ns)
        else:
            word = signins.sign_in(session, secret, READERS, now_ns)
    if word is None:
        answer: Response = page(request, "login.html", wrong="login.used" if link else "login.wrong", link="")
        answer.status_code = 401
        return answer
    answer = to("/")
    _cookie(request, answer, SESSION, word, signins.LASTS_S)
    return answer


@router.post("/logout")
def logout(request: Request, here: Here) -> Response:
    """The cookie opens nothing any more; a form of another site may not do that either."""
    if not own_site(request):
        raise RequestError(403, "this form does not come from a page of this site", "open the page again")
    with here.desk.database.write() as session:
        signins.sign_out(session, request.cookies.get(SESSION, ""))
    answer = to("/login")
    answer.delete_cookie(SESSION, httponly=True, samesite="strict")
    return answer


@router.post("/language")
async def language(request: Request) -> Response:
    """The reader has chosen a language; back to the page where they were."""
    fields = await form_of(request)
    wish, back = fields.get("language", [""])[0], fields.get("back", ["/"])[0]
    if wish not in LANGUAGES:
        raise RequestError(422, f"there is no language {wish[:20]!r}", f"choose one of {', '.join(LANGUAGES)}")
    # A path of this site and nothing else: "//other" and "/\\other" are other sites to a browser.
    safe = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable() and len(back) < 500
    answer = to(back if safe else "/")
    _cookie(request, answer, LANGUAGE, wish, YEAR_S)
    return answer


@router.get("/static/{name}")
def static(name: str) -> Response:
    """A script, a style sheet, the icon."""
    try:
        data = static_text(name)
    except KeyError as error:
        raise RequestError(404, f"there is no file {name!r}", "see the pages") from error
    return Response(data, media_type=STATIC[name], headers={"cache-control": f"max-age={YEAR_S}, immutable"})


@router.get("/products/{gtin}.png")
def product_picture(gtin: str, request: Request, side: Annotated[int, Query(ge=0, le=20)] = 0) -> Response:
    """A catalogue picture; what hangs on the shelf is no secret."""
    data = cast(Pictures, request.app.state.pictures).png(gtin, side)
    return Response(data, media_type="image/png", headers={"cache-control": "max-age=86400"})


class Pictures:
    """Catalogue pictures as PNG, made when they are first asked for."""

    def __init__(self, store: Store) -> None:
        self.png = lru_cache(maxsize=2048)(self._png)
        self._store = store

    def _png(self, gtin: str, side: int) -> bytes:
        sides = self._store.pictures.get(gtin, ())
        if gtin not in self._store.product_index:
            raise RequestError(404, f"the catalogue has no product {gtin!r}", "see the catalogue")
        rgb = sides[side] if side < len(sides) else nameless()
        longest = max(rgb.shape[:2])
        if longest > PICTURE_PX:
            size = tuple(max(1, round(n * PICTURE_PX / longest)) for n in rgb.shape[1::-1])
            rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        done, data = cv2.imencode(".png", np.ascontiguousarray(rgb[:, :, ::-1]))
        assert done, "PNG encoding of a uint8 picture cannot fail"
        return data.tobytes()


def nameless() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Stands for a product without a picture."""
    rgb = np.full((64, 64, 3), 205, dtype=np.uint8)
    cv2.rectangle(rgb, (14, 18), (49, 49), (150, 150, 155), 2)
    cv2.line(rgb, (14, 28), (49, 28), (150, 150, 155), 2)
    return rgb


def _cookie(request: Request, answer: Response, name: str, value: str, lasts_s: int) -> None:
    secure = request.url.scheme == "https"
    answer.set_cookie(name, value, lasts_s, httponly=True, samesite="strict", secure=secure)
