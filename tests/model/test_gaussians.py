"""Gaussians: closed forms against torch's own, and views that know more together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.model.gaussians import Fusion, inverse, negative_log_likelihood, precision, rotate
from openaisle.model.trunk import Gaussian, gaussian


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([2, 3]), st.integers(0, 10**6), st.floats(0.05, 20.0))
def test_closed_form_inverse(size: int, seed: int, scale: float) -> None:
    a = torch.randn(7, size, size, generator=torch.Generator().manual_seed(seed)) * scale
    matrix = a @ a.transpose(1, 2) + torch.eye(size) * scale**2 * 0.1
    expected = torch.linalg.inv(matrix.double()).float()
    assert torch.allclose(inverse(matrix), expected, rtol=2e-3, atol=2e-4 * float(expected.abs().max()))


def test_raw_values_become_believable_gaussians() -> None:
    values = torch.randn(50, 9, generator=torch.Generator().manual_seed(1)) * 3
    diagonal = torch.diagonal(gaussian(values, 3).factor, dim1=-2, dim2=-1)
    assert float(diagonal.min()) > 1 / 5  # standard deviations from centimetres to metres
    assert float(diagonal.max()) < 1 / 0.02
    assert torch.equal(gaussian(values, 3).factor.triu(1), torch.zeros(50, 3, 3))


def test_likelihood_is_best_at_the_mean_and_for_honest_spread() -> None:
    target = torch.zeros(200, 2)
    error = torch.randn(200, 2, generator=torch.Generator().manual_seed(2)) * 0.1

    def score(spread: float, shift: float) -> float:
        told = Gaussian(error + shift, (torch.eye(2) / spread).expand(200, 2, 2))
        return float(negative_log_likelihood(told, target).mean())

    assert score(0.1, 0.0) < min(score(0.1, 0.3), score(0.01, 0.0), score(1.0, 0.0))


def test_turning_a_gaussian_turns_its_precision() -> None:
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    turned = rotate(Gaussian(torch.tensor([1.0, 0.0]), torch.diag(torch.tensor([10.0, 1.0]))), turn)
    assert turned.mean.tolist() == pytest.approx([0.0, 1.0])
    assert precision(turned).flatten().tolist() == pytest.approx([1.0, 0.0, 0.0, 100.0])


def fused(fusion: Fusion, votes: Gaussian) -> tuple[torch.Tensor, torch.Tensor]:
    one = torch.zeros(len(votes.mean), dtype=torch.int64)
    matrix, vector = fusion(votes, fusion.discount(torch.ones(len(one)), torch.ones(len(one))), one, 1)
    return torch.linalg.solve(matrix, vector)[0].detach(), matrix[0].detach()


def test_two_views_beat_each() -> None:
    """A camera knows well across its ray and badly along it; two cameras at right angles know both."""
    fusion = Fusion()
    along = torch.diag(torch.tensor([1.0, 20.0])), torch.diag(torch.tensor([20.0, 1.0]))
    means = torch.tensor([[0.6, 0.02], [-0.03, 0.7]])  # the truth is (0, 0)
    alone = [fused(fusion, Gaussian(means[i : i + 1], along[i][None])) for i in range(2)]
    both, information = fused(fusion, Gaussian(means, torch.stack(along)))
    assert float(both.norm()) < 0.1 * min(float(place.norm()) for place, _ in alone)
    for _, known in alone:
        assert float(torch.linalg.eigvalsh(information - known).min()) > 0


def test_votes_of_one_camera_are_discounted_but_never_worth_less() -> None:
    fusion = Fusion()
    count = torch.tensor([1.0, 4.0, 25.0, 100.0])
    each = fusion.discount(torch.ones(4), count)
    assert (each.diff() < 0).all()
    assert ((each * count).diff() > 0).all()


def test_groups_do_not_mix() -> None:
    fusion = Fusion()
    votes = Gaussian(torch.tensor([[0.0, 0.0], [5.0, 5.0]]), torch.eye(2).expand(2, 2, 2))
    matrix, vector = fusion(votes, torch.ones(2), torch.tensor([0, 1]), 2)
    assert torch.allclose(torch.linalg.solve(matrix, vector), votes.mean)
