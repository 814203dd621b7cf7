"""Two views of one account in, breaks out."""
