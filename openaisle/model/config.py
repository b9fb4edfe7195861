"""Sizes of the network: one frozen dataclass per part, `small` as the shipped size."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from openaisle.errors import ModelError, Problem


@dataclass(frozen=True)
class NetworkConfig:
    """All sizes that change a weight's shape."""

    name: str = "small"
    trunk_width: int = 192
    trunk_layers: int = 4
    trunk_heads: int = 6
    appearance_width: int = 16
    product_width: int = 32
    journey_width: int = 160
    journey_layers: int = 3
    decoder_layers: int = 2
    journey_heads: int = 5

    def as_dict(self) -> dict[str, int | str]:
        """For the header of a weights file."""
        return asdict(self)


def config_from_dict(values: dict[str, int | str], file: str) -> NetworkConfig:
    """The configuration out of a weights file's header; raises ModelError when it is of another version."""
    try:
        return NetworkConfig(**values)  # type: ignore[arg-type]  # names are checked by the call itself
    except TypeError as error:
        problem = Problem(file, "header", f"weights of another version ({error})", "train or download matching weights")
        raise ModelError([problem]) from error
