"""Signals: pure functions from a window of candles to one number for each instrument.

Every function takes arrays of shape (W, N), oldest row first, the last row being the last complete
candle, and returns a row of shape (N,). The strategy calls them on its own window, the screen on
the same window cut from a panel, so both get the same bits. Add one idea as one file.
"""
