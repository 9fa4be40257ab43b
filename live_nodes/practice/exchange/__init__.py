"""The exchange: requests and market data in, events out; no clock, network or other room."""
