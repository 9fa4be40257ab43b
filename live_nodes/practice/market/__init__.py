"""The market of the practice exchange: random or recorded prices, candles, synthetic book.

It imports the exchange only. A new market is a new ``CandleSource``.
"""
