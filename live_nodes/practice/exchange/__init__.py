"""The exchange itself, pure: requests and market data in, events out; no clock, no network."""
