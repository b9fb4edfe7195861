"""Meeting: two shoppers come together and one hands something to the other."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from openaisle.sim import handling
from openaisle.sim.choices import Mind
from openaisle.sim.moves import face, walk_to
from openaisle.sim.shopper import STEP_S, Script, Shopper

Float = NDArray[np.float64]
Yes = Generator[None, None, bool]
ASK_S, STAND_S = 15.0, 20.0  # how long the giver waits for an answer, the taker for the giver


def meet(mind: Mind, me: Shopper) -> Script:
    """Answer somebody who wants to hand something over; perhaps want to oneself."""
    if me.asked_by is not None:
        yield from _receive(mind, me)
    if me.rng.random() >= mind.world.scenario.hand_over or not me.all_items():
        return
    partner = mind.partner(me)
    if partner is not None:
        yield from _give(mind, me, partner)
        if partner.asked_by is me:
            partner.asked_by = None
    if me.asked_by is not None:
        yield from _receive(mind, me)


def _receive(mind: Mind, me: Shopper) -> Script:
    """Stand still, turned to the giver, until he has handed over or given up."""
    me.ready = True
    for _ in range(round(STAND_S / STEP_S)):
        giver = me.asked_by
        if giver is None or giver.gone:
            break
        gap = giver.position - me.position
        me.facing = float(np.arctan2(gap[1], gap[0]))
        yield
    me.ready, me.asked_by = False, None
    for hand in (0, 1):
        if me.holds[hand]:
            place = mind.stow_place(me, hand)
            if place != "hand":
                yield from handling.stow(mind.world, me, hand, place == "pocket")


def _give(mind: Mind, me: Shopper, partner: Shopper) -> Yes:
    """Ask, wait for an answer, walk up to the partner, hand over."""
    world = mind.world
    partner.asked_by = me
    for _ in range(round(ASK_S / STEP_S)):
        if partner.ready or me.asked_by is not None or partner.leaving or partner.gone:
            break
        yield
    to_hand = next((h for h in (1, 0) if partner.can_use(h) and not partner.holds[h]), -1)
    if not partner.ready or to_hand < 0:
        return False
    hand = next((h for h in (1, 0) if me.can_use(h) and me.holds[h]), -1)
    if hand < 0:
        if not me.bag:
            return False
        hand = mind.hand(me)
        yield from handling.fetch(world, me, hand, [me.bag[int(me.rng.integers(len(me.bag)))]])
    spot = _place_before(mind, me, partner)
    if spot is None or not (yield from walk_to(world, me, spot, patience_s=8.0, close_m=0.08)):
        return False
    gap = partner.position - me.position
    yield from face(me, float(np.arctan2(gap[1], gap[0])))
    if partner.asked_by is not me or not partner.ready:
        return False
    done = yield from handling.hand_over(world, me, partner, hand, to_hand)
    partner.asked_by = None
    return done


def _place_before(mind: Mind, me: Shopper, partner: Shopper) -> Float | None:
    """A free place an arm's length from the partner, by preference on this side of him."""
    gap = me.position - partner.position
    towards = float(np.arctan2(gap[1], gap[0]))
    reach = me.build.radius_m + partner.build.radius_m + 0.12
    for turn in (0.0, 0.4, -0.4, 0.8, -0.8, 1.3, -1.3, 1.9, -1.9, 2.6, -2.6):
        for more in (0.0, 0.12, 0.25):
            away = np.array([np.cos(towards + turn), np.sin(towards + turn)]) * (reach + more)
            if mind.world.is_free(me, partner.position + away):
                return np.asarray(partner.position + away)
    return None
