"""What the past says: pure functions from a window of candles to one number an instrument.

Every function takes arrays of shape (W, N), oldest row first, the last row being the last complete
candle, and returns a row of shape (N,). The strategy calls them on the window it keeps, the screen
on the same window cut from a panel, so both see the same bits. Add one idea as one file.
"""
