"""The training loop every stage shares: optimiser, schedule, average of weights, checkpoints, curves, resume.

A stage gives a loss function; the loop is killed and resumed at any moment without losing more than
`save_every_s` seconds, and writes TensorBoard curves and a JSON-lines log beside the checkpoints.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, distributed, nn

LossAt = Callable[[int], tuple[Tensor, Mapping[str, float]]]  # step → (loss, parts to log)
EvaluateAt = Callable[[nn.Module], Mapping[str, float]]


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast."""

    steps: int
    peak_rate: float = 1e-3
    warm_up: int = 200
    final_share: float = 0.02  # learning rate at the end, as a share of the peak
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    average: float = 0.999  # decay of the exponential moving average of the weights
    log_every: int = 50
    save_every_s: float = 120.0
    evaluate_every: int = 1000


def rate_at(step: int, config: LoopConfig) -> float:
    """Learning rate: linear warm-up, flat, then a linear fall over the last 40%."""
    if step < config.warm_up:
        return config.peak_rate * (step + 1) / config.warm_up
    left = (config.steps - step) / max(1.0, 0.4 * config.steps)
    return config.peak_rate * max(config.final_share, min(1.0, left))


def averaged(told: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Each metric's mean over the batches that tell it."""
    values: dict[str, list[float]] = {}
    for metrics in told:
        for key, value in metrics.items():
            values.setdefault(key, []).append(value)
    return {key: sum(each) / len(each) for key, each in values.items()}


def computes_bfloat16(device: str) -> bool:
    """Whether a device ("cpu", "cuda") computes in bfloat16; a CPU that emulates it is slower than in float32."""
    able = torch.cpu.get_capabilities()
    return device != "cpu" or bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def mixed(device: str) -> torch.autocast:
    """Matrix products in bfloat16 where that is faster."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=computes_bfloat16(device))


def rank() -> int:
    """This process among those that train together (torchrun); 0 when alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def average_gradients(network: nn.Module) -> None:
    """Mean gradients over all processes, in one message; a no-op when alone."""
    if not distributed.is_initialized():
        return
    parameters = [p for p in network.parameters() if p.requires_grad]
    flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for p, grad in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
        p.grad = grad.view_as(p).clone()


def optimiser_for(network: nn.Module, config: LoopConfig) -> torch.optim.AdamW:
    """AdamW; only matrices decay."""
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    rest = [p for p in network.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.peak_rate, betas=(0.9, 0.98))


@dataclass
class RunState:
    """What a checkpoint holds."""

    step: int
    average: dict[str, Tensor]


class Loop:
    """One resumable stage of training."""

    def __init__(self, network: nn.Module, config: LoopConfig, folder: Path, name: str) -> None:
        self.network, self.config, self.folder, self.name = network, config, folder, name
        self.optimiser = optimiser_for(network, config)
        self.state = RunState(0, {k: v.detach().clone() for k, v in network.state_dict().items()})
        self.checkpoint = folder / f"{name}.checkpoint.pt"
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._resume()

    def _resume(self) -> None:
        saved = torch.load(self.checkpoint, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.state = RunState(int(saved["step"]), saved["average"])

    def save(self) -> None:
        """Write the checkpoint atomically (the first process does)."""
        if rank() != 0:
            return
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(
            {
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.state.step,
                "average": self.state.average,
            },
            temporary,
        )
        temporary.rename(self.checkpoint)

    def run(self, loss_at: LossAt, evaluate_at: EvaluateAt | None = None) -> None:
        """Train to the configured number of steps, then load the averaged weights into the network."""
        from torch.utils.tensorboard import SummaryWriter  # heavy: only when training

        board = SummaryWriter(str(self.folder / "tensorboard" / self.name), purge_step=self.state.step)
        saved, begun, first = time.monotonic(), time.monotonic(), self.state.step
        while self.state.step < self.config.steps:
            parts = self._step(loss_at)
            step = self.state.step
            if rank() != 0:
                continue
            if step % self.config.log_every == 0:
                speed = (step - first) / (time.monotonic() - begun)
                self._log(board, {**parts, "steps_per_s": speed})
            if evaluate_at is not None and step % self.config.evaluate_every == 0:
                self._log(board, self._evaluate(evaluate_at))
            if time.monotonic() - saved > self.config.save_every_s:
                self.save()
                saved = time.monotonic()
        self.save()
        self.network.load_state_dict(self.state.average)
        board.close()

    def _step(self, loss_at: LossAt) -> Mapping[str, float]:
        rate = rate_at(self.state.step, self.config)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.network.train()
        loss, parts = loss_at(self.state.step)
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(self.network)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.state.step += 1
        decay = min(self.config.average, (1 + self.state.step) / (10 + self.state.step))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                if value.dtype.is_floating_point:
                    self.state.average[key].lerp_(value, 1 - decay)
                else:
                    self.state.average[key].copy_(value)
        return {"loss": float(loss.detach()), "rate": rate, **parts}

    def _evaluate(self, evaluate_at: EvaluateAt) -> Mapping[str, float]:
        live = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.state.average)
        self.network.eval()
        with torch.no_grad():
            metrics = evaluate_at(self.network)
        self.network.load_state_dict(live)
        return {f"val/{key}": value for key, value in metrics.items()}

    def _log(self, board: object, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            board.add_scalar(key, value, self.state.step)  # type: ignore[attr-defined]  # tensorboard is untyped
        line = {"step": self.state.step, **{k: round(float(v), 5) for k, v in values.items()}}
        with (self.folder / f"{self.name}.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        print(self.name, " ".join(f"{k}={v:.4g}" for k, v in line.items()), flush=True)
