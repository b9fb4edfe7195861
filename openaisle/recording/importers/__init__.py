"""Importers: other formats become recordings, a module each. In: a foreign folder. Out: a recording, or nothing."""
