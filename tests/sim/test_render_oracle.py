"""The renderer against a ray tracer: embree for triangles, closed-form double precision for people."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.sim.render import Renderer
from openaisle.sim.render.scene import Scene
from openaisle.sim.world import PERSON_ID, PERSON_STRIDE, Items, Person
from openaisle.store.geometry import Camera, Float
from tests.sim.render_scene import shop, snapshot

trimesh = pytest.importorskip("trimesh")
embree = pytest.importorskip("trimesh.ray.ray_pyembree")


def scene_triangles(scene: Scene, items: Items) -> tuple[Float, NDArray[np.int32]]:
    """World triangles [T, 3, 3] of everything but people, and the instance id of each."""
    meshes = scene.models.meshes
    corners, ids = [], []
    for o, template in enumerate(scene.template):
        item = o - scene.first_item
        if item >= 0 and not items.visible[item]:
            continue
        pose = np.asarray(items.world_from_item[item] if item >= 0 else scene.fixed_pose[o], np.float64)
        first = meshes.vertex_start[template]
        vertex = meshes.vertex[first : meshes.vertex_start[template + 1]] * scene.scale[o].astype(np.float64)
        world = vertex @ pose[:3, :3].T + pose[:3, 3]
        triangle = meshes.triangle[meshes.triangle_start[template] : meshes.triangle_start[template + 1]]
        corners.append(world[triangle])
        ids.append(np.full(len(triangle), scene.id[o], np.int32))
    return np.concatenate(corners), np.concatenate(ids)


def trace_people(people: tuple[Person, ...], origin: Float, direction: Float) -> tuple[Float, NDArray[np.int32]]:
    """Distance to the nearest capsule along each ray (inf: none) and its instance id, by ray marching on distances.

    Sphere tracing shares no formula with the renderer.
    """
    best = np.full(len(direction), np.inf)
    ids = np.zeros(len(direction), np.int32)
    for who in people:
        for capsule, part in zip(who.capsules.astype(np.float64), who.capsule_part, strict=True):
            a, b, radius = capsule[:3], capsule[3:6], capsule[6]
            axis = b - a
            t = np.zeros(len(direction))
            middle = (a + b) / 2 - origin
            off = np.linalg.norm(middle - (direction @ middle)[:, None] * direction, axis=1)
            live = off < np.linalg.norm(axis) / 2 + radius  # rays that come near at all
            near = live.copy()
            for _ in range(400):
                point = origin + direction[live] * t[live, None] - a
                s = np.clip(point @ axis / max(axis @ axis, 1e-12), 0, 1)
                gap = np.linalg.norm(point - s[:, None] * axis, axis=1) - radius
                t[live] += gap
                index = np.flatnonzero(live)
                live[index[(gap < 1e-7) | (t[index] > 40)]] = False
                if not live.any():
                    break
            hit = near & ~live & (t < 40) & (t < best)
            best[hit] = t[hit]
            ids[hit] = PERSON_ID + PERSON_STRIDE * who.number + int(part)
    return best, ids


def truth(
    renderer: Renderer, camera: Camera, items: Items, people: tuple[Person, ...]
) -> tuple[NDArray[np.int32], Float]:
    """Ids and depth along z of a camera, from rays through its pixel centres."""
    u, v = np.meshgrid(np.arange(camera.width_px), np.arange(camera.height_px))
    origin, direction = camera.unproject(np.stack([u, v], axis=-1).reshape(-1, 2))
    triangles, triangle_ids = scene_triangles(renderer.scene, items)
    mesh = trimesh.Trimesh(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3), process=False)
    tracer = embree.RayMeshIntersector(mesh, scale_to_box=False)
    hit = tracer.intersects_first(np.repeat(origin[None], len(direction), axis=0), direction)
    a, b, c = np.swapaxes(triangles[hit], 0, 1)
    normal = np.cross(b - a, c - a)
    t = np.where(hit >= 0, ((a - origin) * normal).sum(1) / (direction * normal).sum(1), np.inf)
    ids = np.where(hit >= 0, triangle_ids[hit], 0)
    near, person_ids = trace_people(people, origin, direction)
    ids, t = np.where(near < t, person_ids, ids), np.minimum(near, t)
    depth = t * (direction @ camera.world_from_camera[:3, 2])
    shape = (camera.height_px, camera.width_px)
    return ids.reshape(shape).astype(np.int32), np.where(np.isfinite(depth), depth, 0.0).reshape(shape)


@pytest.mark.parametrize("quality", ["fast", "fine"])
def test_ids_and_depth_agree_with_a_ray_tracer(quality: str) -> None:
    store, items, people = shop()
    renderer = Renderer(store, items.product, quality="fine" if quality == "fine" else "fast", seed=1)
    for index, camera in list(enumerate(store.cameras))[:2]:
        assert any(camera.distortion)
        picture = renderer.render(index, snapshot(store, items, people))
        ids, depth = truth(renderer, camera, items, people)
        same = picture.ids == ids
        assert same.mean() > 0.999
        assert (picture.ids >= PERSON_ID).any()
        gap = np.abs(picture.depth_m - depth)[same]
        # a pixel may see another face of the same thing; nearly all see the same
        assert np.quantile(gap, 0.999) < 0.002
