"""Bybit through Nautilus's adapter, and through our own signed REST client beside it.

May import `local` only. What Bybit's words mean is translated here, once.
"""
