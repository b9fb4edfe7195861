"""Store: what is true before anyone walks in. In: a folder of plain files. Out: a `Store`. Never: sensors or people."""
