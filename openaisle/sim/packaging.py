"""Procedural packaging: families of look-alike designs, their studio pictures, and textures from any pictures.

`design` draws a product, `catalogue_pictures` photographs it on white, and `textures_from_pictures` goes back
from pictures to textures. The renderer only ever uses the last one, so a store with real catalogue pictures, a
generated one and a saved and reloaded one all render by the same path.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # [H, W, 3] rgb
Colour = tuple[int, int, int]

TEXTURE_PX = 64  # width of the front and back textures
PICTURE_PX = 64  # catalogue pictures are square
WHITE_LEVEL = 250  # studio background; packaging stays below it so that it can be cut out
ROUND_SHAPES = frozenset({"cylinder", "bottle", "can", "tub"})

SYLLABLES = (
    "ba", "co", "da", "el", "fi", "go", "ka", "la", "mi", "no", "pa", "ri", "sol", "ta", "vi", "zu", "or", "un",
)  # fmt: skip
FLAVOURS = ("CLASSIC", "LEMON", "BERRY", "MINT", "CHILI", "HONEY", "COCOA", "APPLE", "NUT", "PEACH", "SALT", "VANILLA")
FLAVOUR_HUES = (5, 28, 165, 75, 0, 20, 12, 45, 16, 10, 105, 25)  # OpenCV hue, 0-179


@dataclass(frozen=True)
class Packaging:
    """Printed surfaces, rgb uint8. Front and back [H, 64, 3], side [H, 32, 3], top [32, 32, 3].

    On round shapes front and back each cover 180 degrees of the label, linear in angle, and side is unused.
    """

    front: Image
    back: Image
    side: Image
    top: Image


@dataclass(frozen=True)
class Style:
    """What the members of a family share."""

    ground: Colour
    accent: Colour
    ink: Colour
    layout: int
    logo: int
    brand: str
    font: int


def design(
    product_seed: int, family_seed: int, variant: int, shape: str, size_mm: tuple[float, float, float]
) -> Packaging:
    """Draw the packaging of one product; products of a family share the style and differ in the flavour.

    size_mm is width, height, depth. Deterministic in its arguments.
    """
    style = family_style(family_seed)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([product_seed, 11])))
    width, height, depth = size_mm
    round_shape = shape in ROUND_SHAPES
    printed_width = np.pi * width / 2 if round_shape else width
    rows = int(np.clip(round(TEXTURE_PX * height / printed_width), 24, 128))
    flavour = flavour_colour(family_seed, variant)
    front = draw_front(rows, style, flavour, variant, rng)
    back = draw_back(rows, style, flavour, rng)
    side_columns = int(np.clip(round(TEXTURE_PX * depth / width), 16, 64))
    side = cv2.resize(draw_side(rows, style, flavour), (side_columns, rows), interpolation=cv2.INTER_AREA)
    side = cv2.resize(side, (32, rows), interpolation=cv2.INTER_AREA)
    top = np.full((32, 32, 3), style.ground if shape != "bottle" else flavour, np.uint8)
    if not round_shape:
        cv2.rectangle(top, (0, 12), (31, 20), flavour, -1)
    else:
        cv2.circle(top, (16, 16), 11, tuple(int(c * 0.8) for c in style.ground), 2)
    return Packaging(below_white(front), below_white(back), below_white(as_uint8(side)), below_white(top))


def below_white(image: Image) -> Image:
    """Keep print darker than the studio background."""
    return np.minimum(image, np.uint8(WHITE_LEVEL - 10))


def as_uint8(image: NDArray[np.generic]) -> Image:
    """Round and clip to uint8."""
    return np.clip(np.rint(image.astype(np.float32)), 0, 255).astype(np.uint8)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """RGB of a colour; hue in OpenCV's 0-179, the rest 0-255."""
    pixel = np.array([[[hue % 180, np.clip(saturation, 0, 255), np.clip(value, 0, 255)]]], dtype=np.uint8)
    r, g, b = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]
    return int(r), int(g), int(b)


def family_style(family_seed: int) -> Style:
    """Palette, layout, logo and brand name of a family."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([family_seed, 7])))
    hue = float(rng.uniform(0, 180))
    pale = rng.random() < 0.4
    ground = hsv(
        hue,
        rng.uniform(5, 60) if pale else rng.uniform(110, 250),
        rng.uniform(190, 245) if pale else rng.uniform(70, 230),
    )
    accent = hsv(hue + rng.choice([30, 60, 90, 120]), rng.uniform(120, 250), rng.uniform(120, 240))
    dark = sum(ground) < 330
    ink = (238, 236, 230) if dark else hsv(hue + 90, 120, 50)
    brand = "".join(rng.choice(SYLLABLES, size=rng.integers(2, 4))).upper()
    fonts = (
        cv2.FONT_HERSHEY_SIMPLEX,
        cv2.FONT_HERSHEY_DUPLEX,
        cv2.FONT_HERSHEY_TRIPLEX,
        cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
    )
    return Style(ground, accent, ink, int(rng.integers(6)), int(rng.integers(5)), brand, int(fonts[rng.integers(4)]))


def flavour_colour(family_seed: int, variant: int) -> Colour:
    """Colour of a family's nth flavour; neighbours in the flavour list differ clearly."""
    hue = FLAVOUR_HUES[(family_seed + variant * 5) % len(FLAVOURS)]
    return hsv(hue + 2 * (variant // len(FLAVOURS)), 200, 215)


def draw_front(rows: int, style: Style, flavour: Colour, variant: int, rng: np.random.Generator) -> Image:
    """Front: ground with the family's layout, brand, flavour band and flavour icon."""
    image = np.empty((rows, TEXTURE_PX, 3), np.uint8)
    image[:] = style.ground
    w, h = TEXTURE_PX, rows
    if style.layout == 0:
        cv2.rectangle(image, (0, 0), (w, h // 3), style.accent, -1)
    elif style.layout == 1:
        cv2.fillPoly(image, [np.array([[0, h], [w, h // 3], [w, 2 * h // 3], [w // 3, h]], np.int32)], style.accent)
    elif style.layout == 2:
        cv2.ellipse(image, (w // 2, h // 2), (w * 2 // 5, h * 2 // 5), 0, 0, 360, style.accent, -1)
    elif style.layout == 3:
        cv2.rectangle(image, (3, 3), (w - 4, h - 4), style.accent, 3)
    elif style.layout == 4:
        for x in range(0, w, 12):
            cv2.rectangle(image, (x, 0), (x + 5, h), style.accent, -1)
    else:
        ramp = np.linspace(0, 1, h)[:, None, None]
        image = as_uint8(image * (1 - ramp) + np.array(style.accent) * ramp)
    draw_logo(image, style)
    band = int(h * 0.62)
    cv2.rectangle(image, (0, band), (w, band + max(4, h // 7)), flavour, -1)
    text(image, FLAVOURS[variant % len(FLAVOURS)], (w // 2, band + max(2, h // 14)), style, (250, 250, 250))
    draw_icon(image, variant, flavour, (w // 2 + int(rng.integers(-2, 3)), int(h * 0.86)), max(4, h // 12))
    return image


def draw_logo(image: Image, style: Style) -> None:
    """Brand mark and brand name in the upper third, in place."""
    h, w = image.shape[:2]
    centre, radius = (w // 2, max(6, int(h * 0.27))), max(6, min(w // 3, h // 6))
    x, y = centre
    if style.logo == 0:
        cv2.circle(image, centre, radius, style.ink, -1)
    elif style.logo == 1:
        cv2.ellipse(image, centre, (w * 2 // 5, radius), 0, 0, 360, style.ink, -1)
    elif style.logo == 2:
        cv2.rectangle(image, (4, y - radius // 2), (w - 5, y + radius // 2), style.ink, -1)
    elif style.logo == 3:
        points = np.array([[x, y - radius], [x + radius, y], [x, y + radius], [x - radius, y]], np.int32)
        cv2.fillPoly(image, [points], style.ink)
    else:
        cv2.circle(image, centre, radius, style.ink, 2)
    inside = style.ground if style.logo != 4 else style.ink
    text(image, style.brand, centre, style, inside)


def text(image: Image, words: str, centre: tuple[int, int], style: Style, colour: Colour) -> None:
    """Centred text scaled to the texture's width, in place."""
    (width, height), _ = cv2.getTextSize(words, style.font, 1.0, 1)
    scale = min(0.6, 0.86 * image.shape[1] / width)
    origin = (int(centre[0] - width * scale / 2), int(centre[1] + height * scale / 2))
    cv2.putText(image, words, origin, style.font, scale, colour, 1, cv2.LINE_AA)


def draw_icon(image: Image, variant: int, flavour: Colour, centre: tuple[int, int], radius: int) -> None:
    """A fruit, leaf, star or drop in the flavour's colour, in place."""
    x, y = centre
    kind = variant % 4
    rim = (245, 245, 240)
    cv2.circle(image, centre, radius + 2, rim, -1)
    if kind == 0:
        cv2.circle(image, centre, radius, flavour, -1)
    elif kind == 1:
        cv2.ellipse(image, centre, (radius, max(2, radius // 2)), 45, 0, 360, flavour, -1)
    elif kind == 2:
        turns = np.arange(10) * np.pi / 5
        radii = np.where(np.arange(10) % 2 == 0, radius, radius * 0.45)
        star = np.stack([x + radii * np.sin(turns), y - radii * np.cos(turns)], axis=1)
        cv2.fillPoly(image, [star.astype(np.int32)], flavour)
    else:
        cv2.rectangle(image, (x - radius // 2, y - radius), (x + radius // 2, y + radius), flavour, -1)


def draw_back(rows: int, style: Style, flavour: Colour, rng: np.random.Generator) -> Image:
    """Back: small print, a table and a bar code."""
    image = np.empty((rows, TEXTURE_PX, 3), np.uint8)
    image[:] = style.ground
    w, h = TEXTURE_PX, rows
    for y in range(4, int(h * 0.45), 4):
        cv2.line(image, (5, y), (int(rng.integers(w // 2, w - 5)), y), style.ink, 1)
    cv2.rectangle(image, (0, int(h * 0.48)), (w, int(h * 0.56)), flavour, -1)
    cv2.rectangle(image, (5, int(h * 0.62)), (w // 2 - 2, h - 5), style.ink, 1)
    cv2.rectangle(image, (w // 2 + 2, int(h * 0.64)), (w - 4, h - 5), (245, 245, 245), -1)
    bars = w // 2 + 4 + np.cumsum(rng.integers(2, 4, size=8))
    for x in bars[bars < w - 5]:
        cv2.line(image, (int(x), int(h * 0.66)), (int(x), h - 8), (15, 15, 15), 1)
    return image


def draw_side(rows: int, style: Style, flavour: Colour) -> Image:
    """Side of a box or bag: ground, brand and flavour band."""
    image = np.empty((rows, 32, 3), np.uint8)
    image[:] = style.ground
    cv2.rectangle(image, (0, int(rows * 0.62)), (32, int(rows * 0.62) + max(4, rows // 7)), flavour, -1)
    text(image, style.brand, (16, rows // 4), style, style.ink)
    return image


# --- studio -----------------------------------------------------------------------------------------


def half_width(shape: str, rows: int) -> NDArray[np.float64]:
    """Silhouette: half width at each row (top first) as a fraction of the half width of the product, [rows]."""
    z = 1 - (np.arange(rows) + 0.5) / rows
    knots_z, knots_r = PROFILES.get(shape, ((0.0, 1.0), (1.0, 1.0)))
    return np.interp(z, knots_z, knots_r)


# height fraction -> radius fraction; the meshes of the renderer are turned from the same profiles
PROFILES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "cylinder": ((0.0, 1.0), (1.0, 1.0)),
    "can": ((0.0, 0.05, 0.93, 1.0), (0.88, 1.0, 1.0, 0.84)),
    "bottle": ((0.0, 0.03, 0.58, 0.78, 0.9, 0.9001, 1.0), (0.94, 1.0, 1.0, 0.42, 0.36, 0.42, 0.42)),
    "tub": ((0.0, 0.86, 0.8601, 1.0), (0.78, 0.95, 1.0, 1.0)),
    "bag": ((0.0, 0.06, 0.2, 0.8, 0.94, 1.0), (0.96, 0.96, 1.0, 1.0, 0.96, 0.96)),
}


def catalogue_pictures(packaging: Packaging, shape: str, size_mm: tuple[float, float, float]) -> tuple[Image, ...]:
    """Studio pictures on white, rgb uint8 [64, 64, 3]: front, back, three-quarter view."""
    front = photograph(packaging.front, shape, size_mm, 0.0)
    back = photograph(packaging.back, shape, size_mm, 0.0)
    if shape in ROUND_SHAPES:
        label = np.concatenate([packaging.front, packaging.back], axis=1)
        turned = np.roll(label, -TEXTURE_PX // 3, axis=1)[:, :TEXTURE_PX]
        return front, back, photograph(np.ascontiguousarray(turned), shape, size_mm, 0.0)
    return front, back, photograph_corner(packaging, size_mm)


def photograph(print_: Image, shape: str, size_mm: tuple[float, float, float], margin: float) -> Image:
    """Orthographic view of one face, cut to the silhouette, the longer side filling the picture but 3 pixels."""
    width, height, _ = size_mm
    scale = (PICTURE_PX - 6) / max(width, height) * (1 - margin)
    w, h = max(3, round(width * scale)), max(3, round(height * scale))
    half = half_width(shape, h)[:, None]
    x = (np.arange(w) + 0.5) / w * 2 - 1
    across = np.clip(x[None, :] / half, -1, 1)  # -1..1 over the silhouette
    u = np.arcsin(across) / np.pi + 0.5 if shape in ROUND_SHAPES else across / 2 + 0.5
    v = np.broadcast_to(((np.arange(h) + 0.5) / h)[:, None], u.shape)
    rows, columns = print_.shape[:2]
    map_x, map_y = (u * columns - 0.5).astype(np.float32), (v * rows - 0.5).astype(np.float32)
    # shrink by area first: a plain lookup would sparkle
    face = cv2.remap(print_, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (np.abs(x)[None, :] <= half)[..., None]
    picture = np.full((PICTURE_PX, PICTURE_PX, 3), 255, np.uint8)
    top, left = (PICTURE_PX - h) // 2, (PICTURE_PX - w) // 2
    picture[top : top + h, left : left + w] = np.where(inside, np.minimum(face, WHITE_LEVEL - 10), 255)
    return picture


def photograph_corner(packaging: Packaging, size_mm: tuple[float, float, float]) -> Image:
    """Three-quarter view of a box: front, right side and top as parallelograms."""
    width, height, depth = size_mm
    extent = np.array([width * 0.85 + depth * 0.5, height + depth * 0.35])
    scale = (PICTURE_PX - 6) / extent.max()
    w, h, sx, sy = width * 0.85 * scale, height * scale, depth * 0.5 * scale, depth * 0.35 * scale
    x0, y0 = (PICTURE_PX - w - sx) / 2, (PICTURE_PX - h - sy) / 2 + sy
    picture = np.full((PICTURE_PX, PICTURE_PX, 3), 255, np.uint8)
    faces = (
        (packaging.front, 1.0, [(x0, y0), (x0 + w, y0), (x0, y0 + h)]),
        (packaging.side, 0.8, [(x0 + w, y0), (x0 + w + sx, y0 - sy), (x0 + w, y0 + h)]),
        (packaging.top, 0.95, [(x0, y0), (x0 + w, y0), (x0 + sx, y0 - sy)]),
    )
    for face, light, corners in faces:
        rows, columns = face.shape[:2]
        source = np.array([(0, 0), (columns, 0), (0, rows)], np.float32)
        warp = cv2.getAffineTransform(source, np.array(corners, np.float32))
        size = (PICTURE_PX, PICTURE_PX)
        cover = cv2.warpAffine(np.full(face.shape[:2], 255, np.uint8), warp, size, flags=cv2.INTER_NEAREST)
        warped = cv2.warpAffine(face, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        picture[cover > 0] = as_uint8(warped[cover > 0] * light)
    return picture


# --- from pictures back to textures -------------------------------------------------------------------


def textures_from_pictures(pictures: tuple[Image, ...], shape: str, size_mm: tuple[float, float, float]) -> Packaging:
    """Packaging textures from catalogue pictures: the white background is cut away, the print straightened.

    The first picture is the front, the second (if any) the back; sides and top take their mean colours.
    """
    assert pictures, "a product without pictures gets plain_packaging"
    width, height, _ = size_mm
    printed_width = np.pi * width / 2 if shape in ROUND_SHAPES else width
    rows = int(np.clip(round(TEXTURE_PX * height / printed_width), 24, 128))
    front = straighten(pictures[0], shape, rows)
    back = straighten(pictures[1], shape, rows) if len(pictures) > 1 else front
    edge = np.concatenate([front[:, :6], front[:, -6:]], axis=1).mean(axis=1, keepdims=True)
    side = as_uint8(np.repeat(edge, 32, axis=1))
    top = np.empty((32, 32, 3), np.uint8)
    top[:] = as_uint8(front[: max(2, rows // 12)].reshape(-1, 3).mean(axis=0))
    return Packaging(front, back, side, top)


def straighten(picture: Image, shape: str, rows: int) -> Image:
    """Cut one picture to its object and undo the silhouette (and the roundness): [rows, 64, 3]."""
    solid = picture.min(axis=2) < WHITE_LEVEL
    if not solid.any():
        return cv2.resize(picture, (TEXTURE_PX, rows), interpolation=cv2.INTER_AREA).astype(np.uint8)
    filled = np.flatnonzero(solid.any(axis=1))
    top, bottom = int(filled[0]), int(filled[-1]) + 1
    columns = np.arange(solid.shape[1])
    first = np.where(solid, columns, solid.shape[1]).min(axis=1)[top:bottom]
    last = np.where(solid, columns, -1).max(axis=1)[top:bottom]
    empty = last < 0  # white print right across: take the whole width
    first = np.where(empty, first[~empty].min(), first)
    last = np.where(empty, last.max(), last)
    y = np.clip((np.arange(rows) + 0.5) / rows * (bottom - top) - 0.5, 0, bottom - top - 1)
    nearest = np.rint(y).astype(np.int64)
    u = (np.arange(TEXTURE_PX) + 0.5) / TEXTURE_PX
    across = (np.sin((u - 0.5) * np.pi) + 1) / 2 if shape in ROUND_SHAPES else u
    left, right = first[nearest] + 0.0, last[nearest] + 1.0
    map_x = (left[:, None] + (right - left)[:, None] * across[None, :] - 0.5).astype(np.float32)
    inset = np.minimum(0.6, (right - left)[:, None] / 4).astype(np.float32)  # stay off the white edge
    map_x = np.clip(map_x, left[:, None] + inset - 0.5, right[:, None] - inset - 0.5).astype(np.float32)
    map_y = np.broadcast_to((y + top)[:, None], map_x.shape).astype(np.float32)
    return cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)


def plain_packaging(gtin: str, shape: str, size_mm: tuple[float, float, float]) -> Packaging:
    """A plain design derived from the GTIN, for products without pictures."""
    number = int(gtin) % (1 << 31)
    return design(number, number, 0, shape, size_mm)
