"""Triangle meshes: a builder, the six product shapes on the unit box, and textures with mip levels in one atlas."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openaisle.sim.packaging import PROFILES, Image

SHAPES = ("box", "cylinder", "bottle", "can", "bag", "tub")
ROUND_SIDES = 10
OBJECT_TEXTURE = -1  # triangle takes the texture of the object it belongs to

# A product's texture: front | right | back | left panels of 32 columns, then top over bottom; 64 rows.
STRIP_COLUMNS, STRIP_ROWS = 160, 64
PANEL = 32


class Meshes(NamedTuple):
    """All templates of a scene, concatenated. Vertices of template k: vertex_start[k] .. vertex_start[k + 1]."""

    vertex: NDArray[np.float32]  # [V, 3]
    normal: NDArray[np.float32]  # [V, 3]
    uv: NDArray[np.float32]  # [V, 2] in texture widths, row 0 at the top
    light: NDArray[np.float32]  # [V] baked ambient light, 1 = open sky
    triangle: NDArray[np.int32]  # [T, 3] vertex indices within the template, counter-clockwise from outside
    texture: NDArray[np.int32]  # [T] texture index or OBJECT_TEXTURE
    vertex_start: NDArray[np.int32]  # [K + 1]
    triangle_start: NDArray[np.int32]  # [K + 1]
    corners: NDArray[np.float32]  # [K, 2, 3] low and high corner of each template
    work: NDArray[np.float64]  # [largest template, 3] working space: vertices in the camera frame


class Atlas(NamedTuple):
    """Textures with mip levels. Level l of texture t is rows[t, l] x columns[t, l] texels from start[t, l] on."""

    texel: NDArray[np.uint8]  # [N, 3]
    start: NDArray[np.int32]  # [textures, LEVELS]
    rows: NDArray[np.int32]  # [textures, LEVELS]
    columns: NDArray[np.int32]  # [textures, LEVELS]


LEVELS = 7


class MeshBuilder:
    """Collects quads and triangles; `light` gives the ambient light at a point."""

    def __init__(self, light: Callable[[NDArray[np.float64]], float] | None = None) -> None:
        self.light = light or (lambda point: 1.0)
        self.vertices: list[NDArray[np.float64]] = []
        self.normals: list[NDArray[np.float64]] = []
        self.uvs: list[tuple[float, float]] = []
        self.lights: list[float] = []
        self.triangles: list[tuple[int, int, int]] = []
        self.textures: list[int] = []

    def corner(self, point: ArrayLike, normal: ArrayLike, uv: tuple[float, float]) -> int:
        """Add a vertex and return its index."""
        position = np.asarray(point, np.float64)
        self.vertices.append(position)
        self.normals.append(np.asarray(normal, np.float64))
        self.uvs.append(uv)
        self.lights.append(self.light(position))
        return len(self.vertices) - 1

    def face(self, corners: ArrayLike, uvs: ArrayLike, texture: int) -> None:
        """A flat convex polygon [n, 3], counter-clockwise seen from outside."""
        points, coordinates = np.asarray(corners, np.float64), np.asarray(uvs, np.float64)
        normal = np.cross(points[1] - points[0], points[2] - points[0])
        normal /= np.linalg.norm(normal) + 1e-12
        index = [self.corner(p, normal, (float(u), float(v))) for p, (u, v) in zip(points, coordinates, strict=True)]
        for i in range(1, len(index) - 1):
            self.triangles.append((index[0], index[i], index[i + 1]))
            self.textures.append(texture)

    def box(self, low: ArrayLike, high: ArrayLike, texture: int, scale: float = 1.0, skip: str = "") -> None:
        """An axis-aligned box; texture coordinates in metres / scale; faces named in skip (xXyYzZ) are left out."""
        (x0, y0, z0), (x1, y1, z1) = np.asarray(low, np.float64), np.asarray(high, np.float64)
        w, d, h = (x1 - x0) / scale, (y1 - y0) / scale, (z1 - z0) / scale
        sides = {
            "y": ([(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)], w, h),
            "Y": ([(x1, y1, z0), (x0, y1, z0), (x0, y1, z1), (x1, y1, z1)], w, h),
            "x": ([(x0, y1, z0), (x0, y0, z0), (x0, y0, z1), (x0, y1, z1)], d, h),
            "X": ([(x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)], d, h),
            "Z": ([(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)], w, d),
            "z": ([(x0, y1, z0), (x1, y1, z0), (x1, y0, z0), (x0, y0, z0)], w, d),
        }
        for name, (corners, u, v) in sides.items():
            if name not in skip:
                self.face(corners, [(0, v), (u, v), (u, 0), (0, 0)], texture)


def concatenate(builders: list[MeshBuilder]) -> Meshes:
    """Join templates into one set of arrays."""
    vertices = [np.array(b.vertices, np.float32).reshape(-1, 3) for b in builders]
    counts = [len(v) for v in vertices]
    return Meshes(
        vertex=np.concatenate(vertices),
        normal=np.concatenate([np.array(b.normals, np.float32).reshape(-1, 3) for b in builders]),
        uv=np.concatenate([np.array(b.uvs, np.float32).reshape(-1, 2) for b in builders]),
        light=np.concatenate([np.array(b.lights, np.float32) for b in builders]),
        triangle=np.concatenate([np.array(b.triangles, np.int32).reshape(-1, 3) for b in builders]),
        texture=np.concatenate([np.array(b.textures, np.int32) for b in builders]),
        vertex_start=np.cumsum([0, *counts]).astype(np.int32),
        triangle_start=np.cumsum([0, *(len(b.triangles) for b in builders)]).astype(np.int32),
        corners=np.array([(v.min(axis=0), v.max(axis=0)) for v in vertices], np.float32),
        work=np.zeros((max(counts), 3)),
    )


# --- products on the unit box: x, y in -0.5..0.5, z in 0..1, front at y = -0.5 ---------------------------


def panel_uv(first: float, last: float) -> tuple[float, float, float, float]:
    """Texture window (u0, v0, u1, v1) of columns first..last, half a texel inside."""
    inset = 0.5
    return (first + inset) / STRIP_COLUMNS, inset / STRIP_ROWS, (last - inset) / STRIP_COLUMNS, 1 - inset / STRIP_ROWS


def cap_uv(top: bool) -> tuple[float, float, float, float]:
    """Texture window of the top or the bottom."""
    v0 = 0.0 if top else 0.5
    return (4 * PANEL + 0.5) / STRIP_COLUMNS, v0 + 0.01, 1 - 0.5 / STRIP_COLUMNS, v0 + 0.49


def product_meshes() -> list[MeshBuilder]:
    """One template for each of SHAPES, in that order."""
    return [box_mesh() if s == "box" else bag_mesh() if s == "bag" else turned_mesh(s) for s in SHAPES]


def window_corners(window: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    """Texture corners in the order bottom-left, bottom-right, top-right, top-left."""
    u0, v0, u1, v1 = window
    return [(u0, v1), (u1, v1), (u1, v0), (u0, v0)]


def box_mesh() -> MeshBuilder:
    """Box with front, right, back, left, top and bottom panels."""
    mesh = MeshBuilder()
    base = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
    for side in range(4):
        a, b = base[side], base[(side + 1) % 4]
        corners = [(*a, 0), (*b, 0), (*b, 1), (*a, 1)]
        mesh.face(corners, window_corners(panel_uv(side * PANEL, (side + 1) * PANEL)), OBJECT_TEXTURE)
    mesh.face([(*p, 1) for p in base], window_corners(cap_uv(True)), OBJECT_TEXTURE)
    mesh.face([(*p, 0) for p in reversed(base)], window_corners(cap_uv(False)), OBJECT_TEXTURE)
    return mesh


def bag_mesh() -> MeshBuilder:
    """Pillow bag: full depth in the middle, thin at the crimped ends."""
    mesh = MeshBuilder()
    levels = [
        (0.0, 0.97, 0.08),
        (0.12, 1.0, 0.8),
        (0.35, 1.0, 1.0),
        (0.65, 1.0, 1.0),
        (0.88, 1.0, 0.8),
        (1.0, 0.97, 0.08),
    ]
    for (z0, w0, d0), (z1, w1, d1) in pairwise(levels):
        low = [(-w0 / 2, -d0 / 2), (w0 / 2, -d0 / 2), (w0 / 2, d0 / 2), (-w0 / 2, d0 / 2)]
        high = [(-w1 / 2, -d1 / 2), (w1 / 2, -d1 / 2), (w1 / 2, d1 / 2), (-w1 / 2, d1 / 2)]
        for side in range(4):
            u0, v0, u1, v1 = panel_uv(side * PANEL, (side + 1) * PANEL)
            window = (u0, v1 + (v0 - v1) * z1, u1, v1 + (v0 - v1) * z0)
            nxt = (side + 1) % 4
            corners = [(*low[side], z0), (*low[nxt], z0), (*high[nxt], z1), (*high[side], z1)]
            mesh.face(corners, window_corners(window), OBJECT_TEXTURE)
    return mesh


def turned_mesh(shape: str) -> MeshBuilder:
    """Round product turned from its profile; front of the label faces -y."""
    mesh = MeshBuilder()
    heights, radii = PROFILES[shape]
    u0, v0, u1, v1 = panel_uv(0, 4 * PANEL)
    for i in range(len(heights) - 1):
        rings = [(heights[i], radii[i] / 2), (heights[i + 1], radii[i + 1] / 2)]
        slope = np.arctan2(rings[0][1] - rings[1][1], rings[1][0] - rings[0][0])
        index = []
        for z, r in rings:
            for side in range(ROUND_SIDES + 1):
                # u = 0.25 of the strip is the middle of the front
                turn = 2 * np.pi * side / ROUND_SIDES - np.pi
                x, y = np.cos(turn), np.sin(turn)
                normal = (x * np.cos(slope), y * np.cos(slope), np.sin(slope))
                uv = (u0 + (u1 - u0) * side / ROUND_SIDES, v1 + (v0 - v1) * z)
                index.append(mesh.corner((x * r, y * r, z), normal, uv))
        for side in range(ROUND_SIDES):
            a, b = index[side], index[side + 1]
            c, d = index[side + 1 + ROUND_SIDES + 1], index[side + ROUND_SIDES + 1]
            mesh.triangles += [(a, b, c), (a, c, d)]
            mesh.textures += [OBJECT_TEXTURE, OBJECT_TEXTURE]
    turns = 2 * np.pi * np.arange(ROUND_SIDES) / ROUND_SIDES
    for top, radius in ((True, radii[-1] / 2), (False, radii[0] / 2)):
        ring = np.stack([np.cos(turns), np.sin(turns)], axis=1)[:: 1 if top else -1]
        c0, r0, c1, r1 = cap_uv(top)
        uvs = np.stack([(c0 + c1) / 2 + ring[:, 0] * (c1 - c0) / 2, (r0 + r1) / 2 - ring[:, 1] * (r1 - r0) / 2], axis=1)
        mesh.face(np.column_stack([ring * radius, np.full(ROUND_SIDES, float(top))]), uvs, OBJECT_TEXTURE)
    return mesh


# --- atlas ------------------------------------------------------------------------------------------------


def build_atlas(textures: list[Image]) -> Atlas:
    """Pack textures and their mip levels (2x2 box filter, down to one texel)."""
    start = np.zeros((len(textures), LEVELS), np.int32)
    rows, columns = np.ones_like(start), np.ones_like(start)
    texels: list[NDArray[np.uint8]] = []
    at = 0
    for t, texture in enumerate(textures):
        level = texture
        for k in range(LEVELS):
            start[t, k], rows[t, k], columns[t, k] = at, level.shape[0], level.shape[1]
            texels.append(level.reshape(-1, 3))
            at += level.shape[0] * level.shape[1]
            level = halve(level)
    return Atlas(np.ascontiguousarray(np.concatenate(texels)), start, rows, columns)


def halve(image: Image) -> Image:
    """Half the size by averaging 2x2 texels; a side of one texel stays."""
    rows, columns = image.shape[:2]
    wide = image[: rows - rows % 2 or 1, : columns - columns % 2 or 1].astype(np.uint16)
    if rows > 1:
        wide = (wide[0::2] + wide[1::2] + 1) // 2
    if columns > 1:
        wide = (wide[:, 0::2] + wide[:, 1::2] + 1) // 2
    return wide.astype(np.uint8)
