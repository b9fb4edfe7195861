"""OpenAisle: an open system for walk-out shops; one transformer writes a receipt per shopper."""

__version__ = "0.1.0"
