"""How many, and may we: sizing and the rules every order must pass."""
