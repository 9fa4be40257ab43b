"""The market of the practice exchange; a new market is a new ``CandleSource``."""
