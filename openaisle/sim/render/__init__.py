"""Renderer: a store and a snapshot in; rgb, instance ids and depth of its cameras out. Never: behaviour."""

from openaisle.sim.render.renderer import Rendered, Renderer

__all__ = ["Rendered", "Renderer"]
