"""Schema errors in plain words, and mending, so that one wrong field does not hide what is wrong elsewhere.

A value that fails is reported, then replaced by one that passes, so that the rules across fields and files
(check.py) can still run. What they say about a mended part is left out: it would be about our filler.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from openaisle.store.yaml_file import Place, in_words

ROUNDS = 12  # a filler may uncover the next error (missing → wrong type → out of bounds)
# Lengths that shelves and lanes are measured against: a filler there puts everything inside in the wrong place.
PLACING = ("x_m", "y_m", "z_m", "width_m", "depth_m", "height_m", "yaw_deg")
FAR_M = 1000.0
FILLERS: Mapping[str, object] = {
    "floor_m": [[-FAR_M, -FAR_M], [FAR_M, -FAR_M], [FAR_M, FAR_M], [-FAR_M, FAR_M]],  # so that nothing is outside
    "currency": "XXX",  # ISO 4217: no currency
    "time_zone": "UTC",
}
M = TypeVar("M", bound=BaseModel)
Fault = tuple[Place, str, str]  # where, what is wrong, how to mend it

_FIXES: Mapping[str, str] = {
    "missing": "add it",
    "string_type": "write text; put quotes around digits",
    "float_type": "write a number",
    "float_parsing": "write a number, with a point as the decimal separator",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "finite_number": "write a finite number",
    "tuple_type": "write a list: [..., ...]",
    "model_type": "write {key: value, ...}, or one key a line, indented",
    "dict_type": "write {key: value, ...}, or one key a line, indented",
    "too_short": "add the missing entries",
    "too_long": "remove the surplus entries",
    "string_too_short": "write something here",
    "string_too_long": "shorten it",
    "timezone_aware": "add the zone: 2026-12-31T12:00:00Z",
    "datetime_parsing": "write an instant as 2026-12-31T12:00:00Z",
    "datetime_from_date_parsing": "write an instant as 2026-12-31T12:00:00Z",
    "datetime_type": "write an instant as 2026-12-31T12:00:00Z",
    "date_from_datetime_parsing": "write a date as 2026-12-31",
    "date_type": "write a date as 2026-12-31",
}


@dataclass(frozen=True)
class Checked(Generic[M]):
    """The outcome of a schema check; `value` is None only when the data could not even be mended."""

    value: M | None
    faults: tuple[Fault, ...]
    mended: tuple[Place, ...]

    def touched(self, place: Place) -> bool:
        """Whether a rule's complaint at `place` may be about a filler: in that value, its entry, or what lies in it."""
        for mended in self.mended:
            field = mended if isinstance(mended[-1], str) else mended[:-1]
            owner = field[:-1]
            within = field[-1] in PLACING and owner and place[: len(owner)] == owner
            if within or place in (owner, mended) or place[: len(field)] == field:
                return True
        return False


def validate(model: type[M], data: Mapping[str, object]) -> Checked[M]:
    """Check plain data against a schema: faults in the order of the fields, and a value that passes."""
    draft: object = copy.deepcopy(dict(data))
    faults: list[Fault] = []
    mended: list[Place] = []
    for turn in range(ROUNDS):
        try:
            return Checked(model.model_validate(draft), tuple(faults), tuple(mended))
        except ValidationError as error:
            details = error.errors(include_url=False)
        if turn == 0:
            faults = [_fault(model, detail) for detail in details]
        for detail in reversed(details):
            if not _mend(model, draft, detail):
                return Checked(None, tuple(faults), tuple(mended))
            if detail["type"] != "extra_forbidden":
                mended.append(tuple(detail["loc"]))
    return Checked(None, tuple(faults), tuple(mended))


def _fault(model: type[BaseModel], detail: ErrorDetails) -> Fault:
    place, kind = tuple(detail["loc"]), detail["type"]
    if kind == "extra_forbidden":
        return place, f"the key {place[-1]!r} is not known here", _nearest(model, place)
    if kind == "missing":
        return place, f"the key {place[-1]!r} is missing", f"add {in_words(place[-1:])}"
    if kind == "value_error":
        return place, str(detail["ctx"]["error"]), "correct the value"
    what = detail["msg"][0].lower() + detail["msg"][1:]
    if kind in ("model_type", "dict_type"):
        what = "keys and values belong here"
    got = detail["input"]
    shown = f", not {got!r}" if isinstance(got, str | int | float | bool) or got is None else ""
    return place, what + shown, _FIXES.get(kind) or _bound_fix(detail)


def _bound_fix(detail: ErrorDetails) -> str:
    limits = {key: value for key, value in detail.get("ctx", {}).items() if key in ("ge", "gt", "le", "lt", "expected")}
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "expected": "one of"}
    if limits:
        return "write a value that is " + " and ".join(f"{words[key]} {value}" for key, value in limits.items())
    if detail["type"] == "string_pattern_mismatch":
        return f"write text of the form {detail['ctx']['pattern']}"
    return "correct the value"


def _nearest(model: type[BaseModel], place: Place) -> str:
    known = _fields(model, place[:-1])
    close = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"remove it; known keys are {', '.join(known)}"


def _fields(model: type[BaseModel], place: Iterable[str | int]) -> list[str]:
    """Names of the fields of the model at a path."""
    found = _model_at(model, place)
    return [] if found is None else list(found.model_fields)


def _model_at(model: type[BaseModel], place: Iterable[str | int]) -> type[BaseModel] | None:
    """The model at a path, following lists of models."""
    for part in place:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = getattr(field.annotation, "__args__", ()) if field is not None else ()
        nested = next((arg for arg in inner if isinstance(arg, type) and issubclass(arg, BaseModel)), None)
        if nested is None:
            return None
        model = nested
    return model


def _mend(model: type[BaseModel], draft: object, detail: ErrorDetails) -> bool:
    """Replace the value an error points at by one that passes, as far as its type tells; False when hopeless."""
    place = tuple(detail["loc"])
    if not place or not isinstance(draft, dict):
        return False
    if place[0] in FILLERS and isinstance(place[0], str):
        draft[place[0]] = copy.deepcopy(FILLERS[place[0]])
        return True
    parent: object = draft
    for part in place[:-1]:
        if not (isinstance(parent, dict | list) and _has(parent, part)):
            return True  # an earlier mend already replaced what is around
        parent = parent[part]  # type: ignore[index]
    last = place[-1]
    if isinstance(parent, dict):
        owner = _model_at(model, place[:-1])
        known = owner.model_fields.get(str(last)) if owner is not None else None
        if detail["type"] == "extra_forbidden" or (known is not None and not known.is_required()):
            parent.pop(last, None)
        else:
            parent[last] = _filler(detail, place)
        return True
    if isinstance(parent, list) and isinstance(last, int):
        parent.extend([0.0] * (last + 1 - len(parent)))
        parent[last] = _filler(detail, place)
        return True
    return False


def _has(parent: dict[object, object] | list[object], part: str | int) -> bool:
    if isinstance(parent, dict):
        return part in parent
    return isinstance(part, int) and part < len(parent)


def _filler(detail: ErrorDetails, place: Place) -> object:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "literal_error":
        return str(context["expected"]).split("'")[1] if "'" in str(context["expected"]) else 1
    if kind == "string_pattern_mismatch":
        numbers = "_".join(str(part) for part in place if isinstance(part, int))
        return f"mended_{numbers}"
    if kind.startswith("string"):
        return f"mended-{in_words(place)}"[:40]
    if kind in ("tuple_type", "too_long"):
        return []
    if kind == "too_short":
        got = detail["input"]
        return [*(got if isinstance(got, list | tuple) else []), *([{}] * int(context["min_length"]))]
    if kind in ("model_type", "dict_type"):
        return {}
    if kind.startswith("bool"):
        return False
    if kind.startswith("date"):
        return None
    if kind == "value_error":
        return "00000000000000"  # the only validator of ours is the GTIN's
    for key in ("ge", "le"):
        if key in context:
            return context[key]
    return 1 if kind.startswith("int") else 0.001
