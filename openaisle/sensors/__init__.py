"""Sensors: what speaks becomes a time-ordered stream. Out: messages through `Source`. Never: decides anything."""
