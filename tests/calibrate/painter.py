"""Pictures of flat sheets through the project's own camera model: supersampled, blurred, noisy; and films of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.calibrate.sheets import tag_cells
from openaisle.calibrate.tags import Tag
from openaisle.store.geometry import Camera, Float, apply, invert, rigid

FINE = 2  # rays per pixel and side
Grey = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Sheet:
    """A flat picture in the world: its frame has x right, y down, z into it, origin at its top left corner, metres."""

    picture: Grey
    width_m: float
    world_from_sheet: Float


def turn(x: float, y: float, z: float) -> Float:
    """Rotation matrix about x, then y, then z, degrees."""
    out = np.eye(3)
    for axis, angle in zip(np.eye(3), (x, y, z), strict=True):
        out = np.asarray(cv2.Rodrigues(np.deg2rad(angle) * axis)[0]) @ out
    return out


def rays(camera: Camera) -> tuple[Float, Float]:
    """Origin and directions [FINE h, FINE w, 3] of a supersampled picture."""
    columns = (np.arange(camera.width_px * FINE) + 0.5) / FINE - 0.5
    rows = (np.arange(camera.height_px * FINE) + 0.5) / FINE - 0.5
    origin, directions = camera.unproject(np.stack(np.meshgrid(columns, rows), axis=-1))
    return origin, directions


def paint(
    camera: Camera,
    sheets: Sequence[Sheet],
    rng: np.random.Generator,
    *,
    blur_px: float = 0.6,
    noise: float = 2.0,
    seen: tuple[Float, Float] | None = None,
    before: tuple[Grey, NDArray[np.float32]] | None = None,
) -> Grey:
    """A grey picture; nearer things hide farther ones.

    `seen` are the rays where they are at hand, `before` a picture with depths (along the camera's z) to hang sheets in.
    """
    origin, directions = rays(camera) if seen is None else seen
    fine = np.full(directions.shape[:2], 120.0, np.float32)
    depth = np.full(fine.shape, np.inf)
    if before is not None:
        fine = before[0].repeat(FINE, axis=0).repeat(FINE, axis=1).astype(np.float32)
        ahead = directions @ camera.world_from_camera[:3, 2]
        # Tags are glued onto walls and the floor: two centimetres of what is behind them count as before.
        depth = before[1].repeat(FINE, axis=0).repeat(FINE, axis=1) / ahead + 0.02
    for sheet in sheets:
        window = _window(camera, sheet)
        sheet_from_world = invert(sheet.world_from_sheet)
        start = apply(sheet_from_world, origin)
        along = directions[window] @ sheet_from_world[:3, :3].T
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = -start[2] / along[..., 2]
            at = (start[:2] + along[..., :2] * distance[..., None]) * (sheet.picture.shape[1] / sheet.width_m) - 0.5
        x, y = np.nan_to_num(at, nan=-9.0).clip(-9, 1e5).astype(np.float32).transpose(2, 0, 1)
        inside = (x > -0.5) & (y > -0.5) & (x < sheet.picture.shape[1] - 0.5) & (y < sheet.picture.shape[0] - 0.5)
        # The back of a sheet is not printed.
        hit = inside & (distance > 0) & (distance < depth[window]) & (along[..., 2] > 0)
        shown = cv2.remap(sheet.picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        fine[window][hit], depth[window][hit] = 30 + shown[hit] * (190 / 255), distance[hit]
    small = cv2.resize(fine, (camera.width_px, camera.height_px), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), blur_px) if blur_px > 0 else small
    return np.asarray(np.clip(np.rint(soft + rng.normal(0, noise, soft.shape)), 0, 255), np.uint8)


def _window(camera: Camera, sheet: Sheet) -> tuple[slice, slice]:
    """Where in the fine picture the sheet can be; all of it when a corner is out of sight."""
    height_m = sheet.width_m * sheet.picture.shape[0] / sheet.picture.shape[1]
    outline = np.array([[x * sheet.width_m, y * height_m, 0] for x in (0, 0.5, 1) for y in (0, 0.5, 1)])
    points = apply(sheet.world_from_sheet, outline)
    if not camera.sees(points, -200.0).all():
        return slice(None), slice(None)
    pixels, _ = camera.project(points)
    low, high = pixels.min(axis=0) - 8, pixels.max(axis=0) + 8  # a bent edge bulges a little
    left, top = np.maximum(low, 0).astype(int) * FINE
    right, bottom = high.astype(int) * FINE
    return slice(top, bottom), slice(left, right)


def lens_camera(width: int, height: int, focal: float, distortion: tuple[float, float, float, float, float]) -> Camera:
    """A camera at the origin that looks along +z."""
    return Camera(
        "cam", width, height, 5.0, focal, focal * 1.004, width / 2 + 4.3, height / 2 - 3.1, distortion, np.eye(4)
    )


def held(camera: Camera, picture: Grey, width_m: float, pixel: Float, far: float, rotation: Float) -> Sheet:
    """The sheet with its middle at a pixel, `far` times its width away."""
    height_m = width_m * picture.shape[0] / picture.shape[1]
    _, ray = camera.unproject(pixel)
    middle = ray / ray[2] * far * width_m
    return Sheet(picture, width_m, rigid(rotation, middle - rotation @ [width_m / 2, height_m / 2, 0]))


def tag_sheet(tag: Tag, cell_px: int = 20) -> Sheet:
    """A tag with a white rim of two cells, as it is printed, where the tag hangs."""
    cells = np.where(np.pad(tag_cells(tag.number), 2), 0, 255).astype(np.uint8)
    side_m = tag.size_m * len(cells) / (len(cells) - 4)
    corner = rigid(np.diag([1.0, -1.0, -1.0]), [-side_m / 2, side_m / 2, 0.0])
    return Sheet(cells.repeat(cell_px, 0).repeat(cell_px, 1), side_m, tag.world_from_tag @ corner)


def film(path: Path, pictures: Iterable[Grey], fps: int = 5) -> Path:
    """Write pictures as an H.264 film of good quality."""
    with av.open(str(path), "w") as container:
        stream = None
        for picture in pictures:
            if stream is None:
                stream = container.add_stream(
                    "libx264", rate=Fraction(fps), options={"crf": "16", "preset": "ultrafast"}
                )
                stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], "yuv420p"
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="gray8")):
                container.mux(packet)
        if stream is not None:
            for packet in stream.encode():
                container.mux(packet)
    return path
