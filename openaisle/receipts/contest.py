"""The AutoCheckout contest's score: answers and true baskets, read from its own forms, as units of (target, product).

    score of a case = F1 = 2 TP / (P + G) over the multiset of units; nothing against nothing = 1
    score of the contest = mean over its cases; a case without an answer counts as an empty one

Two spellings of a bar code (UPC-E with and without check digit, leading zeros) are one product.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from openaisle.errors import Problem, ReceiptError
from openaisle.recording.importers.autocheckout.case import gtin_of

Unit = tuple[str, str]  # target, GTIN-14 (or the code itself where it is none)
_FIX = 'give {"testcase": ..., "receipts": [{"target_id": ..., "products": [{"barcode": ..., "quantity": ...}]}]}'
Text = Annotated[str, Field(max_length=200)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


class _Product(_Record):
    barcode: Text
    quantity: int = Field(default=1, ge=0, le=100_000)


class _Receipt(_Record):
    target_id: Text
    products: list[_Product] = []


class _Answer(_Record):
    testcase: Text = ""
    name: Text = ""
    receipts: list[_Receipt]


class _Labelled(_Record):
    id: Text = ""


class _Observation(_Record):
    target_id: Text = ""
    products: list[_Labelled] = []


class _Event(_Record):
    observation: _Observation
    putback: bool = False


class _Labels(_Record):
    dataset: Text
    events: list[_Event] = []


@dataclass(frozen=True, slots=True)
class Baskets:
    """What everybody has in the end, in one case; it may go by two names."""

    names: tuple[str, ...]
    units: Counter[Unit]


@dataclass(frozen=True, slots=True)
class CaseScore:
    """Units of one case."""

    name: str
    hits: int  # both answered and true
    answered: int
    true: int

    @property
    def f1(self) -> float:
        """2 TP / (P + G); nothing against nothing is 1."""
        return 2 * self.hits / (self.answered + self.true) if self.answered + self.true else 1.0


@dataclass(frozen=True, slots=True)
class ContestScore:
    """The scored cases, and the names of answers to cases without truth."""

    cases: tuple[CaseScore, ...]
    strangers: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        """cases, f1 (mean over cases), precision and recall (pooled), and f1 by case."""
        hits, answered, true = (sum(n) for n in zip(*((c.hits, c.answered, c.true) for c in self.cases), strict=True))
        return {
            "cases": len(self.cases),
            "f1": sum(case.f1 for case in self.cases) / len(self.cases),
            "precision": hits / answered if answered else 1.0,
            "recall": hits / true if true else 1.0,
            "by_case": {case.name: case.f1 for case in self.cases},
        }


def contest_score(truth: Sequence[Baskets], answers: Sequence[Baskets]) -> ContestScore:
    """Score answers case by case; one answer and one truth belong together whatever their names."""
    alone = len(truth) == len(answers) == 1
    left = list(answers)
    cases = []
    for true in truth:
        found = next((one for one in left if alone or set(one.names) & set(true.names)), None)
        if found is not None:
            left.remove(found)
        units = found.units if found is not None else Counter[Unit]()
        hits = (units & true.units).total()
        cases.append(CaseScore(true.names[0], hits, units.total(), true.units.total()))
    return ContestScore(tuple(cases), tuple(one.names[0] for one in left))


def read_baskets(path: Path) -> list[Baskets]:
    """Answers or truth: a JSON file, or a folder of them, of one case, of a list of cases, or of labelled events.

    Labelled events ({"lists": [{"dataset", "events"}]}) are takes, and returns (putback), of one unit a product.
    Raises ReceiptError with file, place and fix.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise ReceiptError([Problem(str(path), "folder", "holds no JSON file", "name a folder of answers")])
    found = [baskets for file in files for baskets in _read(file)]
    found = [one for i, one in enumerate(found) if one not in found[:i]]  # published labels repeat a case
    twice = sorted(name for name, n in Counter(name for one in found for name in one.names).items() if n > 1)
    if twice:
        what = f"the case {twice[0]!r} is there more than once"
        raise ReceiptError([Problem(str(path), "testcase", what, "keep one entry per case")])
    return found


def _read(file: Path) -> list[Baskets]:
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ReceiptError([Problem(str(file), "file", f"cannot be read as JSON ({error})", _FIX)]) from error
    labels = data.get("lists") if isinstance(data, dict) else None
    entries = labels if isinstance(labels, list) else data if isinstance(data, list) else [data]
    if not entries:
        raise ReceiptError([Problem(str(file), "file", "holds no case", _FIX)])
    try:
        if isinstance(labels, list):
            return [_of_labels(_Labels.model_validate(entry)) for entry in entries]
        return [_of_answer(_Answer.model_validate(entry), file) for entry in entries]
    except ValidationError as error:
        details = error.errors(include_url=False)[:5]
        raise ReceiptError(
            [
                Problem(str(file), ".".join(str(part) for part in one["loc"]) or "file", one["msg"], _FIX)
                for one in details
            ]
        ) from error


def _of_answer(answer: _Answer, file: Path) -> Baskets:
    units: Counter[Unit] = Counter()
    for receipt in answer.receipts:
        for product in receipt.products:
            units[receipt.target_id, _product(product.barcode)] += product.quantity
    names = tuple(dict.fromkeys(name for name in (answer.name, answer.testcase) if name))
    return Baskets(names or (file.stem,), +units)


def _of_labels(labels: _Labels) -> Baskets:
    units: Counter[Unit] = Counter()
    for event in labels.events:
        for product in event.observation.products:
            unit = event.observation.target_id, _product(product.id)
            units[unit] += -1 if event.putback else 1
    return Baskets((labels.dataset,), +units)


def _product(code: str) -> str:
    """A bar code in the one spelling that all of its spellings share."""
    gtin, own = gtin_of(code.strip(), "")
    return gtin if own else code.strip()
