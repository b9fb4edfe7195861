"""The same network with the heat maps trained on a GPU: more shops, larger batches; all else as in small_cpu.py.

The shipped heat maps came of such a run, with shards made meanwhile and a schedule by the clock, averaged with
later weights (dev/LOG.md, 2026-11-28). This file itself has not been run to its end.
"""

from dataclasses import replace
from pathlib import Path

from openaisle.training.heatmap import HeatmapStage
from openaisle.training.loop import LoopConfig
from openaisle.training.recipe import Recipe, load_recipe


def recipe() -> Recipe:
    """Needs a GPU with 60 GB for the windows of 1,200 shops; a smaller `capacity` takes fewer of them."""
    base = load_recipe(Path(__file__).with_name("small_cpu.py"))
    config = LoopConfig(steps=25_000, peak_rate=2e-3, warm_up=300, evaluate_every=3_000, log_every=500, clip_norm=3.0)
    return replace(
        base,
        name="small_gpu",
        data=replace(base.data, bodies=1_200),
        heatmap=HeatmapStage(config, windows=768, device="cuda", capacity=1_100_000),
    )
