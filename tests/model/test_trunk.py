"""The trunk: padding and other images change nothing, and its outputs say what they are said to say."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor
from torch.nn import functional as F

from openaisle.model.graphs import flat
from openaisle.model.memory import votes_from_tokens
from openaisle.model.trunk import Gaussian, PatchOutputs
from tests.model.tiny import TINY, random_patches, tiny_network


def tensors(outputs: PatchOutputs) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    for field in fields(outputs):
        value = getattr(outputs, field.name)
        parts = {"mean": value.mean, "factor": value.factor} if isinstance(value, Gaussian) else {"": value}
        out |= {f"{field.name} {part}": tensor for part, tensor in parts.items()}
    return out


def test_padding_changes_nothing() -> None:
    trunk = tiny_network().vision.trunk
    inputs = random_patches(2, 6)
    junk = random_patches(2, 5, seed=9)
    padded = [torch.cat([a, b], dim=1) for a, b in zip(inputs[:4], junk[:4], strict=True)]
    mask = F.pad(inputs[4], (0, 5), value=False)
    with torch.no_grad():
        plain, with_junk = tensors(trunk(*inputs)), tensors(trunk(*padded, mask))
    for name, values in plain.items():
        assert torch.allclose(values, with_junk[name][:, :6], atol=1e-5), name


def test_images_do_not_see_each_other() -> None:
    trunk = tiny_network().vision.trunk
    inputs = random_patches(3, 4)
    with torch.no_grad():
        together, alone = tensors(trunk(*inputs)), tensors(trunk(*(value[1:2] for value in inputs)))
    for name, values in alone.items():
        assert torch.allclose(values, together[name][1:2], atol=1e-5), name


def test_tokens_of_an_image_do_see_each_other() -> None:
    trunk = tiny_network().vision.trunk
    pixels, background, rays, cells, mask = random_patches(1, 4)
    changed = pixels.clone()
    changed[:, 3] = 255 - changed[:, 3]
    with torch.no_grad():
        before, after = (trunk(p, background, rays, cells, mask).person[0, 0] for p in (pixels, changed))
    assert float((before - after).abs()) > 1e-6


def test_shapes_and_unit_vectors() -> None:
    with torch.no_grad():
        outputs = tiny_network().vision.trunk(*random_patches(2, 3))
    assert outputs.floor.mean.shape == (2, 3, 2)
    assert outputs.far_hand.factor.shape == (2, 3, 3, 3)
    assert outputs.segments.shape == (2, 3, 16, 6)
    assert outputs.appearance.shape == (2, 3, TINY.appearance_width)
    assert torch.allclose(outputs.appearance.norm(dim=-1), torch.ones(2, 3), atol=1e-5)


def test_votes_turn_with_the_camera_and_move_with_the_anchor() -> None:
    with torch.no_grad():
        tokens = flat(tiny_network().vision.trunk(*random_patches(1, 5)))
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    view = torch.ones(5, 1)
    here = votes_from_tokens(tokens, torch.zeros(5, 3), torch.eye(3).expand(5, 3, 3), view)
    there = votes_from_tokens(tokens, torch.tensor([7.0, 8.0, 0.0]).expand(5, 3), turn.expand(5, 3, 3), view)
    assert torch.allclose(there.hand_mean, here.hand_mean @ turn.T + torch.tensor([7.0, 8.0, 0.0]), atol=1e-5)
    expected = turn[:2, :2] @ here.floor_information @ turn[:2, :2].T
    assert torch.allclose(there.floor_information, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(there.person, here.person)
