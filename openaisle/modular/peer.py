"""The previous generation as a predictor: no decoder writes anything, scales at rest tell all, on borrowed tracks.

They are weighed, split, identified, counted and associated as behind every predictor (weighing/, reconcile.py), only
without a witness.
"""

from __future__ import annotations

from openaisle.predictor import Borrowed, Predictor, TickView, WrittenEvent


class ModularPredictor(Borrowed):
    """Discrete components in a row; bodies and hands are seen and followed by another predictor's eyes."""

    settles = True
    writes = False

    def __init__(self, eyes: Predictor, name: str = "modular") -> None:
        super().__init__(eyes, name)

    def write(self, view: TickView) -> list[WrittenEvent]:
        """Nothing: it is told when an interaction is over, not tick by tick."""
        return []
