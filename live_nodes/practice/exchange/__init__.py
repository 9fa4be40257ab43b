"""The exchange: requests and market data in, events out; uses no clock, network or other room."""
