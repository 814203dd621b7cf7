"""The trading library: no Prefect, no clock, no environment variables."""

__version__ = "0.1.0"
