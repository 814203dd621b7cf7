"""Prefect tasks: each is one retryable side effect or unit of I/O."""
