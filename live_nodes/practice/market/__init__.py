"""The market of the practice exchange: prices from a seed or a catalog, candles, synthetic book."""
