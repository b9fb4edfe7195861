"""The witness: what was written speaks for its like, the surer the more, and for those of whom it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openaisle.weighing.witness import Told, who
from openaisle.weighing.witness import testimony as spoken_for

TOLD = Told("t1-0", 3, 1, 100, "take", 7, 2, {"ann": 0.9, "bob": 0.1}, 0.9)
LIKE = ("take", 1, 7, 2)


def test_what_was_written_speaks_for_its_like() -> None:
    spoken = spoken_for([TOLD], LIKE)
    assert spoken > spoken_for([TOLD], ("take", 1, 7, 1))
    assert spoken > spoken_for([TOLD], ("take", 1, 8, 2))
    assert spoken_for([TOLD], ("take", 1, 8, 1)) == 0.0
    assert spoken_for([TOLD], ("return", 1, 7, 2)) == 0.0
    assert spoken_for([TOLD], ("take", 2, 7, 2)) == 0.0


def test_two_of_one_each_speak_for_two() -> None:
    one = replace(TOLD, units=1)
    assert spoken_for([one, one], LIKE) == pytest.approx(spoken_for([TOLD], LIKE))


def test_the_surer_the_more_and_never_against() -> None:
    spoken = [spoken_for([replace(TOLD, sure=sure)], LIKE) for sure in (0.01, 0.3, 0.6, 0.97, 1.0)]
    assert spoken == sorted(spoken)
    assert spoken[0] == 0.0
    assert spoken[-1] == spoken[-2]


def test_chances_are_those_of_the_nearest_event_by_visit() -> None:
    later = replace(TOLD, sample=120, people={"bob": 1.0})
    said = who([TOLD, later], "take", 1, 104, ("bob", "ann", "eve"))
    assert said is not None
    assert np.exp(said[:2]) == pytest.approx([0.1, 0.9])
    assert 0 < np.exp(said[2]) < 0.01
    assert who([replace(TOLD, people={})], "take", 1, 100, ("ann",)) is None
    assert who([TOLD], "take", 2, 100, ("ann",)) is None
    assert who([TOLD], "return", 1, 100, ("ann",)) is None
