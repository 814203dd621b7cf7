"""The nouns of the desk. Imports nothing else of ours."""
