"""Hands of a slot: found in the volume, then looked at once more in windows around them: place, holding, product.

In: the memory, a slot's pictures and backgrounds, a predictor's glance. Out: the memory with hands where the windows
show them, and with what they hold. Pure, as the pipeline that calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.predictor import Arrays, Float32, Predictor, floats
from openaisle.store.geometry import Camera
from openaisle.tokens.glance import WINDOW_M, Aim, aim, cut_windows
from openaisle.volume import Picture, find_hands

UInt8 = NDArray[np.uint8]
BELIEF_GAIN, BELIEF_FLOOR_M = 2.0, 0.04  # what is believed before the look is surer than it should be (dev/LOG.md)
VIEW_SHARE = 0.6  # views err together: one that mistakes an elbow for a hand is seldom alone
TAILS_DOF = 4.0  # a view that contradicts the others counts little
ROUNDS = 16  # of weighing views anew: after four, one view of three that was 34 cm off still moved a hand by 12 cm
HELD_FADE = 0.9  # per slot in which no window shows the hand
MOST_MOVE_M = 0.08  # by a window
SHOWN = 0.2  # sum of probabilities below which nothing is seen
MOST_SD_M = 1.0  # what nobody sees for minutes stays finite
Told = Mapping[str, Float32]
Covariance = NDArray[np.floating]


@dataclass(frozen=True)
class Rays:
    """Where windows [W] say a hand is: on a ray, to a lateral deviation."""

    row: NDArray[np.int64]  # [W] which hand
    origin_m: Float32  # [W, 3]
    direction: Float32  # [W, 3]
    sd_m: Float32  # [W]
    weight: Float32  # [W] probability that the hand shows


def glance(memory: Arrays, pictures: Sequence[Picture], predictor: Predictor) -> Arrays:
    """The memory [Q rows] with hands where the pictures show them, and what they hold."""
    memory = find_hands(memory, pictures, predictor)
    shoppers = len(memory["floor"])
    hands = floats(memory["hands"]).reshape(-1, 3)
    spread: Covariance = floats(memory["hand_variance"]).reshape(-1, 3, 3)
    believed, shown = (hands, spread), np.zeros(len(hands))
    carried: Arrays = {"held": floats(memory["held"]) * HELD_FADE, "product": np.zeros_like(memory["product"])}
    seen, told = look(pictures, memory, believed, predictor)
    if seen:
        row = np.concatenate([a.row for _, a in seen])
        views = rays(seen, row, told)
        hands = move(hands, spread * BELIEF_GAIN + np.eye(3) * BELIEF_FLOOR_M**2, views)
        np.add.at(shown, row, views.weight)
        held, product = carry(row, told, floats(memory["held"]).reshape(-1), memory["product"].shape[-1])
        carried = {"held": held.reshape(shoppers, 2), "product": product.reshape(shoppers, 2, -1)}
    # the window around a hidden hand shows the other one, or an elbow: what it says is taken for a correction only
    near = np.linalg.norm(hands - believed[0], axis=-1) < MOST_MOVE_M
    hands = np.where(((shown > SHOWN) & near)[:, None], hands, believed[0])
    return {**memory, **ordered(memory, hands, believed[1], carried)}


def look(
    pictures: Sequence[Picture],
    memory: Arrays,
    believed: tuple[Float32, Covariance],
    predictor: Predictor,
) -> tuple[list[tuple[Picture, Aim]], dict[str, Float32]]:
    """Pictures that have windows around believed hands, and what a glance says of all of them."""
    aims = [aim_hands(picture.camera, memory, believed) for picture in pictures]
    seen = [(picture, a) for picture, a in zip(pictures, aims, strict=True) if len(a.row)]
    if not seen:
        return [], {}
    now = np.concatenate([cut_windows(p.rgb, a.centre_px, a.side_px) for p, a in seen])
    before = np.concatenate([cut_windows(p.background, a.centre_px, a.side_px) for p, a in seen])
    return seen, predictor.glance(now, before, np.concatenate([a.features for _, a in seen]))


def aim_hands(camera: Camera, memory: Arrays, believed: tuple[Float32, Covariance]) -> Aim:
    """A camera's windows around all believed hands (far, near, far, ...)."""
    hands, spread = believed
    body = np.repeat(floats(memory["floor"]), 2, axis=0)
    sd = np.sqrt(np.trace(spread, axis1=-2, axis2=-1) / 3)
    far = np.tile(np.array([1.0, 0.0], dtype=np.float32), len(hands) // 2)
    return aim(camera, hands, body, np.asarray(sd, dtype=np.float32), far)


def rays(seen: Sequence[tuple[Picture, Aim]], row: NDArray[np.int64], told: Told) -> Rays:
    """Windows' offsets as rays in the world."""
    origin, direction = [], []
    first = 0
    for picture, a in seen:
        part = slice(first, first + len(a.row))
        first = part.stop
        at, ray = picture.camera.unproject(a.centre_px + told["offset"][part] * a.side_px[:, None] / 2)
        origin.append(np.broadcast_to(at, ray.shape))
        direction.append(ray)
    sd = np.maximum(np.exp(told["log_sd"]) * WINDOW_M / 2, 0.01)
    f32 = np.float32
    return Rays(row, np.concatenate(origin).astype(f32), np.concatenate(direction).astype(f32), sd, shows(told))


def move(hands: Float32, spread: Covariance, seen: Rays) -> Float32:
    """Hands [K, 3] after rays: Gaussian fusion with heavy tails, reweighted round by round."""
    eye = np.eye(3)
    mean = np.trace(spread, axis1=-2, axis2=-1) / 3
    bounded = spread.astype(np.float64) * np.minimum(1.0, MOST_SD_M**2 / mean)[:, None, None]
    prior: NDArray[np.float64] = np.linalg.inv(bounded)
    across = eye - seen.direction[:, :, None] * seen.direction[:, None, :]
    point = hands.astype(np.float64)
    for again in range(ROUNDS):
        gap = ((point[seen.row] - seen.origin_m)[:, None, :] @ across)[:, 0]
        error = (gap**2).sum(-1) / seen.sd_m**2 if again else np.zeros(len(seen.row))  # first all count alike
        weight = seen.weight * VIEW_SHARE * (TAILS_DOF + 2) / (TAILS_DOF + error) / seen.sd_m**2
        matrix = across * weight[:, None, None]
        information, vector = prior.copy(), (prior @ hands[..., None])[..., 0].astype(np.float64)
        np.add.at(information, seen.row, matrix)
        np.add.at(vector, seen.row, (matrix @ seen.origin_m[..., None])[..., 0])
        point = np.linalg.solve(information, vector[..., None])[..., 0].astype(np.float64)
    return point.astype(np.float32)


def shows(told: Told) -> Float32:
    """Probability [W] that a window shows its hand, or at least what it holds."""
    return np.asarray(np.maximum(sigmoid(told["seen"]), 0.5 * sigmoid(told["item"])), dtype=np.float32)


def carry(row: NDArray[np.int64], told: Told, held: Float32, width: int) -> tuple[Float32, Float32]:
    """Probability [K] that each hand holds something, and what it shows [K, width]: vectors times how sure."""
    shown = np.maximum(sigmoid(told["seen"]), sigmoid(told["item"]))
    item = sigmoid(told["item"])
    total, holds = np.zeros(len(held)), np.zeros(len(held))
    sure, vector = np.zeros(len(held)), np.zeros((len(held), width))
    np.add.at(total, row, shown)
    np.add.at(holds, row, shown * sigmoid(told["holds"]))
    np.add.at(sure, row, item)
    np.add.at(vector, row, item[:, None] * told["product"])
    now = np.where(total > SHOWN, holds / np.maximum(total, SHOWN), held * HELD_FADE)
    return now.astype(np.float32), (vector / np.maximum(sure, 0.5)[:, None]).astype(np.float32)


def ordered(memory: Arrays, hands: Float32, spread: Float32, carried: Arrays) -> Arrays:
    """Hands as memory rows, the farther from the body's axis first, as everywhere (tokens/journey.py, by_reach)."""
    shoppers = len(memory["floor"])
    rows: Arrays = {"hands": hands.reshape(shoppers, 2, 3), "hand_variance": spread.reshape(shoppers, 2, 3, 3)}
    rows |= {name: carried[name] for name in ("held", "product")}
    away = np.linalg.norm(floats(rows["hands"])[..., :2] - floats(memory["floor"])[:, None], axis=-1)
    order = np.argsort(-away, axis=1, kind="stable")
    take = np.arange(len(order))[:, None]
    return {name: values[take, order] for name, values in rows.items()}


def sigmoid(x: Float32) -> Float32:
    """Logits to probabilities."""
    return np.asarray(1.0 / (1.0 + np.exp(-x.astype(np.float64).clip(-30, 30))), dtype=np.float32)
