"""The shipped small network from nothing, on two cores in under three hours."""

from openaisle.model.config import NetworkConfig
from openaisle.training.loop import LoopConfig
from openaisle.training.receipts import ReceiptStage
from openaisle.training.recipe import DataPlan, Recipe
from openaisle.training.vision import VisionStage

SCENARIOS = (
    "solo", "multiples", "return", "neighbours", "neighbours", "neighbours", "hand-over", "group", "indecisive",
    "look-alikes", "misplace", "concealment", "crowd",
)  # fmt: skip


def recipe() -> Recipe:
    """Seeds 1,000 to 42,000 train, 800,000 to 800,300 validate."""
    return Recipe(
        name="small_cpu",
        network=NetworkConfig(),
        data=DataPlan(SCENARIOS, first_seed=1_000, frames=204, journeys=700, tracked=160),
        vision=VisionStage(LoopConfig(steps=6_000, evaluate_every=500, log_every=25, clip_norm=2.0)),
        receipts=ReceiptStage(LoopConfig(steps=4_000, evaluate_every=500, log_every=100)),
        tuning=ReceiptStage(LoopConfig(steps=1_500, peak_rate=4e-4, warm_up=50, evaluate_every=500), seed=3),
    )
