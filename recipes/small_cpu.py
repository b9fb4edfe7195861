"""The shipped small network from nothing: about five hours on two cores, stage after stage (dev/LOG.md)."""

from openaisle.model.config import NetworkConfig
from openaisle.training.actor import ActorStage
from openaisle.training.detector import DetectorStage
from openaisle.training.glance import GlanceStage
from openaisle.training.heatmap import HeatmapStage
from openaisle.training.loop import LoopConfig
from openaisle.training.receipts import ReceiptStage
from openaisle.training.recipe import DataPlan, Recipe
from openaisle.training.shelf import ShelfStage
from openaisle.training.vision import VisionStage

SCENARIOS = (
    "solo", "multiples", "return", "neighbours", "neighbours", "neighbours", "hand-over", "group", "indecisive",
    "look-alikes", "misplace", "concealment", "crowd",
)  # fmt: skip


def recipe() -> Recipe:
    """Seeds 1,000 to 131,000 train, 800,000 to 800,800 validate."""
    return Recipe(
        name="small_cpu",
        network=NetworkConfig(),
        data=DataPlan(
            SCENARIOS,
            first_seed=1_000,
            frames=420,
            bodies=590,
            glances=360,
            shelves=600,
            actors=900,
            journeys=860,
            tracked=55,
            detections=200,
        ),
        vision=VisionStage(LoopConfig(steps=9_600, evaluate_every=500, log_every=50, clip_norm=5.0)),
        heatmap=HeatmapStage(
            LoopConfig(steps=8_000, peak_rate=2e-3, evaluate_every=500, log_every=50, clip_norm=3.0, average=0.995)
        ),
        glance=GlanceStage(LoopConfig(steps=6_000, evaluate_every=500, log_every=50, clip_norm=5.0)),
        shelf=ShelfStage(
            LoopConfig(steps=4_400, peak_rate=1.5e-3, evaluate_every=500, log_every=50, clip_norm=3.0, average=0.995)
        ),
        actor=ActorStage(
            LoopConfig(steps=3_600, peak_rate=1.5e-3, warm_up=50, evaluate_every=400, clip_norm=3.0, average=0.995)
        ),
        detector=DetectorStage(
            LoopConfig(steps=1_900, peak_rate=2e-3, warm_up=50, evaluate_every=200, clip_norm=5.0, average=0.99)
        ),
        receipts=ReceiptStage(LoopConfig(steps=6_400, evaluate_every=1_000, log_every=100)),
        tuning=ReceiptStage(LoopConfig(steps=3_400, peak_rate=4e-4, warm_up=50, evaluate_every=500), seed=3),
    )
