"""View: what happened, to look at. In: a recording or steps, receipts. Out: MP4, HTML, terminal. Never: decides."""
