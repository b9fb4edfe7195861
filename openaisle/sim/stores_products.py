"""Products for generated stores: families of look-alikes with plausible sizes, weights, names and prices.

A family is one brand's design in several flavours or sizes. Family seeds come from ranges that depend on
the split of the store's seed (train, validation, test, outside), so that no family ever crosses splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from openaisle.store.gtin import with_check_digit
from openaisle.store.schema import ProductSpec

Shape = Literal["box", "cylinder", "bottle", "can", "bag", "tub"]
Range = tuple[float, float]
Size = tuple[float, float, float]  # width, height, depth in millimetres

SPLIT_STARTS = (0, 800_000, 850_000, 900_000)  # first store seed of train, validation, test, outside evaluation
FAMILIES_PER_SPLIT = 10**12


@dataclass(frozen=True)
class Category:
    """Bounds for one sort of goods; sizes in mm, density in g per cm³ of the bounding box, price in cents per unit."""

    nouns: tuple[str, ...]
    flavours: tuple[str, ...]
    shape: Shape
    width_mm: Range
    height_mm: Range
    depth_mm: Range  # (0, 0): as deep as wide
    density: Range
    price_cents: tuple[int, int]
    fixtures: tuple[str, ...]
    tax_class: Literal["standard", "reduced"] = "reduced"


_FRUIT = ("Cherry", "Apple", "Mango", "Lemon", "Peach", "Berry", "Orange", "Lime")
_SAVOURY = ("Paprika", "Sea Salt", "Sour Cream", "Chilli", "Onion", "Cheese", "Vinegar")
_SWEET = ("Milk", "Dark", "Hazelnut", "Caramel", "Almond", "Coconut", "White")
_CARE = ("Fresh", "Sensitive", "Lavender", "Aloe", "Mint", "Sport", "Pure")
_DRY = ("gondola", "wall")
CATEGORIES: tuple[Category, ...] = (
    Category(("Cola", "Lemonade", "Iced Tea"), _FRUIT, "can", (52, 67), (115, 170), (0, 0), (0.72, 0.78), (79, 199),
             ("fridge", "wall", "gondola", "counter"), "standard"),
    Category(("Water", "Juice", "Smoothie", "Sports Drink"), _FRUIT, "bottle", (60, 85), (170, 260), (0, 0),
             (0.52, 0.62), (89, 349), ("fridge", "wall", "gondola"), "standard"),
    Category(("Mineral Water", "Family Cola"), _FRUIT, "bottle", (88, 98), (270, 315), (0, 0), (0.48, 0.52),
             (99, 219), ("wall", "gondola"), "standard"),
    Category(("Milk", "Oat Drink", "Soy Drink"), ("Whole", "Light", "Barista", "Vanilla"), "box", (70, 76),
             (165, 200), (60, 72), (0.98, 1.04), (109, 279), ("fridge", "wall", "gondola")),
    Category(("Yoghurt", "Quark", "Pudding"), _FRUIT, "tub", (68, 95), (60, 110), (0, 0), (0.68, 0.8), (59, 249),
             ("fridge",)),
    Category(("Butter", "Cheese Slices", "Tofu"), ("Mild", "Salted", "Smoked", "Herbs"), "box", (95, 130), (40, 75),
             (60, 80), (0.7, 0.95), (149, 429), ("fridge",)),
    Category(("Sandwich", "Wrap", "Sushi Box"), ("Tuna", "Chicken", "Egg", "Veggie"), "box", (110, 160), (60, 85),
             (70, 110), (0.25, 0.38), (279, 699), ("fridge",)),
    Category(("Crisps", "Tortillas", "Popcorn"), _SAVOURY, "bag", (150, 210), (200, 300), (60, 90), (0.04, 0.06),
             (119, 299), ("gondola", "wall", "table")),
    Category(("Nuts", "Trail Mix", "Gummies"), _FRUIT[:5], "bag", (95, 140), (130, 190), (28, 50), (0.25, 0.42),
             (149, 449), ("gondola", "wall", "pegs", "table")),
    Category(("Chocolate", "Nougat Bar"), _SWEET, "box", (75, 90), (150, 165), (9, 14), (0.85, 1.0), (99, 349),
             ("gondola", "wall", "table", "counter")),
    Category(("Snack Bar", "Wafer"), _SWEET, "box", (28, 40), (105, 135), (14, 22), (0.45, 0.75), (69, 189),
             ("counter", "gondola", "table", "wall")),
    Category(("Chewing Gum", "Mints"), ("Spearmint", "Menthol", "Cinnamon", "Melon"), "box", (18, 45), (60, 80),
             (10, 16), (0.55, 0.85), (79, 199), ("counter", "pegs")),
    Category(("Batteries", "Lip Balm", "Key Light"), ("AA", "AAA", "Classic", "Soft"), "box", (35, 80), (95, 130),
             (12, 18), (0.2, 0.5), (299, 899), ("pegs", "counter"), "standard"),
    Category(("Seeds", "Herb Sachet", "Stickers"), ("Basil", "Cress", "Thyme", "Parsley"), "bag", (70, 110),
             (110, 150), (8, 12), (0.06, 0.1), (99, 249), ("pegs", "counter")),
    Category(("Cereal", "Muesli", "Cornflakes"), ("Honey", "Choco", "Fruit", "Crunchy"), "box", (160, 200),
             (230, 300), (55, 75), (0.12, 0.22), (199, 499), _DRY),
    Category(("Biscuits", "Crackers"), _SWEET, "box", (60, 75), (150, 210), (50, 65), (0.35, 0.5), (99, 299), _DRY),
    Category(("Pasta", "Penne", "Fusilli"), ("Classic", "Wholegrain", "Spinach", "Egg"), "bag", (90, 120),
             (180, 260), (50, 75), (0.42, 0.5), (79, 249), _DRY),
    Category(("Rice", "Lentils", "Sugar", "Flour"), ("Fine", "Brown", "Red", "Classic"), "box", (95, 110),
             (160, 200), (60, 75), (0.78, 0.9), (119, 329), _DRY),
    Category(("Tomatoes", "Beans", "Sweetcorn", "Soup"), ("Classic", "Chunky", "Spicy", "Herbs"), "can", (72, 76),
             (80, 112), (0, 0), (0.78, 0.86), (69, 229), _DRY),
    Category(("Tuna", "Cat Food", "Fish Pie"), ("Oil", "Brine", "Chicken", "Salmon"), "can", (80, 88), (35, 45),
             (0, 0), (0.72, 0.82), (89, 279), (*_DRY, "table")),
    Category(("Jam", "Honey", "Pesto", "Olives"), _FRUIT, "cylinder", (62, 78), (90, 130), (0, 0), (0.95, 1.1),
             (179, 499), _DRY),
    Category(("Coffee", "Cocoa"), ("Mild", "Strong", "Decaf", "Espresso"), "box", (80, 100), (150, 190), (50, 65),
             (0.55, 0.68), (449, 999), _DRY),
    Category(("Tea", "Infusion"), ("Green", "Black", "Mint", "Rooibos"), "box", (120, 150), (65, 75), (62, 75),
             (0.06, 0.12), (179, 449), (*_DRY, "table")),
    Category(("Shampoo", "Shower Gel", "Dish Soap"), _CARE, "bottle", (55, 75), (170, 220), (36, 50), (0.62, 0.78),
             (129, 499), _DRY, "standard"),
    Category(("Hand Cream", "Toothpaste"), _CARE, "box", (40, 52), (150, 190), (32, 42), (0.3, 0.45), (99, 399),
             (*_DRY, "pegs"), "standard"),
    Category(("Tissues", "Sponges", "Napkins"), _CARE[:4], "bag", (100, 150), (60, 110), (55, 90), (0.08, 0.14),
             (79, 249), (*_DRY, "table"), "standard"),
    Category(("Rolls", "Croissants", "Apples", "Carrots"), ("Classic", "Sesame", "Organic", "Mini"), "bag",
             (150, 200), (110, 160), (90, 130), (0.14, 0.3), (129, 349), ("table",)),
    Category(("Candle", "Vitamin Tabs", "Cookie Tin"), _CARE, "cylinder", (32, 80), (90, 130), (0, 0), (0.3, 0.6),
             (249, 699), (*_DRY, "table", "counter"), "standard"),
)  # fmt: skip

_ONSETS = (
    "b", "br", "d", "f", "fl", "g", "k", "kl", "l", "m", "n", "p", "pr", "r", "s", "st", "t", "tr", "v", "w", "z",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ee", "io", "ai")
_CODAS = ("", "l", "n", "r", "s", "x", "nta", "lo", "ri", "no")


@dataclass(frozen=True)
class Drawn:
    """A product and the seeds its packaging is drawn from."""

    spec: ProductSpec
    family_seed: int
    variant: int

    @property
    def size_mm(self) -> Size:
        """Width, height, depth."""
        return (self.spec.width_mm, self.spec.height_mm, self.spec.depth_mm)


def family_range(store_seed: int) -> tuple[int, int]:
    """First and one-past-last family seed that a store of this seed may use (disjoint between splits)."""
    split = int(np.searchsorted(SPLIT_STARTS, store_seed, side="right")) - 1
    assert split >= 0, "store seeds start at 0"
    return split * FAMILIES_PER_SPLIT, (split + 1) * FAMILIES_PER_SPLIT


def product_seed(family_seed: int, variant: int) -> int:
    """The seed that tells one variant's packaging from its family's."""
    return family_seed * 16 + variant


def draw_family(category: Category, variants: int, family_seed: int, weight_grams: float | None = None) -> list[Drawn]:
    """All variants of one family, a function of its arguments only; `weight_grams` forces a same-weight twin."""
    rng = np.random.Generator(np.random.PCG64(family_seed))
    size = _draw_size(category, rng)
    density = rng.uniform(*category.density)
    price = rng.uniform(*category.price_cents)
    brand, noun = _brand(rng), str(rng.choice(category.nouns))
    flavours = [str(f) for f in rng.permutation(category.flavours)]
    several_sizes = variants > 1 and rng.random() < 0.25
    shrink = float(rng.uniform(0.72, 0.86))
    out = []
    for variant in range(variants):
        scale = shrink**variant if several_sizes else 1.0
        now: Size = (round(size[0] * scale), round(size[1] * scale), max(round(size[2] * scale), 6))
        grams = _weigh(now, density) if weight_grams is None or several_sizes else weight_grams
        word = flavours[0] if several_sizes else flavours[variant % len(flavours)]
        name = f"{brand} {noun} {word} {_amount(grams)}"
        cents = max(9, int(round(price * scale**2.4 / 10) * 10 - 1))
        out.append(Drawn(_product(name, now, grams, cents, category, product_seed(family_seed, variant)),
                         family_seed, variant))  # fmt: skip
    return out


def _product(name: str, size: Size, grams: float, cents: int, category: Category, seed: int) -> ProductSpec:
    # GS1 prefixes 20-29 are for use inside a company, so no real product can have this number.
    digits = int(np.random.Generator(np.random.PCG64([seed, 13])).integers(10**10))
    gtin = with_check_digit(f"02{digits // 10**9 % 10}{digits:010d}")
    return ProductSpec(
        gtin=gtin, name=name, price_cents=cents, weight_grams=grams, width_mm=size[0], height_mm=size[1],
        depth_mm=size[2], shape=category.shape, images=tuple(f"{gtin}_{side}.png" for side in range(3)),
        tax_class=category.tax_class,
    )  # fmt: skip


def _draw_size(category: Category, rng: np.random.Generator) -> Size:
    w, h = rng.uniform(*category.width_mm), rng.uniform(*category.height_mm)
    d = w if category.depth_mm[1] == 0 else rng.uniform(*category.depth_mm)
    return (round(w), round(h), round(d))


def _weigh(size: Size, density: float) -> float:
    grams = size[0] * size[1] * size[2] / 1000 * density
    return float(np.clip(round(grams), 5, 1500))


def _amount(grams: float) -> str:
    return f"{grams:.0f} g" if grams < 1000 else f"{grams / 1000:.1f} kg"


def _brand(rng: np.random.Generator) -> str:
    syllables = rng.integers(2, 4)
    word = "".join(str(rng.choice(_ONSETS)) + str(rng.choice(_VOWELS)) for _ in range(syllables))
    return (word + str(rng.choice(_CODAS))).capitalize()
