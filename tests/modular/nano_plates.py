"""A made-up nano-store's plates as real ones behave: noise, drift, lost rows, pushes, and wide things."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, ScaleBatch
from openaisle.store.gtin import with_check_digit
from openaisle.store.schema import (
    FixtureSpec,
    GateSpec,
    LaneSpec,
    PlanogramRow,
    ProductSpec,
    ScaleSpec,
    ShelfSpec,
    StoreSpec,
)
from openaisle.store.store import Store

PLATES = {1: 12, 2: 9, 3: 12, 4: 9, 5: 9}  # by gondola, six shelves each: 306
RATE = 60
BEGIN_NS = 1_587_360_816 * NANOSECONDS
Float = NDArray[np.float64]
Spot = tuple[int, int, int]  # gondola, shelf, plate, counted from 1


@dataclass(frozen=True)
class Hard:
    """How hard the series are made."""

    noise: float = 1.0
    drift: float = 1.0
    lost_rows: float = 0.01
    jitter_s: float = 0.0
    mass: float = 0.08  # largest relative deviation of a unit
    dead: bool = True
    touches: int = 12
    bumps: int = 0  # knocks that a whole gondola feels
    leans: int = 0  # of three seconds on a whole shelf
    close: int = 0  # pairs of picks within a second, on one plate or on neighbouring ones


@dataclass(frozen=True)
class Product:
    """A product with its facing."""

    gtin: str
    grams: float
    width: float  # in plates
    at: tuple[Spot, ...]
    real: float  # true grams over catalogue grams


@dataclass(frozen=True)
class Happened:
    """Truth."""

    time_s: float
    kind: str  # take | return
    gtin: str
    units: int


@dataclass
class Plates:
    """A shop's plates over some seconds; things are done to them, then they are read."""

    rng: np.random.Generator
    seconds: float
    hard: Hard = Hard()
    products: list[Product] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spots = [(g, s, p) for g, n in PLATES.items() for s in range(1, 7) for p in range(1, n + 1)]
        self.index = {spot: i for i, spot in enumerate(self.spots)}
        self.count = round(self.seconds * RATE)
        self.time_s = np.arange(self.count) / RATE
        self.load = np.zeros((len(self.spots), self.count))
        self.leak = self.rng.uniform(0.0, 0.03, len(self.spots))  # 104% in all were seen
        self.ring_hz = self.rng.uniform(3.5, 9.0, len(self.spots))
        self.creep = self.rng.uniform(0.0002, 0.002, len(self.spots))
        if not self.products:
            self.products = stocked(self.rng, self.hard)

    # --- what is done ---------------------------------------------------------------------------------------

    def take(self, time_s: float, product: Product, units: int = 1, push: bool = True) -> tuple[float, list[float]]:
        """Units leave; returns where their middle was and what each weighed."""
        masses = [self.unit(product) for _ in range(units)]
        where = self.middle(product)
        self.move(time_s, product, masses, where, -1.0)
        if push:
            self.hand(time_s - self.rng.uniform(0.1, 0.9), time_s, product, where)
        self.happened.append(Happened(time_s, "take", product.gtin, units))
        return where, masses

    def put(self, time_s: float, product: Product, masses: list[float], push: bool = True) -> None:
        """Units that were taken come back to their facing."""
        where = self.middle(product)
        self.move(time_s, product, masses, where, 1.0)
        if push:
            self.hand(time_s, time_s + self.rng.uniform(0.1, 0.7), product, where)
        self.happened.append(Happened(time_s, "return", product.gtin, len(masses)))

    def unit(self, product: Product) -> float:
        """True grams of a unit."""
        return product.grams * product.real * (1 + self.rng.uniform(-0.4, 0.4) * self.hard.mass)

    def middle(self, product: Product) -> float:
        """A place in the facing, in plates from its first plate's middle."""
        return float(self.rng.uniform(-0.15, len(product.at) - 1 + 0.15))

    def shares(self, product: Product, where: float) -> dict[int, float]:
        """Share of a unit by plate: what lies over it, and cross-talk."""
        gondola, shelf, first = product.at[0]
        half = product.width / 2
        where = float(np.clip(where, 0.5 - first + half, PLATES[gondola] + 0.5 - first - half))  # nothing hangs over
        out: dict[int, float] = {}
        for plate in range(1, PLATES[gondola] + 1):
            left = plate - first - 0.5
            over = min(where + product.width / 2, left + 1) - max(where - product.width / 2, left)
            if over > 0:
                i = self.index[gondola, shelf, plate]
                out[i] = out.get(i, 0.0) + over / product.width
                for side in (-1, 1):
                    j = self.index.get((gondola, shelf, plate + side))
                    if j is not None:
                        out[j] = out.get(j, 0.0) + self.leak[i] * over / product.width
        return out

    def move(self, time_s: float, product: Product, masses: list[float], where: float, sign: float) -> None:
        """Grams come or go at an instant, and the plates ring."""
        for n, grams in enumerate(masses):
            at = where if n == 0 else float(np.clip(where + self.rng.uniform(-0.5, 0.5), -0.2, len(product.at) - 0.8))
            for i, share in self.shares(product, at).items():
                self.step(i, time_s, sign * share * grams)

    def step(self, i: int, time_s: float, grams: float) -> None:
        """A plate's load changes, rings and creeps."""
        after = self.time_s - time_s
        on = after >= 0
        ring = np.exp(-after[on] / 0.1) * np.cos(2 * np.pi * self.ring_hz[i] * after[on])
        self.load[i, on] += grams * (1 - 0.6 * ring) + self.creep[i] * grams * (1 - np.exp(-after[on] / 20))

    def hand(self, begin_s: float, end_s: float, product: Product, where: float) -> None:
        """A hand presses where a product lies."""
        self.press(self.shares(product, where), begin_s, end_s, self.rng.uniform(30, 700))

    def press(self, shares: dict[int, float], begin_s: float, end_s: float, grams: float) -> None:
        """A push that rises, trembles and is gone."""
        rise = min(0.15, (end_s - begin_s) / 3)
        on = slice(max(0, int(begin_s * RATE)), int(end_s * RATE) + 2)
        time_s = self.time_s[on]
        shape = np.clip((time_s - begin_s) / rise, 0, 1) * np.clip((end_s - time_s) / rise, 0, 1)
        shape *= 1 + 0.1 * np.sin(2 * np.pi * self.rng.uniform(1, 4) * time_s)
        for i, share in shares.items():
            self.load[i, on] += grams * share * shape

    def touch(self, time_s: float, grams: float, seconds: float) -> None:
        """A touch somewhere that takes nothing."""
        product = self.products[self.rng.integers(len(self.products))]
        self.press(self.shares(product, self.middle(product)), time_s, time_s + seconds, grams)

    def bump(self, time_s: float, gondola: int, grams: float) -> None:
        """A knock that all plates of a gondola feel."""
        after = self.time_s - time_s
        for spot, i in self.index.items():
            if spot[0] == gondola:
                shape = np.where(after >= 0, np.exp(-after.clip(0) / 0.25) * np.sin(2 * np.pi * 5 * after), 0)
                self.load[i] += grams * self.rng.uniform(0.3, 1.0) * shape

    def lean(self, time_s: float, seconds: float, gondola: int, shelf: int, grams: float) -> None:
        """Somebody leans on a whole shelf."""
        spots = [self.index[gondola, shelf, plate] for plate in range(1, PLATES[gondola] + 1)]
        middle = self.rng.uniform(0, len(spots))
        weight = np.exp(-0.5 * ((np.arange(len(spots)) - middle) / 2.0) ** 2)
        self.press(dict(zip(spots, (weight / weight.sum()).tolist(), strict=True)), time_s, time_s + seconds, grams)

    # --- what is read -----------------------------------------------------------------------------------------

    def readings(self) -> NDArray[np.float32]:
        """Grams [plates, samples] as the plates tell them."""
        rng, hard, n = self.rng, self.hard, len(self.spots)
        noise = np.minimum(0.84 * np.exp(1.097 * rng.normal(size=(n, 1))), 12.0) * hard.noise  # 95th percentile 5.1
        drift = np.minimum(0.1 * np.exp(1.5 * rng.normal(size=(n, 1))), 5.6) / 33 * hard.drift  # grams a second
        drift *= rng.choice([-1.0, 1.0], (n, 1))
        zero = rng.uniform(-500, 6000, (n, 1))
        out = self.load * (1 + rng.normal(0, 0.004, (n, 1))) + zero + drift * self.time_s
        out += noise * rng.standard_normal(out.shape)
        slow = rng.standard_normal((n, self.count // 120 + 2))  # a wobble of two seconds, a tenth of the noise
        grid = np.arange(slow.shape[1]) * 2.0
        out += 0.1 * noise * np.array([np.interp(self.time_s, grid, row) for row in slow])
        out = np.round(out, 2)
        out[:, rng.random(self.count) < hard.lost_rows] = np.nan
        for i in rng.integers(0, n, 20):
            first = int(rng.integers(0, max(1, self.count - 36)))
            out[i, first : first + 12 * int(rng.integers(1, 4))] = np.nan
        if hard.dead:
            self._kill(out)
        return out.astype(np.float32)

    def _kill(self, out: Float) -> None:
        """Dead, stuck and dying plates, where nothing happens."""
        used = {self.index[spot] for product in self.products for spot in product.at if self._touched(product)}
        near = {i + side for i in used for side in (-1, 0, 1)}
        free = [i for i in range(len(out)) if i not in near]
        dead, stuck, dying, sticking, zero = self.rng.choice(free, 5, replace=False)
        half = self.count // 2
        out[dead] = np.nan
        out[stuck] = 1234.5
        out[dying, half:] = np.nan
        out[sticking, half:] = out[sticking, half - 1]
        out[zero, half:] = 0.0

    def _touched(self, product: Product) -> bool:
        return any(one.gtin == product.gtin for one in self.happened)

    def batches(self) -> Iterator[ScaleBatch]:
        """The readings as messages of 12 samples, some of them late or with jittering times."""
        grams = self.readings()
        for i, (g, s, p) in enumerate(self.spots):
            for first in range(0, self.count, 12):
                off_s = self.rng.normal(0, self.hard.jitter_s) if self.hard.jitter_s else 0.0
                time_ns = BEGIN_NS + round((first / RATE + off_s) * NANOSECONDS)
                yield ScaleBatch(f"g{g}-s{s}-p{p}", time_ns, float(RATE), grams[i, first : first + 12])

    def store(self) -> Store:
        """The store that the planogram describes."""
        return store_of(self.products)


def stocked(rng: np.random.Generator, hard: Hard) -> list[Product]:
    """Products on all shelves: light bags that lie over three plates, cans, bottles, small things."""
    out: list[Product] = []
    for gondola, plates in PLATES.items():
        for shelf in range(1, 7):
            first = 1
            while first <= plates:
                own = min(int(rng.choice([1, 1, 1, 2, 3])), plates - first + 1)
                at = tuple((gondola, shelf, first + i) for i in range(own))
                bag = rng.random() < 0.3
                grams = float(rng.uniform(28, 90)) if bag else float(np.exp(rng.uniform(np.log(40), np.log(1200))))
                width = float(rng.uniform(1.0, 1.9)) if bag else float(rng.uniform(0.5, 0.95))
                width = min(width, own + 0.2 if first == 1 or first + own > plates else own + 0.9)
                real = 1 + float(rng.uniform(-0.6, 0.6)) * hard.mass
                out.append(Product(gtin(len(out)), round(grams, 0), width, at, real))
                first += own
    return out


def gtin(number: int) -> str:
    """A GTIN-14 by number."""
    return with_check_digit(f"4{number:010d}0").zfill(14)


def store_of(products: list[Product]) -> Store:
    """A store of five gondolas side by side."""
    fixtures, scales, rows = [], [], []
    x_m = 0.0
    for gondola, plates in PLATES.items():
        shelves = []
        for shelf in range(1, 7):
            lanes = []
            for plate in range(1, plates + 1):
                own = [product for product in products if (gondola, shelf, plate) in product.at]
                names = [f"p{plate}"] if len(own) < 2 else [f"p{plate}-{i}" for i in range(len(own))]
                share = 0.1016 / len(names)
                lanes += [
                    LaneSpec(id=name, x_m=(plate - 1) * 0.1016 + i * share, width_m=share)
                    for i, name in enumerate(names)
                ]
                ids = tuple(f"g{gondola}.s{shelf}.{name}" for name in names)
                scales.append(ScaleSpec(id=f"g{gondola}-s{shelf}-p{plate}", lanes=ids, rate_hz=RATE))
                rows += [PlanogramRow(lane=lane, gtin=one.gtin) for lane, one in zip(ids, own, strict=False)]
            shelves.append(
                ShelfSpec(id=f"s{shelf}", z_m=0.3 * shelf, width_m=plates * 0.1016, depth_m=0.4, lanes=tuple(lanes))
            )
        width = plates * 0.1016
        fixtures.append(
            FixtureSpec(
                id=f"g{gondola}", kind="gondola", x_m=x_m, y_m=0, width_m=width, depth_m=0.43, height_m=2.1,
                shelves=tuple(shelves),
            )
        )  # fmt: skip
        x_m += width + 0.1
    specs = [
        ProductSpec(
            gtin=p.gtin, name=f"product {i}", price_cents=100 + i, weight_grams=p.grams, width_mm=80, height_mm=100,
            depth_mm=80,
        )
        for i, p in enumerate(products)
    ]  # fmt: skip
    spec = StoreSpec(
        name="nano", currency="USD", time_zone="UTC", floor_m=((-1, -3), (x_m, -3), (x_m, 1), (-1, 1)),
        gates=(GateSpec(id="door", kind="both", a_m=(0, -3), b_m=(1, -3)),), fixtures=tuple(fixtures),
        scales=tuple(scales),
    )  # fmt: skip
    return Store(spec, tuple(specs), tuple(rows), {})


def shopped(seed: int, hard: Hard = Hard(), picks: int = 6, seconds: float = 45.0, most: int = 2) -> Plates:
    """A shopper who takes things, puts some of them back, and touches more."""
    rng = np.random.default_rng(seed)
    shop = Plates(rng, seconds, hard)
    times = 3.0 + np.cumsum(rng.uniform(2.2, (seconds - 10) / picks, picks * 2))
    times = times[times < seconds - 3]
    held: list[tuple[Product, list[float]]] = []
    close = hard.close
    for time_s in times.tolist()[: picks + 3]:
        if held and rng.random() < 0.3:
            product, masses = held.pop(int(rng.integers(len(held))))
            shop.put(time_s, product, masses)
            continue
        first = int(rng.integers(len(shop.products) - 1))
        product = shop.products[first]
        units = int(rng.integers(1, most + 1))
        held.append((product, shop.take(time_s, product, units, push=rng.random() < 0.8)[1]))
        if close:
            close -= 1
            other = shop.products[first + int(rng.integers(0, 2))]
            held.append((other, shop.take(time_s + float(rng.uniform(0.2, 1.0)), other)[1]))
    for _ in range(hard.touches):
        shop.touch(float(rng.uniform(1, seconds - 3)), float(rng.uniform(20, 2500)), float(rng.uniform(0.15, 1.5)))
    for _ in range(hard.bumps):
        shop.bump(float(rng.uniform(1, seconds - 3)), int(rng.integers(1, 6)), float(rng.uniform(50, 400)))
    for _ in range(hard.leans):
        spot = int(rng.integers(1, 6)), int(rng.integers(1, 7))
        shop.lean(float(rng.uniform(1, seconds - 5)), 3.0, *spot, float(rng.uniform(2_000, 12_000)))
    return shop
