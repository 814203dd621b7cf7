"""The ledger: what was decided, ordered, filled and booked. SQLAlchemy stays in here."""
