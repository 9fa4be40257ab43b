"""The market of the practice exchange: prices from a seed or a catalog, candles, synthetic book.

``feed`` says what a market is, ``path_market`` is the one that is served: a ``CandleSource``
(``random_market``, ``replay_market``) gives candles, ``price_paths`` the prices inside them,
``synthetic_book`` the levels around them. It imports the exchange only. A new market is a new
``CandleSource``.
"""
