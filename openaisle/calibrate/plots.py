"""Residual plots: where in the picture the model is off, by how much, and which way; as PNG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from openaisle.errors import MissingExtraError
from openaisle.store.geometry import Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 90
INK, ACCENT, FAINT = "#282c34", "#c81e2d", "#9aa0a6"
LONGEST = 0.06  # of the picture's width that the arrow of a large (95 %) residual takes


@dataclass(frozen=True)
class Panel:
    """One camera's residuals: where the points were seen, and seen minus expected; pixels of a picture of this size."""

    title: str
    size_px: tuple[int, int]
    seen_px: Float  # [n, 2]
    residuals_px: Float  # [n, 2]


def plot_lens(panel: Panel, views: Sequence[tuple[str, float]], out: Path) -> None:
    """Arrows over the picture, and each view's error in pixels beside it. Raises MissingExtraError."""
    figure = _figure(10.0, 4.4)
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.5, 1]})
    _arrows(left, panel)
    errors = [error for _, error in views]
    right.bar(range(1, len(errors) + 1), errors, color=FAINT)
    right.axhline(float(np.sqrt(np.mean(np.square(errors)))), color=ACCENT, linewidth=1)
    right.set_xlabel("view")
    right.set_ylabel("error, px")
    right.set_title("views (line: all of them)", fontsize=10, color=INK)
    _save(figure, out)


def plot_cameras(panels: Sequence[Panel], out: Path) -> None:
    """One panel of arrows for each camera. Raises MissingExtraError."""
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = _figure(4.2 * columns, 3.5 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, one in zip(panels, axes, strict=False):
        _arrows(one, panel)
    for one in axes[len(panels) :]:
        one.set_axis_off()
    _save(figure, out)


def _figure(width_in: float, height_in: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "calibrate") from error
    return Figure(figsize=(width_in, height_in), layout="constrained")


def _arrows(axes: Axes, panel: Panel) -> None:
    width, height = panel.size_px
    lengths = np.hypot(*panel.residuals_px.T)
    large = max(float(np.percentile(lengths, 95)), 1e-6)
    stretch = LONGEST * width / large
    x, y = panel.seen_px.T
    u, v = panel.residuals_px.T * stretch
    axes.quiver(x, y, u, v, lengths, angles="xy", scale_units="xy", scale=1, cmap="viridis_r", width=0.003)
    axes.scatter(x, y, s=2, color=INK)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=7)
    rms = float(np.sqrt((lengths**2).mean()))
    axes.set_title(f"{panel.title}: {rms:.2f} px rms, arrows {stretch:.0f}x", fontsize=10, color=INK)


def _save(figure: Figure, out: Path) -> None:
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        figure.savefig(part, dpi=DPI, format="png", metadata={"Software": None})
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
