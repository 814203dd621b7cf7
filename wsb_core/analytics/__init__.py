"""Returns, attribution and the report."""
