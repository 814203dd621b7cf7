"""What two adapters of one vendor share."""
