"""The peer's solver is an extra: who has it not is told what to install, before anything runs."""

from __future__ import annotations

import sys

import pytest

from openaisle.errors import MissingExtraError
from openaisle.modular.peer import ModularPredictor
from tests.pipeline.scripted import Scripted


def test_without_scipy_the_peer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(MissingExtraError, match=r"openaisle\[modular\]"):
        ModularPredictor(Scripted())
