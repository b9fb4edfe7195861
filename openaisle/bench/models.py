"""Names of what the benchmark compares: a model, perhaps with a sense taken away or on true tracks, or answers on disk.

    small, rule, modular, modular-own, openvino, a folder of weights   as `aisle receipts --model` takes them
    NAME-no-scales, -no-video, -no-pictures   the same without scales, cameras, pictures of the products
    NAME-oracle                           on true bodies and hands; `rule-oracle` and `modular-oracle` need no weights
    answers:FOLDER                        what another system wrote: a receipts.json, called CASE.json, for every case

Another way to make receipts joins by `load_predictor`, and by a line in EYES when it brings no weights of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from openaisle.bench.oracle import Blind
from openaisle.edge.rule import RulePredictor
from openaisle.edge.runtime import DETECTOR, WEIGHTS, load_predictor, read_model
from openaisle.errors import ModelError, Problem
from openaisle.modular.peer import ModularPredictor
from openaisle.predictor import Predictor

DEFAULT_MODELS = ("small", "rule")
ORACLE, ANSWERS = "-oracle", "answers:"
# Whose weights a name sees with, where it is not a folder of weights itself.
EYES = {"rule": "small", "modular": "small", "modular-own": "small", "openvino": "small"}
DECIDERS: Mapping[str, Callable[[Predictor], Predictor]] = {"rule": RulePredictor, "modular": ModularPredictor}
ABLATIONS = ("no-scales", "no-video", "no-pictures")


@dataclass(frozen=True, slots=True)
class Contender:
    """What a name stands for."""

    name: str
    base: str  # as load_predictor takes it; "" for answers on disk
    answers: Path | None = None
    oracle: bool = False
    scales: bool = True
    video: bool = True
    pictures: bool = True  # of products, in the catalogue

    @property
    def blind(self) -> bool:
        """A decider without weights of its own on the truth: it needs no network."""
        return self.oracle and self.base in DECIDERS


def contender(name: str) -> Contender:
    """What a name means; raises ModelError for a name that makes no sense (not for missing weights)."""
    if name.startswith(ANSWERS):
        return Contender(name, "", Path(name.removeprefix(ANSWERS)))
    found = Contender(name, name)
    while not Path(found.base).is_dir():  # a folder may be called anything
        if found.base.endswith(ORACLE):
            found = replace(found, base=found.base.removesuffix(ORACLE), oracle=True)
            continue
        cut = next((one for one in ABLATIONS if found.base.endswith(f"-{one}")), None)
        if cut is None:
            break
        found = replace(found, base=found.base.removesuffix(f"-{cut}"))
        sense = cut.removeprefix("no-")
        found = replace(
            found, scales=found.scales and sense != "scales", video=found.video and sense != "video",
            pictures=found.pictures and sense != "pictures",
        )  # fmt: skip
    if found.oracle and not (found.scales and found.video):
        fix = f"leave out {ORACLE} or the other ending"
        raise ModelError([Problem("--model", repr(name), "true tracks go with all senses", fix)])
    return found


def whole_of(name: str) -> str:
    """The name of the model that one without a sense is a part of; otherwise the same."""
    cut = next((one for one in ABLATIONS if name.endswith(f"-{one}")), None)
    return name if cut is None else whole_of(name.removesuffix(f"-{cut}"))


def without_senses(models: tuple[str, ...]) -> tuple[str, ...]:
    """The networks among the models, each without one of its senses."""
    networks = [
        name for name in models if contender(name) == Contender(name, name) and name.partition(":")[0] not in EYES
    ]
    return tuple(f"{name}-{cut}" for name in networks for cut in ABLATIONS)


def predictor_of(found: Contender) -> Predictor:
    """What plays; raises ModelError when it is not there."""
    return DECIDERS[found.base](Blind()) if found.blind else load_predictor(found.base)


def model_sha256(name: str) -> str:
    """Hash of everything a contender brings along: weights (a rule's eyes), or its answers; "" for nothing.

    Raises ModelError when it is not there.
    """
    found = contender(name)
    if found.blind:
        return ""
    if found.answers is not None:
        return _files_sha256(_answers(found.answers), "*.json")
    base, _, folder_name = found.base.partition(":")
    own = (folder_name or EYES[base]) if base in EYES else found.base
    folder = WEIGHTS / own if (WEIGHTS / own).is_dir() else Path(own)
    read_model(folder)
    network = _files_sha256(folder, "*")
    if base != "modular-own":
        return network
    return hashlib.sha256((network + _files_sha256(DETECTOR, "*")).encode()).hexdigest()


def _answers(folder: Path) -> Path:
    if folder.is_dir():
        return folder
    fix = "name a folder with CASE.json for every case that `aisle bench cases` wrote"
    raise ModelError([Problem(str(folder), "folder", "there is no such folder of answers", fix)])


def _files_sha256(folder: Path, pattern: str) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob(pattern) if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
