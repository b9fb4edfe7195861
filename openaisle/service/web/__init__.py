"""Web: the pages of the dashboard and the shopper's own page, rendered here. In: a browser. Out: HTML, SVG, pictures.

Never: anything inline or from another site; a decision of its own: forms call what the API calls.
"""
