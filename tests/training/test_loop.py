"""The loop: killed and resumed it ends with the same bits; its schedule, its average, its way with infinity."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from openaisle.training.loop import Loop, LoopConfig, computes_bfloat16, mixed, rate_at

CONFIG = LoopConfig(steps=14, peak_rate=0.05, warm_up=3, average=0.9, save_every_s=0.0, log_every=5, evaluate_every=6)


def fresh(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


class Problem:
    """Fit a function; data depend on the step alone. Dies when it is told to."""

    def __init__(self, network: nn.Module, dies_at: int = -1) -> None:
        self.network, self.dies_at = network, dies_at

    def __call__(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        if step == self.dies_at:
            raise KeyboardInterrupt
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
        loss = (self.network(x)[:, 0] - x[:, 0] * x[:, 1]).square().mean()
        return loss, {"mse": float(loss.detach())}


def trained(folder: Path, deaths: tuple[int, ...] = ()) -> tuple[dict[str, Tensor], list[float]]:
    """Weights after a run that was killed at some steps, and the learning curve's losses."""
    for i, death in enumerate((*deaths, -1)):
        network = fresh(seed=i)  # a resumed process starts from other weights
        loop = Loop(network, CONFIG, folder, "task")
        try:
            loop.run(Problem(network, death), lambda average: {"score": 1.0})
        except KeyboardInterrupt:
            (folder / "task.checkpoint.tmp").write_bytes(b"half written")
    log = [json.loads(line) for line in (folder / "task.jsonl").read_text().splitlines()]
    return network.state_dict(), [line["loss"] for line in log if "loss" in line]


@pytest.mark.parametrize("deaths", [(7,), (1, 2, 13)])
def test_a_killed_and_resumed_run_ends_with_the_same_bits(tmp_path: Path, deaths: tuple[int, ...]) -> None:
    straight, curve = trained(tmp_path / "straight")
    resumed, again = trained(tmp_path / "resumed", deaths)
    for key, values in straight.items():
        assert torch.equal(values, resumed[key]), key
    assert curve == again


def test_a_finished_run_does_nothing_more(tmp_path: Path) -> None:
    first, _ = trained(tmp_path)
    network = fresh(5)
    Loop(network, CONFIG, tmp_path, "task").run(Problem(network, dies_at=CONFIG.steps))
    for key, values in network.state_dict().items():
        assert torch.equal(values, first[key])


def test_the_average_is_what_remains_and_what_is_judged(tmp_path: Path) -> None:
    network = fresh()
    loop = Loop(network, CONFIG, tmp_path, "task")
    judged: list[dict[str, Tensor]] = []

    def evaluate(average: nn.Module) -> Mapping[str, float]:
        judged.append({k: v.clone() for k, v in average.state_dict().items()})
        return {"score": 1.0}

    loop.run(Problem(network), evaluate)
    assert len(judged) == CONFIG.steps // CONFIG.evaluate_every
    for key, values in network.state_dict().items():
        assert torch.equal(values, loop.state.average[key])
        assert not torch.equal(values, judged[0][key])


def test_a_step_without_finite_gradients_is_left_out(tmp_path: Path) -> None:
    network = fresh()
    before = {k: v.clone() for k, v in network.state_dict().items()}

    def loss_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        return network(torch.full((2, 4), torch.inf)).sum() * 1e30, {}

    Loop(network, LoopConfig(steps=3, warm_up=1), tmp_path, "task").run(loss_at)
    for key, values in network.state_dict().items():
        assert torch.isfinite(values).all()
        assert torch.allclose(values, before[key])


def test_the_rate_rises_stays_and_falls() -> None:
    config = LoopConfig(steps=1000, peak_rate=1.0, warm_up=10, final_share=0.02)
    rates = [rate_at(step, config) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == rates[600] == 1.0
    assert rates[800] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.02)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


@pytest.mark.parametrize(
    ("able", "native"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True, "avx512_bf16": False}, True), ({"avx512_f": True}, False)],
)
def test_bfloat16_is_used_where_the_processor_has_it(
    able: dict[str, bool], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emulated, it is 2.8 times as slow as float32 (dev/LOG.md)."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert computes_bfloat16("cpu") is native
    with mixed("cpu"):
        assert torch.is_autocast_enabled("cpu") is native
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if native else torch.float32)
    assert computes_bfloat16("cuda")
