"""The page: the whole workshop in a browser, `odenn web`.

The server's own process only moves bytes: what a user writes is read, solved and drawn in worker processes with limits
on time and memory. From the top: `app` (HTTP), `gallery`, `runs` (what is kept), `workers` (processes), `jobs` (what a
worker does), `script` (the Python of a run), `specification` (what a run is).
"""
