"""Command line: `aisle <verb>`. In: words. Out: calls into the rooms, and what they say. Never: logic of its own."""
