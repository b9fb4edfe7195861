"""Training data, made in parallel and resumably: shards of frames and windows and journey records under a folder."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from openaisle.training.actors import make_actors
from openaisle.training.bodies import make_bodies
from openaisle.training.closed_loop import tracked_record
from openaisle.training.eyes import TorchPredictor
from openaisle.training.frames import ShardSpec, make_shard
from openaisle.training.glances import make_glances
from openaisle.training.journeys import make_record, save_record
from openaisle.training.shelves import make_shelves
from openaisle.training.weights import load_weights

Job = tuple[str, ShardSpec, Path, Path | None]


def specs(first_seed: int, count: int, scenarios: Sequence[str], corner_share: float) -> list[ShardSpec]:
    """A mix of stores and scenarios: seeds first_seed .. first_seed + count - 1."""
    rng = np.random.default_rng(first_seed)
    kinds = np.where(rng.random(count) < corner_share, "random:corner", "random:kiosk")
    names = rng.choice(np.array(scenarios), count)
    return [
        ShardSpec(str(kind), str(name), first_seed + i) for i, (kind, name) in enumerate(zip(kinds, names, strict=True))
    ]


def _run(job: Job) -> str:
    kind, spec, path, eyes = job
    if path.exists():
        return path.name
    if kind == "frames":
        make_shard(spec, path)
    elif kind == "glances":
        make_glances(spec, path)
    elif kind == "bodies":
        make_bodies(spec, path)
    elif kind == "actors":
        make_actors(spec, path)
    elif kind == "shelves":
        make_shelves(spec, path)
    elif kind == "journeys":
        save_record(make_record(spec), path)
    else:
        assert eyes is not None, "tracked records need weights"
        save_record(tracked_record(spec, TorchPredictor(load_weights(eyes))), path)
    return path.name


def prepare(kind: str, wanted: Iterable[ShardSpec], folder: Path, workers: int, eyes: Path | None = None) -> list[Path]:
    """Make all missing files of a kind; returns those that exist, in order.

    Kinds: "frames", "bodies", "glances", "shelves", "actors", "journeys"; "tracked" needs the weights `eyes`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(kind, spec, folder / f"{kind}-{spec.seed:06d}.npz", eyes) for spec in wanted]
    todo = [job for job in jobs if not job[2].exists()]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if todo:
        with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=50) as pool:
            for done, name in enumerate(pool.imap_unordered(_run, todo), 1):
                print(f"{kind}: {done}/{len(todo)} {name}", flush=True)
    return [job[2] for job in jobs if job[2].exists()]
