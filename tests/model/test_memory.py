"""The memory: people who cross stay who they are, and the order of rows means nothing."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from openaisle.model.memory import Memory, ShopperMemory, Votes, new_memory
from tests.model.tiny import TINY, tiny_network

A = TINY.appearance_width
TOKENS = 8  # per person and slot: two cameras, four patches each


def memory_module() -> ShopperMemory:
    return tiny_network().memory


def votes_of(people: np.ndarray, rng: np.random.Generator, spread_m: float = 0.15) -> Votes:
    """Votes of people at [P, 2], each with looks of its own; a few patches of nobody among them."""
    count = len(people)
    owner = np.concatenate([np.repeat(np.arange(count), TOKENS), np.full(3, -1)])
    floor = np.where(owner[:, None] >= 0, people[owner.clip(0)], rng.uniform(-3, 3, (len(owner), 2)))
    looks = np.eye(A)[owner.clip(0)] + rng.normal(0, 0.1, (len(owner), A))
    at = floor + rng.normal(0, spread_m, floor.shape)
    t = len(owner)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

    hands = np.stack([np.concatenate([at + side, np.ones((t, 1))], axis=1) for side in (-0.2, 0.2)], axis=1)
    return Votes(
        person=tensor(np.where(owner >= 0, 0.95, 0.05)),
        floor_mean=tensor(at),
        floor_information=torch.eye(2).expand(t, 2, 2) / spread_m**2,
        hand_mean=tensor(hands),
        hand_information=torch.eye(3).expand(t, 2, 3, 3) / 0.04,
        head_mean=tensor(np.concatenate([at, np.full((t, 1), 1.6)], axis=1)),
        head_information=torch.eye(3).expand(t, 3, 3) / 0.04,
        appearance=F.normalize(tensor(looks), dim=-1),
        hand_seen=torch.full((t, 2), 0.5),
        activity=torch.full((t, 8), 1 / 8).log(),
        view=F.one_hot(torch.arange(t) % 2, 2).float(),
    )


def walk(paths: np.ndarray, order: list[int], seed: int = 0) -> Memory:
    """Follow people on paths [slots, P, 2]; the memory's rows start at the people of `order`."""
    rng = np.random.Generator(np.random.PCG64(seed))
    module = memory_module()
    memory = new_memory(torch.from_numpy(paths[0, order].astype(np.float32)), 0.4, A)
    with torch.no_grad():
        for people in paths:
            memory, _ = module(votes_of(people, rng), memory, torch.tensor(0.2))
    return memory


def crossing(slots: int = 25, gap_m: float = 0.35) -> np.ndarray:
    """Two people walk towards and past each other at 1 m/s, side by side for an instant."""
    x = np.linspace(-2.4, 2.4, slots)
    return np.stack([np.stack([x, np.zeros(slots)], 1), np.stack([-x, np.full(slots, gap_m)], 1)], axis=1)


@pytest.mark.parametrize("seed", range(4))
def test_two_people_who_cross_keep_their_identity(seed: int) -> None:
    paths = crossing()
    memory = walk(paths, [0, 1], seed)
    error = np.linalg.norm(memory.floor.numpy() - paths[-1], axis=-1)
    assert error.max() < 0.25


def test_a_stander_is_found_to_centimetres() -> None:
    paths = np.broadcast_to(np.array([[0.5, 1.0]]), (20, 1, 2))
    memory = walk(paths, [0])
    assert np.linalg.norm(memory.floor.numpy() - paths[-1], axis=-1).max() < 0.08
    assert float(memory.floor_variance[0].trace()) < 0.4**2  # surer than at the gate
    assert memory.head[0, 2] == pytest.approx(1.6, abs=0.05)
    assert float(memory.mass[0]) > TOKENS / 2
    assert int(memory.appearance[0].argmax()) == 0  # it has learnt what the person looks like


def test_the_order_of_rows_means_nothing() -> None:
    paths = np.concatenate([crossing(8), np.full((8, 1, 2), 1.5)], axis=1)
    order = [2, 0, 1]
    plain, turned = walk(paths, [0, 1, 2]), walk(paths, order)
    for field in fields(Memory):
        expected, found = getattr(plain, field.name)[order], getattr(turned, field.name)
        assert torch.allclose(found, expected, atol=1e-4), field.name


def test_attention_is_shared_out_and_strangers_go_to_nobody() -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    people = np.array([[0.0, 0.0], [2.0, 0.0]])
    memory = new_memory(torch.tensor([[0.0, 0.0]]), 0.4, A)
    votes = votes_of(people, rng)
    with torch.no_grad():
        after, attention = memory_module()(votes, memory, torch.tensor(0.2))
    assert torch.allclose(attention.sum(-1), torch.ones(len(attention)))
    assert float(attention[:TOKENS, 0].mean()) > 0.8
    assert float(attention[TOKENS : 2 * TOKENS, -1].mean()) > 0.8
    assert float(after.floor[0].norm()) < 0.2


def test_nobody_to_see_leaves_people_where_they_were_but_less_sure() -> None:
    memory = new_memory(torch.tensor([[1.0, 1.0], [3.0, 1.0]]), 0.4, A)
    some = votes_of(np.zeros((1, 2)), np.random.Generator(np.random.PCG64(0)))
    none = Votes(**{field.name: getattr(some, field.name)[:0] for field in fields(Votes)})
    with torch.no_grad():
        after, attention = memory_module()(none, memory, torch.tensor(0.2))
    assert attention.shape == (0, 3)
    assert torch.allclose(after.floor, memory.floor, atol=1e-5)
    assert (after.floor_variance.diagonal(dim1=1, dim2=2) > memory.floor_variance.diagonal(dim1=1, dim2=2)).all()
    assert torch.equal(after.mass, torch.zeros(2))
