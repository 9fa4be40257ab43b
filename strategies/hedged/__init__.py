"""Strategies that hold two legs against each other: virtual positions per pair, both legs or none.

`positions` nets the pairs' positions to one an instrument and gives fills to pairs, `book` joins
them to the two-leg tactic; both are pure. `two_leg_trader` carries decisions out in the engine, for
any strategy of two legs; `trader` decides on pairs by candles.
"""
