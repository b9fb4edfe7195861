"""Renderer: a store and a snapshot in; rgb, instance ids and depth of any of its cameras out. Never: behaviour or truth other than pixels."""

from openaisle.sim.render.renderer import Rendered, Renderer

__all__ = ["Rendered", "Renderer"]
