"""One file each; listed here."""
