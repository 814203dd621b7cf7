"""How an order is worked: ticket, submit once, confirm, walk the limit."""
