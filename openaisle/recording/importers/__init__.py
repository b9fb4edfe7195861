"""Importers: other formats become recordings, one module each. In: a foreign folder. Out: a recording. Never: half of one."""
