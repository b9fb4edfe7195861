"""The renderer: determinism, mending of still pictures, doors, growth, imaging."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.sim.render import Rendered, Renderer
from openaisle.sim.render.imaging import blur_boxes
from openaisle.sim.render.rays import bounds, camera_rays
from openaisle.sim.stores import generate_store
from openaisle.sim.world import FIXTURE_ID, FLOOR_ID, ITEM_ID, PERSON_ID, WALL_ID, Items, Person
from openaisle.store.geometry import Camera, look_at
from openaisle.store.store import Store
from tests.sim.render_scene import shop, snapshot, stock


@pytest.fixture(scope="module")
def scene() -> tuple[Store, Items, tuple[Person, ...]]:
    return shop()


def copy(items: Items) -> Items:
    return Items(
        items.product.copy(), items.mass_grams.copy(), items.world_from_item.copy(), items.visible.copy(),
        items.lane.copy(), items.moved.copy(),
    )  # fmt: skip


def same(a: Rendered, b: Rendered) -> bool:
    return bool((a.rgb == b.rgb).all() and (a.ids == b.ids).all() and (a.depth_m == b.depth_m).all())


def seen_items(picture: Rendered) -> NDArray[np.int32]:
    return np.unique(picture.ids[(picture.ids >= ITEM_ID) & (picture.ids < PERSON_ID)]) - ITEM_ID


def test_same_seed_same_bits_and_other_seed_other_look(scene: tuple[Store, Items, tuple[Person, ...]]) -> None:
    store, items, people = scene
    instant = snapshot(store, items, people, 123)
    first = Renderer(store, items.product, seed=4)
    first.render(1, snapshot(store, items))  # what was drawn before does not matter
    a, b = first.render(0, instant), Renderer(store, items.product, seed=4).render(0, instant)
    assert same(a, b)
    c = Renderer(store, items.product, seed=5).render(0, instant)
    assert (c.ids == a.ids).mean() > 0.9  # posters may differ, not the shop
    assert np.abs(c.rgb.astype(int) - a.rgb).mean() > 3


def test_picture_has_the_documented_form(scene: tuple[Store, Items, tuple[Person, ...]]) -> None:
    store, items, people = scene
    for quality in ("fast", "fine"):
        picture = Renderer(store, items.product, quality="fine" if quality == "fine" else "fast").render(
            0, snapshot(store, items, people)
        )
        camera = store.cameras[0]
        assert picture.rgb.shape == (camera.height_px, camera.width_px, 3)
        assert [a.dtype.name for a in (picture.rgb, picture.ids, picture.depth_m)] == ["uint8", "int32", "float32"]
        assert {FLOOR_ID, WALL_ID, FIXTURE_ID} <= set(np.unique(picture.ids).tolist())
        assert len(seen_items(picture)) > 20
        assert np.isfinite(picture.depth_m).all()
        assert ((picture.depth_m > 0) == (picture.ids > 0)).all()


def test_noise_changes_with_time_only(scene: tuple[Store, Items, tuple[Person, ...]]) -> None:
    store, items, people = scene
    renderer = Renderer(store, items.product)
    a, b = (renderer.render(0, snapshot(store, items, people, t)) for t in (0, 50_000_000))
    assert (a.ids == b.ids).all()
    gap = a.rgb.astype(int) - b.rgb
    assert 0.3 < gap.std() < 15
    assert abs(gap.mean()) < 0.1


@pytest.mark.parametrize("quality", ["fast", "fine"])
def test_mended_picture_equals_a_fresh_one(scene: tuple[Store, Items, tuple[Person, ...]], quality: str) -> None:
    store, items, people = scene
    now = copy(items)
    kind = "fine" if quality == "fine" else "fast"
    renderer = Renderer(store, items.product, quality="fine" if kind == "fine" else "fast", seed=2)
    shown = seen_items(renderer.render(0, snapshot(store, now, people)))
    shown = shown[items.lane[shown] >= 0]
    for step, item in enumerate(shown[:: len(shown) // 6]):
        if step % 3 == 0:
            now.visible[item] = False  # into a bag
        elif step % 3 == 1:
            now.lane[item] = -1  # into a hand
            now.world_from_item[item, :3, 3] = people[2].hands_m[0]
        else:
            now.world_from_item[item, :3, 3] += np.array([0.05, 0.03, 0.0], np.float32)
        instant = snapshot(store, now, people, step, doors=0.5 * (step % 2))
        mended = renderer.render(0, instant)
        fresh = Renderer(store, items.product, quality="fine" if kind == "fine" else "fast", seed=2).render(0, instant)
        assert same(mended, fresh)


def test_items_in_bags_are_not_seen(scene: tuple[Store, Items, tuple[Person, ...]]) -> None:
    store, items, _ = scene
    now = copy(items)
    renderer = Renderer(store, items.product)
    item = int(seen_items(renderer.render(0, snapshot(store, now)))[3])
    now.visible[item] = False
    assert item not in seen_items(renderer.render(0, snapshot(store, now)))


def test_items_brought_in_later_are_drawn(scene: tuple[Store, Items, tuple[Person, ...]]) -> None:
    store, items, people = scene
    renderer = Renderer(store, items.product, seed=3)
    renderer.render(0, snapshot(store, items, people))
    grown = Items(
        np.append(items.product, items.product[:2]), np.append(items.mass_grams, [1.0, 1.0]),
        np.concatenate([items.world_from_item, items.world_from_item[:2]]), np.append(items.visible, [True, True]),
        np.append(items.lane, np.array([-1, -1], np.int32)), np.append(items.moved, [False, False]),
    )  # fmt: skip
    count = len(items.product)
    grown.world_from_item[count, :3, 3] = people[2].head_m + np.array([0, 0, 0.2])
    grown.world_from_item[count + 1, :3, 3] = people[1].head_m + np.array([0, 0, 0.2])
    instant = snapshot(store, grown, people)
    pictures = [renderer.render(c, instant) for c in range(len(store.cameras))]
    seen = np.concatenate([seen_items(p) for p in pictures])
    assert {count, count + 1} <= set(seen.tolist())
    fresh = Renderer(store, grown.product, seed=3)
    assert all(same(p, fresh.render(c, instant)) for c, p in enumerate(pictures))


def test_people_darken_the_floor_they_stand_on(scene: tuple[Store, Items, tuple[Person, ...]]) -> None:
    store, items, people = scene
    for quality in ("fast", "fine"):
        renderer = Renderer(store, items.product, quality="fine" if quality == "fine" else "fast")
        empty, full = (renderer.render(0, snapshot(store, items, who)) for who in ((), people))
        floor = (empty.ids == FLOOR_ID) & (full.ids == FLOOR_ID)
        change = full.rgb[floor].astype(int).sum(axis=1) - empty.rgb[floor].astype(int).sum(axis=1)
        assert (change < -30).sum() > 50  # shadows
        assert (change > 30).mean() < 0.001  # but for the blurred rim of bright clothes


def test_shelf_hides_what_is_behind_it_and_people_hide_shelves(scene: tuple[Store, Items, tuple[Person, ...]]) -> None:
    store, items, people = scene
    renderer = Renderer(store, items.product)
    empty, full = (renderer.render(0, snapshot(store, items, who)) for who in ((), people))
    person = full.ids >= PERSON_ID
    assert person.any()
    assert (full.depth_m[person] <= empty.depth_m[person]).all()
    assert (full.ids[~person] < PERSON_ID).all()


def test_store_without_pictures_or_goods_still_renders(scene: tuple[Store, Items, tuple[Person, ...]]) -> None:
    store, items, _ = scene
    bare = replace(store, pictures={})
    picture = Renderer(bare, items.product).render(0, snapshot(bare, items))
    assert len(seen_items(picture)) > 20
    nothing = Items(
        np.zeros(0, np.int32), np.zeros(0), np.zeros((0, 4, 4), np.float32), np.zeros(0, np.bool_),
        np.zeros(0, np.int32), np.zeros(0, np.bool_),
    )  # fmt: skip
    assert len(seen_items(Renderer(bare, nothing.product).render(0, snapshot(bare, nothing)))) == 0


def test_pixel_bounds_hold_every_ray_they_should() -> None:
    pose = look_at([0, 0, 2.5], [1, 2, 0])
    camera = Camera("c", 160, 120, 5.0, 70.0, 72.0, 81.0, 58.0, (-0.25, 0.06, 0.002, -0.003, -0.005), pose)
    rays = camera_rays(camera)
    rng = np.random.Generator(np.random.PCG64(3))
    for _ in range(300):
        centre, half = rng.uniform(-1.5, 1.5, 2), 10 ** rng.uniform(-2.5, 0.3, 2)
        x0, y0, x1, y1 = *(centre - half), *(centre + half)
        u0, u1, v0, v1 = bounds(rays, x0, x1, y0, y1)
        inside = (rays.x >= x0) & (rays.x <= x1) & (rays.y >= y0) & (rays.y <= y1)
        v, u = np.nonzero(inside)
        if len(u):
            assert u0 <= u.min() <= u.max() <= u1
            assert v0 <= v.min() <= v.max() <= v1


def test_blur_keeps_brightness_and_equals_a_plain_convolution() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    sharp = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    side = 45
    kernel = np.array([side, 256 - 2 * side, side]) / 256
    padded = np.pad(sharp.astype(float), ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = sum(k * padded[i : i + 40] for i, k in enumerate(kernel))
    wanted = sum(k * rows[:, i : i + 50] for i, k in enumerate(kernel))
    whole, part = np.zeros_like(sharp), np.zeros_like(sharp)
    blur_boxes(np.array([[0, 49, 0, 39]], np.int32), sharp, whole, side)
    assert np.abs(whole - wanted).max() <= 0.51
    blur_boxes(np.array([[11, 29, 6, 19]], np.int32), sharp, part, side)
    assert (part[5:21, 10:31] == whole[5:21, 10:31]).all()
    assert part[:5].max() == 0


def test_open_doors_uncover_the_shelves_behind_their_frames() -> None:
    store = next(s for s in (generate_store("corner", n) for n in range(40)) if any(f.doors for f in s.spec.fixtures))
    items = stock(store)
    renderer = Renderer(store, items.product)
    changed = 0
    for camera in range(len(store.cameras)):
        shut, ajar, again = (renderer.render(camera, snapshot(store, items, doors=d)) for d in (0.0, 1.0, 0.0))
        assert same(shut, again)
        moved = shut.ids != ajar.ids
        changed += int(moved.sum())
        fridge = {FIXTURE_ID + i for i, f in enumerate(store.spec.fixtures) if f.doors}
        # whatever changed was or became a door
        assert all(a in fridge or b in fridge for a, b in zip(shut.ids[moved], ajar.ids[moved], strict=True))
    assert changed > 100
