"""Choices: which lane, which product, which hand, with whom; steered by the scenario's chances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.body import Carrier
from openaisle.sim.shopper import Shopper
from openaisle.sim.state import World
from openaisle.store.store import Store

Float = NDArray[np.float64]
HAND_WIDTH_M = 0.27  # a hand holds units up to this width together
TINY_GRAMS = 15.0


@dataclass(frozen=True)
class Families:
    """Which products are hard to tell apart: bool [products]."""

    look_alike: NDArray[np.bool_]
    same_weight: NDArray[np.bool_]
    tiny: NDArray[np.bool_]


def families(store: Store) -> Families:
    """Look-alikes share shape and size; same weight is within 2%, or 1 g, of another product's."""
    size = [(p.shape, round(p.width_mm), round(p.height_mm), round(p.depth_mm)) for p in store.products]
    grams = np.array([p.weight_grams for p in store.products])
    close = np.abs(grams[:, None] - grams) <= np.maximum(1.0, 0.02 * grams)
    return Families(
        np.array([size.count(own) > 1 for own in size]), close.sum(axis=1) > 1, (grams > 0) & (grams <= TINY_GRAMS)
    )


@dataclass
class Mind:
    """What the choices of one simulation have in common."""

    world: World
    families: Families
    # int [lanes]: planogram's product; lanes without one are never chosen
    planned: NDArray[np.int32]
    lane_xy: Float  # [lanes, 2]
    fixture: NDArray[np.int64]

    @staticmethod
    def of(world: World) -> Mind:
        """The choices' common ground in a world."""
        lanes = world.store.lanes
        return Mind(
            world, families(world.store), world.store.lane_product, np.array([lane.front_m[:2] for lane in lanes]),
            np.array([lane.fixture for lane in lanes], dtype=np.int64),
        )  # fmt: skip

    # --- choosing ------------------------------------------------------------------------------------------

    def lane_to_visit(self, me: Shopper, friend: Shopper | None) -> tuple[int, int]:
        """A lane and the product wanted there; (-1, -1) = nothing left. With a friend: on his shelf."""
        world, scenario = self.world, self.world.scenario
        if me.rng.random() < scenario.take_misplaced:
            found = [f for f in world.stock.misplaced() if f[0] not in me.gave_up]
            if found:
                lane, lying = found[int(me.rng.integers(len(found)))]
                return lane, int(world.stock.items.product[lying.item])
        weight = np.array([bool(here) for here in world.stock.lanes]) & (self.planned >= 0)
        weight[list(me.gave_up)] = False
        weight = weight * np.exp(-np.hypot(*(self.lane_xy - me.position).T) / 6.0)
        if friend is not None:
            near = np.hypot(*(self.lane_xy - self.lane_xy[friend.shelf[1]]).T)
            beside = weight * (self.fixture == friend.shelf[0]) * np.exp(-(near**2))
            if me.rng.random() < scenario.same_lane and beside[friend.shelf[1]] > 0:
                return friend.shelf[1], int(self.planned[friend.shelf[1]])
            weight = beside if beside.sum() > 0 else weight
        weight = weight * self._bias(me, weight)
        if not weight.sum() > 0:
            return -1, -1
        lane = int(me.rng.choice(len(weight), p=weight / weight.sum()))
        return lane, int(self.planned[lane])

    def _bias(self, me: Shopper, weight: Float) -> Float:
        """[lanes]: 1, or 0 for lanes whose product is not of the difficult kind this pick is steered to."""
        bias = self.world.scenario.bias
        for share, members in (
            (bias.look_alike, self.families.look_alike),
            (bias.same_weight, self.families.same_weight),
            (bias.tiny, self.families.tiny),
        ):
            if me.rng.random() < share:
                chosen = members[np.maximum(self.planned, 0)].astype(np.float64)
                if (chosen * weight).any():
                    return chosen
        return np.ones(len(self.planned))

    def friend(self, me: Shopper) -> Shopper | None:
        """Somebody at or on his way to a shelf, to whom this person may go; nearer ones first.

        Whoever is being followed stays where his follower is going.
        """
        for other in self.world.shoppers:
            if other.follows is me and other.shelf[1] >= 0 and other.claim is not None:
                return other
        others = [s for s in self.world.shoppers if s is not me and s.shelf[1] >= 0 and not s.staff]
        if not others or me.rng.random() >= self.world.scenario.together:
            return None
        own = [s for s in others if me.group and s.group == me.group and me.rng.random() < 0.7]
        return min(own or others, key=lambda s: (float(np.hypot(*(s.position - me.position))), s.number))

    def partner(self, me: Shopper) -> Shopper | None:
        """Somebody who could be handed something: of one's own group by preference, then whoever is near."""
        others = [
            s for s in self.world.shoppers
            if s is not me and not s.staff and not s.in_door and not s.leaving and s.asked_by is None
        ]  # fmt: skip
        own = [s for s in others if me.group and s.group == me.group and me.rng.random() < 0.7]
        if not others:
            return None
        return min(own or others, key=lambda s: (float(np.hypot(*(s.position - me.position))), s.number))

    def hand(self, me: Shopper) -> int:
        """The hand for the next reach: usable, with room, by preference the better one."""
        better = 1 if me.build.right_handed else 0
        first = better if me.rng.random() < 0.75 else 1 - better
        for hand in (first, 1 - first):
            if me.can_use(hand) and len(me.holds[hand]) < 2:
                return hand
        return 1

    def has_room(self, me: Shopper) -> bool:
        """Whether a usable hand can hold more."""
        return any(me.can_use(hand) and len(me.holds[hand]) < 2 for hand in (0, 1))

    def most(self, me: Shopper, product: int, hand: int) -> int:
        """How many units of a product a hand can take on."""
        width, _, height = self.world.stock.sizes[product]
        grams = self.world.store.products[product].weight_grams
        fit = int(HAND_WIDTH_M / width) * (2 if height < 0.09 else 1)
        fit = min(fit, int(2500 / max(grams, 1.0)))
        return max(1, min(5, fit) - len(me.holds[hand]))

    def quantity(self, me: Shopper) -> int:
        """How many units are wanted."""
        weights = np.array(self.world.scenario.quantity)
        return int(me.rng.choice(len(weights), p=weights / weights.sum())) + 1

    def stow_place(self, me: Shopper, hand: int) -> str:
        """Where the units in a hand go: "bag" (or basket, trolley), "pocket" or "hand" (they stay)."""
        stow, sizes = self.world.scenario.stow, self.world.stock.sizes
        products = self.world.stock.items.product
        size = [sizes[products[grip.item]] for grip in me.holds[hand]]
        small = all(float(s.max()) < 0.2 and float(np.prod(s)) < 9e-4 for s in size)
        full = len(size) > 2
        weights = np.array([
            stow.bag if me.build.carrier != Carrier.NOTHING else 0.0,
            stow.pocket if small else 0.0,
            stow.hand * (0.05 if full else 1.0) + 1e-6,
        ])  # fmt: skip
        return ("bag", "pocket", "hand")[int(me.rng.choice(3, p=weights / weights.sum()))]
