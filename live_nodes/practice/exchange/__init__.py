"""The exchange itself: requests and market data in, events out; no clock and no network.

``exchange`` is what others call; ``store`` alone writes to the disk. It imports no other room of
the practice exchange. Add a new refusal to ``refusals``.
"""
