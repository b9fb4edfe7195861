"""Words: what pages say, in the reader's language: strings from pages/words/*.json, money and dates as Babel has them.

A string is text with {places}, or one text per plural form. Every language has every key; a test sees to that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from babel import Locale, negotiate_locale
from babel.dates import format_date, format_datetime, format_time
from babel.numbers import format_currency, format_decimal, format_percent, get_currency_precision

from openaisle.messages import NANOSECONDS

LANGUAGES = ("en", "de")
REGIONS = {"en": "en_GB"}  # whose dates and clocks are used
Strings = dict[str, str | dict[str, str]]


@cache
def strings(language: str) -> Strings:
    """A language's catalogue."""
    text = files("openaisle.service").joinpath("pages", "words", f"{language}.json").read_text(encoding="utf-8")
    found: Strings = json.loads(text)
    return found


def language_of(wish: str, accepted: str) -> str:
    """A language that there is: what somebody chose, else the browser's first (Accept-Language), else English."""
    if wish in LANGUAGES:
        return wish
    weighed = []
    for part in accepted.split(","):
        name, _, rest = part.strip().partition(";")
        try:
            weight = float(rest.strip().removeprefix("q=")) if rest else 1.0
        except ValueError:
            continue
        if name and weight > 0:
            weighed.append((-weight, name))
    names = [name for _, name in sorted(weighed, key=lambda pair: pair[0])]
    return negotiate_locale(names, LANGUAGES, sep="-") or LANGUAGES[0]


@dataclass(frozen=True)
class Words:
    """Everything that a page says to one reader; times are told in the store's time zone."""

    language: str
    time_zone: str
    currency: str

    @property
    def locale(self) -> Locale:
        """Babel's."""
        return Locale.parse(REGIONS.get(self.language, self.language))

    def __call__(self, key: str, count: int | None = None, **places: object) -> str:
        """A string; with a count its plural form, and {count} in it."""
        found = strings(self.language)[key]
        if isinstance(found, dict):
            assert count is not None, f"{key} has plural forms"
            found = found.get(str(self.locale.plural_form(count)), found["other"])
        return found.format(count=count, **places)

    def has(self, key: str) -> bool:
        """Whether there is such a string."""
        return key in strings(self.language)

    def shopper(self, number: int, visit: str, *, staff: bool = False) -> str:
        """A visit's name for people: by its number on the day, or by its id where it is older than numbers."""
        return self("visit.badge" if staff else "visit.shopper", number=number) if number else visit

    def money(self, cents: int) -> str:
        """An amount in minor units."""
        amount = Decimal(cents).scaleb(-get_currency_precision(self.currency))
        return format_currency(amount, self.currency, locale=self.locale)

    def share(self, value: float | None) -> str:
        """A share of one, as a percentage; a dash for none."""
        return "–" if value is None else format_percent(value, locale=self.locale)

    def number(self, value: float | None, decimals: int = 0) -> str:
        """A number; a dash for none."""
        pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
        return "–" if value is None else format_decimal(value, pattern, locale=self.locale)

    def seconds(self, value: float | None) -> str:
        """A short time."""
        return self.number(value, 1) + ("" if value is None else "\N{NO-BREAK SPACE}s")

    def clock(self, time_ns: int) -> str:
        """A time of day, to the second."""
        return format_time(self._local(time_ns), "medium", locale=self.locale) if time_ns > 0 else "–"

    def moment(self, time_ns: int) -> str:
        """A date and time."""
        return format_datetime(self._local(time_ns), "short", locale=self.locale) if time_ns > 0 else "–"

    def day(self, day: date) -> str:
        """A date in words."""
        return format_date(day, "full", locale=self.locale)

    def ago(self, seconds: float) -> str:
        """How long, in one unit."""
        for unit, size in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
            if seconds >= size * 1.5:
                return self(f"for.{unit}", count=round(seconds / size))
        return self("for.second", count=max(0, round(seconds)))

    def _local(self, time_ns: int) -> datetime:
        return datetime.fromtimestamp(time_ns / NANOSECONDS, UTC).astimezone(ZoneInfo(self.time_zone))
