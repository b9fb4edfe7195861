"""Packaging: families share a design, flavours differ, pictures and textures go back and forth."""

from __future__ import annotations

import numpy as np
import pytest

from openaisle.sim.packaging import (
    Packaging,
    catalogue_pictures,
    design,
    plain_packaging,
    textures_from_pictures,
)
from openaisle.sim.render.scene import strip

SIZES = {
    "box": (90.0, 140.0, 40.0),
    "cylinder": (70.0, 120.0, 70.0),
    "bottle": (75.0, 240.0, 75.0),
    "can": (66.0, 115.0, 66.0),
    "bag": (120.0, 180.0, 50.0),
    "tub": (95.0, 70.0, 95.0),
}


def gap(a: Packaging, b: Packaging) -> float:
    return float(np.abs(a.front.astype(int) - b.front).mean())


@pytest.mark.parametrize("shape", SIZES)
def test_design_is_deterministic_and_flavours_differ_less_than_families(shape: str) -> None:
    size = SIZES[shape]
    one = design(1, 10, 0, shape, size)
    assert all(
        (a == b).all() for a, b in zip(vars(one).values(), vars(design(1, 10, 0, shape, size)).values(), strict=True)
    )
    flavours = [gap(one, design(v, 10, v, shape, size)) for v in range(1, 6)]
    families = [gap(one, design(f, f, 0, shape, size)) for f in range(11, 31)]
    assert min(flavours) > 3  # they can be told apart
    assert max(flavours) < np.median(families)


@pytest.mark.parametrize("shape", SIZES)
def test_pictures_are_on_white_and_lead_back_to_the_textures(shape: str) -> None:
    size = SIZES[shape]
    packaging = design(5, 77, 2, shape, size)
    pictures = catalogue_pictures(packaging, shape, size)
    assert [p.shape for p in pictures] == [(64, 64, 3)] * 3
    for picture in pictures:
        assert (picture[[0, -1]] == 255).all()
        assert (picture[:, [0, -1]] == 255).all()
        assert (picture < 250).all(axis=2).mean() > 0.08
    back = textures_from_pictures(pictures, shape, size)
    assert back.front.shape == packaging.front.shape
    rows = slice(len(back.front) // 2, None)  # below the neck of a bottle
    error = np.abs(back.front[rows].astype(int) - packaging.front[rows]).mean()
    other = np.abs(back.front[rows].astype(int) - design(6, 78, 2, shape, size).front[rows]).mean()
    assert error < 0.6 * other
    assert back.front.max() < 250  # no studio background left


def test_a_single_picture_and_a_white_one_are_enough() -> None:
    size = SIZES["box"]
    pictures = catalogue_pictures(design(5, 77, 2, "box", size), "box", size)
    single = textures_from_pictures(pictures[:1], "box", size)
    assert (single.front == single.back).all()
    white = textures_from_pictures((np.full((80, 60, 3), 255, np.uint8),), "can", size)
    assert white.front.shape[1] == 64
    tall = textures_from_pictures((np.full((300, 20, 3), 90, np.uint8),), "bottle", SIZES["bottle"])
    assert np.abs(tall.front.astype(int) - 90).max() <= 1


def test_products_without_pictures_get_a_design_of_their_own() -> None:
    size = SIZES["box"]
    a, b = plain_packaging("00000012345670", "box", size), plain_packaging("00000012345687", "box", size)
    assert gap(a, b) > 3


@pytest.mark.parametrize("shape", SIZES)
def test_strip_holds_the_front_where_the_meshes_expect_it(shape: str) -> None:
    packaging = design(3, 9, 1, shape, SIZES[shape])
    image = strip(packaging, shape)
    assert image.shape == (64, 160, 3)
    columns = 64 if shape in ("cylinder", "bottle", "can", "tub") else 32
    mean = image[:, :columns].reshape(-1, 3).mean(axis=0)
    assert np.abs(mean - packaging.front.reshape(-1, 3).mean(axis=0)).max() < 6
