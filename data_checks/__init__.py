"""Suites of expectations, one file per table, and the gate that reads their verdict."""
