"""Parity on receipts: whether a model made smaller or faster still writes what the one it was made of writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from openaisle.bench.results import CaseResult
from openaisle.errors import ModelError, Problem
from openaisle.receipts.metrics import VisitScore
from openaisle.receipts.score import Score, combine

MOST_FALL = 0.002  # of the share of exact receipts


@dataclass(frozen=True, slots=True)
class Parity:
    """One model beside another on the same visits."""

    model: str
    against: str
    visits: int
    exact: tuple[float, float]  # of the model, of the other
    f1: tuple[float, float]
    differ: int  # visits whose units, charged and right, are not the same

    @property
    def holds(self) -> bool:
        """Exact falls by no more than it may."""
        return self.exact[0] >= self.exact[1] - MOST_FALL - 1e-9

    def __str__(self) -> str:
        """For a person."""
        word = "keeps up with" if self.holds else "FALLS BEHIND"
        return (
            f"{self.model} {word} {self.against} over {self.visits} visits: exact {self.exact[0]:.1%} against "
            f"{self.exact[1]:.1%}, F1 {self.f1[0]:.4f} against {self.f1[1]:.4f}; {self.differ} visits differ"
        )


def parity(results: Sequence[CaseResult], model: str, against: str) -> Parity:
    """Two models on the cases that both played; raises ModelError where there are none."""
    by_case = [{r.case: r for r in results if r.model == name} for name in (model, against)]
    shared = [case for case in by_case[0] if case in by_case[1]]
    if not shared:
        what = f"no case was played by both {model} and {against}"
        raise ModelError([Problem("--against", repr(against), what, "name another model, or more --seeds")])
    ours, theirs = (combine([Score(played[case].visits) for case in shared]) for played in by_case)
    pairs = [
        (mine.get(name), other.get(name))
        for case in shared
        for mine, other in [tuple({v.visit: _units(v) for v in played[case].visits} for played in by_case)]
        for name in mine.keys() | other.keys()
    ]
    a, b = ours.metrics, theirs.metrics
    return Parity(
        model, against, a.visits, (a.exact or 0.0, b.exact or 0.0), (a.f1, b.f1), sum(x != y for x, y in pairs)
    )


def _units(visit: VisitScore) -> tuple[int, int, int]:
    return visit.hits, visit.charged, visit.taken
