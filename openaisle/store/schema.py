"""What a shop owner writes: store.yaml, catalog.csv and planogram.csv as one pydantic schema.

Every field carries title, unit and bounds once, for the validator, the docs and later the forms.
Rules that span fields or files (duplicate ids, lanes outside shelves, ...) live in check.py.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from openaisle.store.gtin import normalise

Metres = Annotated[float, Field(ge=-1000, le=1000)]
Length = Annotated[float, Field(gt=0, le=1000)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
Point = tuple[Metres, Metres]
Gtin = Annotated[str, AfterValidator(normalise), Field(title="GTIN-8, -12, -13 or -14; kept as GTIN-14")]
# A plain file name: no folders, so that a catalogue can never point outside its store.
ImageName = Annotated[str, Field(pattern=r"^[^/\\:;]+\.(png|jpg|jpeg|webp|PNG|JPG|JPEG|WEBP)$")]


class Model(BaseModel):
    """Base: unknown keys and infinite numbers are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GateSpec(Model):
    """A line on the floor that people cross to enter or leave."""

    id: Id
    kind: Literal["entry", "exit", "both"] = Field(title="What may happen here")
    a_m: Point = Field(title="One end of the line, metres")
    b_m: Point = Field(title="Other end of the line, metres")


class LaneSpec(Model):
    """The strip of a shelf that one facing occupies; its full id is fixture.shelf.lane."""

    id: Id
    x_m: float = Field(ge=0, le=100, title="Left edge, metres from the shelf's left end")
    width_m: Length = Field(title="Width, metres")


class ShelfSpec(Model):
    """A surface (or row of hooks) of a fixture; its frame's origin is its front-left corner."""

    id: Id
    z_m: float = Field(ge=0, le=4, title="Height of the surface above the floor, metres")
    x_m: float = Field(default=0.0, ge=0, le=100, title="Left end, metres from the fixture's left end")
    y_m: float = Field(default=0.0, ge=0, le=10, title="Front edge, metres behind the fixture's front")
    width_m: Length = Field(title="Width, metres")
    depth_m: Length = Field(title="Depth, metres")
    clearance_m: Length = Field(default=0.3, title="Free height above the surface, metres")
    lanes: tuple[LaneSpec, ...] = Field(min_length=1)


class FixtureSpec(Model):
    """Furniture. Its frame: origin at the front-left floor corner, x along the front (left to right as seen by
    a shopper who faces it), y away from the shopper into the fixture, z up."""

    id: Id
    kind: Literal["gondola", "wall", "fridge", "table", "pegs", "counter"] = Field(title="Kind of furniture")
    x_m: Metres = Field(title="Origin x in the store, metres")
    y_m: Metres = Field(title="Origin y in the store, metres")
    yaw_deg: float = Field(default=0.0, ge=-360, le=360, title="Turn about z, degrees")
    width_m: Length = Field(title="Width along the front, metres")
    depth_m: Length = Field(title="Depth, metres")
    height_m: Length = Field(title="Height, metres")
    doors: bool = Field(default=False, title="Has doors that shoppers open")
    colour: tuple[int, int, int] = Field(default=(200, 200, 205), title="Colour, RGB 0-255")
    shelves: tuple[ShelfSpec, ...] = ()


class ScaleSpec(Model):
    """A load cell under one or more lanes."""

    id: Id
    lanes: tuple[str, ...] = Field(min_length=1, title="Full ids of the lanes it carries (fixture.shelf.lane)")
    rate_hz: float = Field(default=20.0, gt=0, le=1000, title="Samples per second")
    limit_grams: float = Field(default=20000.0, gt=0, title="Largest load, grams")


class CameraSpec(Model):
    """A camera: pinhole intrinsics, OpenCV distortion, and a pose as look_at or as a Rodrigues rotation."""

    id: Id
    width_px: int = Field(ge=32, le=8192)
    height_px: int = Field(ge=32, le=8192)
    fps: float = Field(default=5.0, gt=0, le=120)
    fx_px: float = Field(gt=0)
    fy_px: float = Field(gt=0)
    cx_px: float
    cy_px: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    position_m: tuple[Metres, Metres, Metres]
    look_at_m: tuple[Metres, Metres, Metres] | None = None
    roll_deg: float = Field(default=0.0, ge=-360, le=360)
    rotation_rodrigues: tuple[float, float, float] | None = Field(default=None, title="world_from_camera rotation")


class PromotionSpec(Model):
    """A simple promotion: n units for a price, or a percentage off, between two dates (inclusive)."""

    id: Id
    kind: Literal["n_for_price", "percent_off"]
    gtins: tuple[Gtin, ...] = Field(min_length=1)
    quantity: int = Field(default=1, ge=1, title="n of n-for-a-price")
    price_cents: int = Field(default=0, ge=0, title="Price of the n units, cents")
    percent: float = Field(default=0.0, ge=0, le=100)
    first_day: date | None = None
    last_day: date | None = None


class StoreSpec(Model):
    """store.yaml."""

    version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=200)
    currency: str = Field(pattern=r"^[A-Z]{3}$", title="ISO 4217 code")
    time_zone: str = Field(title="IANA time zone, e.g. Europe/Berlin")
    prices_include_tax: bool = Field(default=True, title="Catalogue prices already contain the tax")
    tax_classes: dict[str, float] = Field(default={"standard": 0.0}, title="Tax rate by class, 0.19 = 19%")
    ceiling_m: Length = 3.0
    floor_m: tuple[Point, ...] = Field(min_length=3, title="Floor polygon, counter-clockwise, metres")
    gates: tuple[GateSpec, ...] = Field(min_length=1)
    fixtures: tuple[FixtureSpec, ...] = Field(min_length=1)
    scales: tuple[ScaleSpec, ...] = ()
    cameras: tuple[CameraSpec, ...] = ()
    promotions: tuple[PromotionSpec, ...] = ()


class ProductSpec(Model):
    """One row of catalog.csv. `images` is a list of file names in images/, separated by ';'."""

    gtin: Gtin
    name: str = Field(min_length=1, max_length=200)
    price_cents: int = Field(ge=0)
    weight_grams: float = Field(ge=0, le=50000, title="Mass of one unit, grams; 0 = unknown")
    width_mm: float = Field(gt=0, le=2000)
    height_mm: float = Field(gt=0, le=2000)
    depth_mm: float = Field(gt=0, le=2000)
    shape: Literal["box", "cylinder", "bottle", "can", "bag", "tub"] = "box"
    images: tuple[ImageName, ...] = ()
    tax_class: str = "standard"


class PlanogramRow(Model):
    """One row of planogram.csv: which product belongs in a lane."""

    lane: str = Field(title="Full id of the lane, fixture.shelf.lane")
    gtin: Gtin
    facings: int = Field(default=1, ge=1, le=50)
    capacity: int = Field(default=10, ge=1, le=1000)
