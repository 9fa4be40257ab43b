"""Signals: pure functions from a window of candles to one number for each instrument.

Every function takes arrays of shape (W, N), oldest row first, the last row being the last complete
candle, and returns a row of shape (N,); `oscillators` return one for each candle. The strategy
calls them on its own window, the screen on the same window cut from a panel, so both get the same
bits. Of pairs of instruments, `spread` has hedge ratio and z-score, candle by candle,
`cointegration` tests and selection. Add one idea as one file.

The scalper's signals read order books and trades instead, event by event: compiled steps on small
arrays (`compiled`), one file each, in the order of `scalper_parameters.SIGNALS`. `book_scores` runs
all eight on an instrument, `fusion` makes one score of them and learns what it is worth.
"""
