"""From checked data to what strategies see: panels, markets, events."""
