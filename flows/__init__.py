"""Prefect flows: each reads like a part of the desk's day."""
