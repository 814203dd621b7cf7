"""Option prices, greeks and implied volatility: arrays in, arrays out."""
