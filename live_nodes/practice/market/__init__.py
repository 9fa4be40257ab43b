"""The market of the practice exchange: random or recorded prices, candles, synthetic book.

``feed`` defines a market and ``path_market`` serves it. A ``CandleSource`` (``random_market``,
``replay_market``) gives candles, ``price_paths`` the prices inside them, ``synthetic_book`` the
levels around them. It imports the exchange only. A new market is a new ``CandleSource``.
"""
