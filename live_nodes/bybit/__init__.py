"""Connect to Bybit by Nautilus's adapter and by our own signed REST client.

May import `local` only. All of Bybit's terms are translated here.
"""
