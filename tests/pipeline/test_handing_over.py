"""Another model takes over a state: who is where stays, the old network's vectors do not, other widths are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.errors import ModelError
from openaisle.identity import Identities
from openaisle.pipeline import handed_over, refitted, set_up, step
from openaisle.predictor import Float32, floats
from openaisle.state import State
from openaisle.tokens.tick import Ticker
from tests.pipeline.scripted import Scripted, shopping
from tests.tokens.corner import corner_store


class Other(Scripted):
    """Of other vectors, perhaps of other widths."""

    settles, writes = False, False

    def __init__(self, widths: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.widths = widths or self.widths

    def embed_catalogue(self, pictures: NDArray[np.uint8]) -> Float32:
        return np.ones((len(pictures), self.widths[1]), dtype=np.float32)

    def embed_shelves(self, pictures: NDArray[np.uint8]) -> Float32:
        return np.full((len(pictures), self.widths[1]), 2.0, dtype=np.float32)


def learnt() -> tuple[State, Scripted]:
    """A state with somebody inside who has taken something, and whose looks are known."""
    predictor, store = Scripted(), corner_store()
    setup, state = set_up(store, predictor)
    sent = shopping([(3.2, 0, -330.0)], [(0.5, "entry", "ann")], 6.0)
    for tick in Ticker(store).ticks(sent):
        state, _ = step(state, tick, predictor, setup)
    marked = {name: np.ones_like(state.memory[name]) for name in ("appearance", "product", "held")}
    gallery = Identities({0: (np.ones(16, dtype=np.float32), 30.0)})
    return replace(state, memory={**state.memory, **marked}, identities=gallery), predictor


def test_the_catalogue_is_told_in_the_new_model_s_vectors() -> None:
    setup, _ = set_up(corner_store(), Scripted())
    fitted = refitted(setup, Other())
    assert (fitted.embeddings == 1.0).all()
    assert (fitted.shelf_vectors == 2.0).all()
    assert (setup.settles, fitted.settles) == (True, False)
    assert (setup.writes, fitted.writes) == (True, False)
    assert fitted.table is setup.table


def test_people_baskets_and_scales_stay_and_looks_begin_anew() -> None:
    state, predictor = learnt()
    setup, _ = set_up(corner_store(), predictor)
    after = handed_over(state, setup, refitted(setup, Other()), Other())
    assert len(state.ledger.events) == 1
    for name in ("ledger", "shoppers", "grams", "recent", "weighing", "settled", "doubts", "gates", "trail", "lying"):
        assert getattr(after, name) is getattr(state, name), name
    assert after.identities == Identities()
    for rows in (after.memory, *after.window):
        assert not floats(rows["appearance"]).any()
        assert not floats(rows["product"]).any()
    for name in state.memory.keys() - {"appearance", "product"}:
        np.testing.assert_array_equal(after.memory[name], state.memory[name])
    assert [rows["number"].tolist() for rows in after.window] == [rows["number"].tolist() for rows in state.window]


@pytest.mark.parametrize(
    ("widths", "names"),
    [((8, 0), {"appearance"}), ((16, 24), {"product", "catalogue", "shelves"})],
)
def test_other_widths_are_refused_by_name(widths: tuple[int, int], names: set[str]) -> None:
    state, predictor = learnt()
    setup, _ = set_up(corner_store(), predictor)
    other = Other((widths[0], widths[1] or predictor.widths[1]))
    with pytest.raises(ModelError) as raised:
        handed_over(state, setup, refitted(setup, other), other)
    assert {problem.place for problem in raised.value.problems} == names
