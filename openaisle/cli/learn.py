"""`aisle train | evaluate | export`: from recipes to weights to what the shop runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = {
    "train": "Example: aisle train small_cpu",
    "evaluate": "Example: aisle evaluate --model small --seeds 800000:800005",
    "export": "Example: aisle export data/train/small --out weights/small",
}
