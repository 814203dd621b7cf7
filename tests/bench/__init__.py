"""Figures against peers: ``python -m tests.bench``. Every module here has a tuple ``JOBS``; one line each."""

MODULES = (
    "options_european",
    "options_american",
    "options_surface",
    "market_history",
    "market_data",
    "execution",
    "reconcile",
    "replay",
)
