"""The exchange itself: requests and market data in, events out; no clock and no network.

``exchange`` is its interface. It imports no other room of the practice exchange.
"""
