"""What a run of the pipeline knows: its constants, everything that lasts from tick to tick, and what a tick brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from openaisle.actors import Film
from openaisle.identity import Identities
from openaisle.owners import Doubts
from openaisle.predictor import Arrays, WrittenEvent
from openaisle.receipts.document import Update
from openaisle.receipts.ledger import Ledger
from openaisle.receipts.pricing import Receipt
from openaisle.second_look import SecondLooks
from openaisle.settle import Settled, Stills
from openaisle.store.store import Store
from openaisle.tokens.actor import ActorView
from openaisle.tokens.journey import LaneTable
from openaisle.tokens.patches import GateState
from openaisle.tokens.rays import RayTable
from openaisle.tokens.scales import HISTORY
from openaisle.tokens.shelf import ShelfView
from openaisle.tokens.tick import Tick
from openaisle.tracking import Births
from openaisle.weighing.goods import Goods
from openaisle.weighing.memory import Weighing

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Setup:
    """Constants of a run: the store as tables and the catalogue as vectors."""

    store: Store
    table: LaneTable
    rays: tuple[RayTable, ...]
    camera_index: Mapping[str, int]
    embeddings: Float32
    shelf_vectors: Float32  # of the catalogue, for looks at shelves
    shelf_views: Mapping[str, tuple[ShelfView, ...]]  # by lane
    goods: Goods
    actor_views: Mapping[int, tuple[ActorView, ...]]  # by scale
    video: bool = True
    scales: bool = True
    settles: bool = True  # the predictor's word is not the last: scales and shelves have it
    writes: bool = True  # the predictor writes events: scales and shelves do not tell all
    mute: frozenset[int] = frozenset()  # scales that tell nothing at the moment (mute.py)


@dataclass(frozen=True)
class Shopper:
    """A person the memory follows."""

    number: int
    visit: str
    entered_ns: int
    left_ns: int = 0  # 0 = still inside
    guessed: bool = False  # seen, but no gate has told of it


@dataclass(frozen=True)
class Written:
    """An event the decoder wrote, with what later ticks must know of it."""

    tick: int
    event: WrittenEvent
    shopper: int  # Shopper.number


@dataclass(frozen=True)
class Track:
    """Where a shopper is, for those who draw."""

    number: int
    visit: str
    floor_m: Float32  # [2]
    head_m: Float32  # [3]
    hands_m: Float32  # [2, 3]


@dataclass(frozen=True)
class Steps:
    """Where everybody was in one second."""

    time_ns: int
    visits: tuple[str, ...]
    floor_m: Float32  # [visits, 2]


@dataclass(frozen=True)
class State:
    """Everything that lasts from tick to tick."""

    gates: tuple[GateState, ...]
    memory: Arrays  # rows as shoppers
    shoppers: tuple[Shopper, ...] = ()
    film: Film = field(default_factory=Film)
    stills: Stills = ()  # by camera: the shelves as they were last seen with nobody before them
    window: tuple[Arrays, ...] = ()  # the last FRAMES slots: memory rows by shopper number
    grams: Float32 = field(default_factory=lambda: np.zeros((0, HISTORY), dtype=np.float32))
    ledger: Ledger = field(default_factory=Ledger)
    lying: Mapping[tuple[int, int], tuple[int, int]] = field(default_factory=dict)  # (lane, product) → units, since (s)
    recent: tuple[Written, ...] = ()
    births: Births = field(default_factory=Births)
    identities: Identities = field(default_factory=Identities)
    weighing: Weighing = field(default_factory=Weighing)
    settled: Settled = field(default_factory=Settled)
    second: SecondLooks = field(default_factory=SecondLooks)
    doubts: Doubts = field(default_factory=dict)
    finished: Mapping[str, int] = field(default_factory=dict)  # visit → when its receipt became final
    blind: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (kind, sensor) → since when
    blinded: Mapping[str, frozenset[str]] = field(default_factory=dict)  # visit → blind sensors that could matter to it
    trail: tuple[Steps, ...] = ()  # the last seconds
    entered: int = 0


@dataclass(frozen=True)
class ReceiptUpdate:
    """A change of one visit's receipt."""

    visit: str
    update: Update
    receipt: Receipt


@dataclass(frozen=True)
class StepResult:
    """What one tick brought."""

    time_ns: int  # stream time at which it was known
    tick: Tick
    updates: tuple[ReceiptUpdate, ...]
    tracks: tuple[Track, ...]
    receipts: Mapping[str, Receipt]  # of all visits so far
    finished: Mapping[str, int]
    compute_s: float = 0.0
