"""Changed patches on a canvas: nothing is lost or moved, and rays between patches are the camera's own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.store.geometry import Camera, look_at
from openaisle.tokens.canvas import Canvas, canvas, rays_at
from openaisle.tokens.patches import cut, select
from openaisle.tokens.rays import PATCH_PX, RAY_FEATURES, ray_table

CAMERA = Camera(
    "a", 320, 240, 5.0, 150.0, 150.0, 159.5, 119.5, (-0.02, 0.0, 0.0, 0.0, 0.0), look_at([0, 0, 2.5], [2, 1.5, 0.8])
)


def pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    before = rng.integers(0, 255, (240, 320, 3), dtype=np.uint8)
    now = before.copy()
    now[70:130, 90:150] = rng.integers(0, 255, (60, 60, 3), dtype=np.uint8)
    return now, before


def made(box: tuple[int, int, int, int] | None = None) -> Canvas:
    now, before = pictures()
    found = select(0, 0, now, before).cells
    pixels, background = (cut(picture, found).reshape(-1, 768) for picture in (now, before))
    cells = found.astype(np.int64)
    return canvas((cells, pixels, background, ray_table(CAMERA).features[cells[:, 0], cells[:, 1]]), box)


def test_pixels_are_where_they_were() -> None:
    now, before = pictures()
    found = made()
    rows, cols = found.places.shape[1:]
    assert found.picture.shape == (6, rows * PATCH_PX, cols * PATCH_PX)
    top, left = (side * PATCH_PX for side in found.corner)
    np.testing.assert_allclose(
        found.picture[:3, 80 - top : 120 - top, 100 - left : 140 - left].transpose(1, 2, 0) + 0.5,
        now[80:120, 100:140] / 255.0, atol=1e-6,
    )  # fmt: skip
    difference = (now[80:120, 100:140] / 255.0 - before[80:120, 100:140] / 255.0) * 2
    seen = found.picture[3:, 80 - top : 120 - top, 100 - left : 140 - left].transpose(1, 2, 0)
    np.testing.assert_allclose(seen, difference, atol=1e-6)


def test_a_margin_is_empty_and_rays_lie_at_their_patches() -> None:
    found = made()
    assert not found.picture[:, :PATCH_PX].any()
    assert not found.places[:, :, 0].any()
    table, (top, left) = ray_table(CAMERA), found.corner
    for row, col in np.argwhere(found.places[-1] > 0):
        np.testing.assert_array_equal(found.places[:-1, row, col], table.features[top + row, left + col])
    assert found.places.shape[0] == RAY_FEATURES + 1


def test_a_box_cuts_and_keeps_its_size() -> None:
    found = made((5, 6, 4, 3))
    assert found.picture.shape == (6, 64, 48)
    whole = made()
    top, left = 5 - whole.corner[0], 6 - whole.corner[1]
    np.testing.assert_array_equal(found.picture, whole.picture[:, top * 16 : top * 16 + 64, left * 16 : left * 16 + 48])


def test_rays_between_patches_are_the_cameras() -> None:
    table = ray_table(CAMERA)
    cells = np.array([[4, 5], [4, 6], [9, 12]])
    pixels = np.array([[90.0, 70.0], [104.0, 60.0], [200.0, 158.0]], dtype=np.float32)
    ray, angle, near = rays_at(pixels, cells, table.features[cells[:, 0], cells[:, 1]])
    _, direction = CAMERA.unproject(pixels)
    true = direction @ table.world_from_horizontal
    assert near.tolist() == [0, 1, 2]
    assert np.abs(ray - true).max() < 2e-3
    np.testing.assert_allclose(angle * CAMERA.fx_px, 1.0, rtol=0.3)
