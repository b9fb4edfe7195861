"""Words: every language says everything, templates say nothing by themselves, and numbers look as readers know them."""

from __future__ import annotations

import re
from datetime import date
from importlib.resources import files
from string import Formatter

import pytest

from openaisle.messages import NANOSECONDS
from openaisle.receipts.pricing import Why
from openaisle.service.cashier import Account
from openaisle.service.health import How
from openaisle.service.states import DisputeKind, StepKind, StepState, VisitState
from openaisle.service.words import LANGUAGES, Words, language_of, strings

PAGES = files("openaisle.service").joinpath("pages")
TEMPLATES = sorted(path.name for path in PAGES.iterdir() if path.name.endswith("html"))
KINDS = ("take", "return", "hand_over", "correction")
PAYMENTS = ("none", "pending", "failed", "held", "released", "captured", "refunded")


def source(name: str) -> str:
    """A template."""
    return PAGES.joinpath(name).read_text(encoding="utf-8")


def places(text: str | dict[str, str]) -> set[str]:
    """The places of a string's forms."""
    forms = [text] if isinstance(text, str) else list(text.values())
    return {field for form in forms for _, field, _, _ in Formatter().parse(form) if field}


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_language_has_every_string_with_its_places(language: str) -> None:
    ours, theirs = strings(LANGUAGES[0]), strings(language)
    assert ours.keys() == theirs.keys()
    for key, text in ours.items():
        assert places(text) == places(theirs[key]), key
        assert isinstance(text, str) == isinstance(theirs[key], str), key
    same = [key for key, text in ours.items() if text == theirs[key] and len(str(text)) > 3]
    assert len(same) < len(ours) / 8  # names and loan words


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_use_strings_that_there_are(name: str) -> None:
    text, known = source(name), strings(LANGUAGES[0])
    for key in re.findall(r"""\bt\(["']([a-z_.]+)["'](?! ~)""", text):
        assert key in known, key
    for prefix in re.findall(r"""\bt\(["']([a-z_]+[._])["'] ~""", text):
        assert any(key.startswith(prefix) for key in known), prefix


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_say_nothing_by_themselves(name: str) -> None:
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", source(name), flags=re.DOTALL)
    told = re.findall(r"""(?:aria-label|title|alt|placeholder)=["']([^"']*[A-Za-z]{2}[^"']*)["']""", text)
    told += re.findall(r"[A-Za-z]{3,}", re.sub(r"<[^>]*>", " ", text))
    assert told == []


@pytest.mark.parametrize(
    "keys",
    [
        {f"state.{one}" for one in VisitState}, {f"payment.{one}" for one in PAYMENTS}, {f"why.{one}" for one in Why},
        {f"step.{one}" for one in StepKind}, {f"stepstate.{one}" for one in StepState}, {f"how.{one}" for one in How},
        {f"verdict.{one}" for one in DisputeKind}, {f"kind.{one}" for one in KINDS},
        {f"process.{one}" for one in ("running", "waiting", "crash_loop", "ended")},
        {f"own.{one}" for one in ("inside", "left", "review", "closed", "none")},
        {f"fixture.{one}" for one in ("gondola", "wall", "fridge", "table", "pegs", "counter")},
    ],
    ids=lambda keys: min(keys),
)  # fmt: skip
def test_every_word_of_the_database_has_one_for_people(keys: set[str]) -> None:
    assert keys <= strings(LANGUAGES[0]).keys()
    assert Account().state in PAYMENTS


@pytest.mark.parametrize(
    ("wish", "accepted", "language"),
    [
        ("", "", "en"), ("", "de", "de"), ("", "de-CH,de;q=0.9,en;q=0.8", "de"), ("", "fr-FR,fr;q=0.9", "en"),
        ("", "en;q=0.4, de;q=0.5", "de"), ("", "de;q=0, en", "en"), ("en", "de", "en"), ("xx", "de", "de"),
        ("", "*", "en"), ("", ";;;q=x, ,de;q=1;q", "en"),
    ],
)  # fmt: skip
def test_the_reader_s_language(wish: str, accepted: str, language: str) -> None:
    assert language_of(wish, accepted) == language


def test_amounts_dates_and_plurals_as_readers_know_them() -> None:
    english, german = (Words(language, "Europe/Berlin", "EUR") for language in LANGUAGES)
    noon_ns = 1_770_030_000 * NANOSECONDS
    assert english.money(123456) == "€1,234.56"
    assert german.money(123456) == "1.234,56\N{NO-BREAK SPACE}€"
    assert german.money(-5) == "-0,05\N{NO-BREAK SPACE}€"
    assert Words("en", "Asia/Tokyo", "JPY").money(1200).endswith("1,200")
    assert english.clock(noon_ns) == "12:00:00"
    assert german.day(date(2026, 2, 2)) == "Montag, 2. Februar 2026"
    assert english("visit.people", count=1) == "1 person"
    assert german("visit.people", count=3) == "3 Personen"
    assert english.ago(200) == "3 minutes"
    assert english.ago(0.4) == "0 seconds"
    assert (english.share(None), english.number(None), english.clock(0)) == ("–", "–", "–")
    assert german.seconds(1.25).startswith("1,2")
